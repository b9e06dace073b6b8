// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Variants of cells and input: each is the standard model with other numbers, which PyTorch verifies.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollNeural

@Suite struct VariantTests {
  /// Two models that are to compute the same: a variant, and the standard one with other numbers.
  struct Pair {
    var variant: (Architecture, ParameterTree<Tensor>)
    var standard: (Architecture, ParameterTree<Tensor>)
  }

  private static let V = 9

  private func filled(_ architecture: Architecture, seed: UInt64) -> ParameterTree<Tensor> {
    var generator = SeededGenerator(seed: seed)
    var tree = ParameterTree<Tensor>()
    for (path, shape) in architecture.parameters {
      tree[path] = Tensor(
        generator.floats(shape.elementCount ?? 0, in: -0.5...0.5), shape: shape)
    }
    return tree
  }

  /// A stack of two layers of a cell.
  private func architecture(_ cell: Cell, bias: LayerBias, embedding D: Int = 6) -> Architecture {
    Architecture(
      vocabularySize: Self.V, embeddingSize: D,
      layers: [(D, 7), (7, 5)].map {
        LayerArchitecture(cell: cell, inputSize: $0, hiddenSize: $1, bias: bias)
      }, isTied: false)
  }

  /// One bias is that of the input, beside one of zeros.
  private func singleBias(_ cell: Cell) -> Pair {
    let (single, double) = (architecture(cell, bias: .single), architecture(cell, bias: .double))
    let numbers = filled(single, seed: 1)
    var other = numbers
    for (index, layer) in double.layers.enumerated() {
      let rows = layer.cell.gateCount * layer.hiddenSize
      other[.layer(index, .biasIH)] = numbers[.layer(index, .bias)]
      other[.layer(index, .biasHH)] = Tensor([Float](repeating: 0, count: rows), shape: [rows])
      other[.layer(index, .bias)] = nil
    }
    return Pair(variant: (single, numbers), standard: (double, other))
  }

  /// A forget bias is a part of the bias.
  private func forgetBias(_ bias: LayerBias) -> Pair {
    var pair = singleBias(.lstm)
    if bias == .none {
      let bare = architecture(.lstm, bias: .none)
      let numbers = filled(bare, seed: 2)
      pair.variant = (bare, numbers)
      pair.standard = (architecture(.lstm, bias: .single), numbers)
      for index in 0..<2 {
        let rows = 4 * bare.layers[index].hiddenSize
        pair.standard.1[.layer(index, .bias)] = Tensor(
          [Float](repeating: 0, count: rows), shape: [rows])
      }
    } else {
      pair.standard = pair.variant
    }
    for index in 0..<2 {
      let H = pair.variant.0.layers[index].hiddenSize
      pair.variant.0.layers[index].forgetBias = 1
      var values = pair.standard.1[.layer(index, .bias)]?.floats() ?? []
      for place in H..<2 * H { values[place] += 1 }
      pair.standard.1[.layer(index, .bias)] = Tensor(values, shape: [4 * H])
    }
    return pair
  }

  /// One-hot input is an embedding that is the identity.
  private func oneHot(_ cell: Cell) -> Pair {
    let standard = architecture(cell, bias: .double, embedding: Self.V)
    var variant = standard
    variant.input = .oneHot
    let numbers = filled(variant, seed: 3)
    var other = numbers
    var identity = [Float](repeating: 0, count: Self.V * Self.V)
    for token in 0..<Self.V { identity[token * Self.V + token] = 1 }
    other[.embeddingWeight] = Tensor(identity, shape: [Self.V, Self.V])
    return Pair(variant: (variant, numbers), standard: (standard, other))
  }

  private var pairs: [Pair] {
    Cell.allCases.map(singleBias) + Cell.allCases.map(oneHot) + [
      forgetBias(.single), forgetBias(.none),
    ]
  }

  private static let inputs: [Int32] = [0, 8, 3, 3, 1, 7, 2, 2, 5, 4, 6, 0]
  private static let targets: [Int32] = [8, 3, 0, 1, 7, 2, 4, 5, 1, 6, 0, 3]

  @Test func evaluationIsThatOfTheStandardModel() throws {
    for pair in pairs {
      func run(_ model: (Architecture, ParameterTree<Tensor>)) throws -> ([Float], RecurrentState) {
        let network = try RecurrentModel(architecture: model.0, parameters: model.1)
        var state = network.zeroState(columns: 3)
        let found = try network.logProbabilities(inputs: Self.inputs, state: &state)
        return (found, state)
      }
      let (variant, standard) = (try run(pair.variant), try run(pair.standard))
      #expect(variant == standard, "\(pair.variant.0)")
      // And that of the textbook.
      let reference = try ReferenceModel(
        architecture: pair.variant.0, parameters: pair.variant.1)
      let ids = [0, 3, 8, 2, 5]
      let network = try RecurrentModel(
        architecture: pair.variant.0, parameters: pair.variant.1)
      var state = network.zeroState(columns: 1)
      let own = try network.logProbabilities(
        ofTargets: ids.dropFirst().map(Int32.init), inputs: ids.dropLast().map(Int32.init),
        state: &state)
      for (a, b) in zip(own, reference.logProbabilities(of: ids)) {
        #expect(abs(Double(a) - b) < 2e-6)
      }
    }
  }

  @Test func gradientsAreThoseOfTheStandardModel() throws {
    for pair in pairs {
      func run(_ model: (Architecture, ParameterTree<Tensor>)) throws -> (
        Double, ParameterTree<Gradient>
      ) {
        let network = try TrainableModel(architecture: model.0, parameters: model.1)
        var state = network.zeroState(columns: 3)
        let loss = try network.backpropagate(
          inputs: Self.inputs, targets: Self.targets, state: &state)
        return (loss, network.gradients)
      }
      let (variant, standard) = (try run(pair.variant), try run(pair.standard))
      #expect(variant.0 == standard.0)
      for (path, shape) in pair.variant.0.parameters {
        var (own, other) = (
          [Float](repeating: 0, count: shape.elementCount ?? 0),
          [Float](repeating: 0, count: shape.elementCount ?? 0)
        )
        try #require(variant.1[path]).add(to: &own)
        let layer = pair.variant.0.layers.indices.first { path == .layer($0, .bias) }
        let name = layer.map { standard.1[path] == nil ? .layer($0, .biasIH) : path } ?? path
        try #require(standard.1[name]).add(to: &other)
        #expect(own == other, "\(path)")
      }
    }
  }

  @Test func aStepMovesAllParameters() throws {
    for pair in pairs {
      let (architecture, parameters) = pair.variant
      let network = try TrainableModel(architecture: architecture, parameters: parameters)
      var optimizer = Optimizer(.adam, [.learningRate: 0.01], for: architecture)
      var losses: [Double] = []
      for _ in 0..<30 {
        var state = network.zeroState(columns: 3)
        losses.append(
          try network.backpropagate(inputs: Self.inputs, targets: Self.targets, state: &state))
        optimizer.step(network, gradientNorm: optimizer.gradientNorm(of: network))
      }
      #expect(try #require(losses.last) < losses[0] - 0.02)
      for (path, _) in architecture.parameters {
        #expect(network.tensors[path]?.floats() != parameters[path]?.floats(), "\(path)")
      }
    }
  }
}
