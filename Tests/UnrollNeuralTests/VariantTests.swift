// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Variants of cells and input: each is the standard model with other numbers, which PyTorch verifies.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollNeural

@Suite("Layer variants") struct VariantTests {
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
    Cell.usual.map(singleBias) + Cell.usual.map(oneHot) + [
      forgetBias(.single), forgetBias(.none),
    ]
  }

  @Test("The engine computes every variant as the reference does", arguments: VariantStack.allCases)
  func reference(stack: VariantStack) throws {
    let architecture = stack.architecture
    let numbers = filled(architecture, seed: 6)
    let reference = try ReferenceModel(architecture: architecture, parameters: numbers)
    let network = try RecurrentModel(architecture: architecture, parameters: numbers)
    var state = network.zeroState(columns: 1)
    let ids: [Int32] = [0, 3, 6, 2, 5, 5, 1, 4]
    let found = try network.logProbabilities(
      ofTargets: Array(ids.dropFirst()), inputs: ids.dropLast(), state: &state)
    let expected = reference.tokenLogProbabilities(of: ids.map(Int.init))
    #expect(zip(found, expected).allSatisfy { abs(Double($0) - $1) < 2e-6 })
  }

  private static let inputs: [Int32] = [0, 8, 3, 3, 1, 7, 2, 2, 5, 4, 6, 0]
  private static let targets: [Int32] = [8, 3, 0, 1, 7, 2, 4, 5, 1, 6, 0, 3]

  @Test("A variant evaluates as the standard model with equivalent weights")
  func evaluation() throws {
    for pair in pairs {
      func run(_ model: (Architecture, ParameterTree<Tensor>)) throws -> ([Float], RecurrentState) {
        let network = try RecurrentModel(architecture: model.0, parameters: model.1)
        var state = network.zeroState(columns: 3)
        let found = try network.logDistributions(inputs: Self.inputs, state: &state)
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
      for (a, b) in zip(own, reference.tokenLogProbabilities(of: ids)) {
        #expect(abs(Double(a) - b) < 2e-6)
      }
    }
  }

  @Test("A variant has the gradients of the standard model with equivalent weights")
  func gradientsOfStandardModel() throws {
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

  @Test("Training changes every parameter of a variant and lowers the loss")
  func trainedParameters() throws {
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

  /// The output of scripts/make/variant-fixtures.
  struct Fixture: Decodable {
    struct Layer: Decodable {
      let cell: String
      let inputSize: Int
      let hiddenSize: Int
      let bias: String
      let projectionSize: Int?
      let reset: String?
      let alpha: Double?
      let beta: Double?

      func architecture() throws -> LayerArchitecture {
        var layer = LayerArchitecture(
          cell: try #require(Cell(rawValue: cell)), inputSize: inputSize, hiddenSize: hiddenSize,
          bias: try #require(LayerBias(rawValue: bias)))
        layer.projectionSize = projectionSize
        if let reset { layer.reset = try #require(GRUReset(rawValue: reset)) }
        if let alpha, let beta { layer.gateActivation = .hardSigmoid(alpha: alpha, beta: beta) }
        return layer
      }
    }
    let vocabularySize: Int
    let embeddingSize: Int
    let columns: Int
    let isOneHot: Bool
    let isTied: Bool
    let hasOutputProjection: Bool
    let layers: [Layer]
    let parameters: [String: [Float]]
    let windows: [TrainingFixture.Window]

    func architecture() throws -> Architecture {
      var architecture = Architecture(
        vocabularySize: vocabularySize, embeddingSize: embeddingSize,
        layers: try layers.map { try $0.architecture() }, isTied: isTied)
      architecture.input = isOneHot ? .oneHot : .embedding
      architecture.hasOutputProjection = hasOutputProjection
      return architecture
    }
  }

  @Test(
    "Losses and gradients of variants equal those of PyTorch and Keras",
    arguments: [
      "torch-lstm-projection-tied", "torch-gru-one-hot", "torch-lstm-output-projection-tied",
      "keras-lstm-hard", "keras-gru-before", "keras-gru-before-hard",
    ])
  func gradientsOfProducers(name: String) throws {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("training/variants.json")))
    let all = try JSONDecoder().decode([String: Fixture].self, from: data)
    let fixture = try #require(all[name])
    let architecture = try fixture.architecture()
    var tree = ParameterTree<Tensor>()
    for (path, shape) in architecture.parameters {
      tree[path] = fixture.parameters[path.description].map { Tensor($0, shape: shape) }
    }
    let model = try TrainableModel(architecture: architecture, parameters: tree)
    let network = try RecurrentModel(architecture: architecture, parameters: tree)
    var state = model.zeroState(columns: fixture.columns)
    var other = state
    #expect(fixture.windows.count == 2)
    for window in fixture.windows {
      let loss = try model.backpropagate(
        inputs: window.inputs, targets: window.targets, state: &state)
      #expect(abs(loss / window.loss - 1) < 1e-6)
      let found = model.denseGradients
      #expect(Set(found.keys.map(\.description)) == Set(window.gradients.keys))
      for (path, gradient) in found {
        let expected = try #require(window.gradients[path.description]).map(Double.init)
        let error = relativeError(gradient, expected)
        #expect(error < 1e-5, "\(path): \(error)")
      }
      // The way without training is the same.
      _ = try network.logProbabilities(
        ofTargets: window.targets, inputs: window.inputs, state: &other)
      #expect(state == other)
    }
  }

  private func model(_ stack: VariantStack) throws -> TrainableModel {
    try TrainableModel(
      architecture: stack.architecture, parameters: filled(stack.architecture, seed: 4))
  }

  /// The loss and the gradients of a window with dropped recurrent weights are those of the model that
  /// has these weights.
  @Test(
    "Weight drop gives the loss and gradients of the model with these weights",
    arguments: [VariantStack.mixed, .projection, .hardResetBefore])
  func droppedWeights(stack: VariantStack) throws {
    let regularizer = Regularizer(
      [RegularizationTerm(site: .weightHH, kind: .weight, rate: 0.5)], seed: 8, draw: 2)
    let dropping = try model(stack)
    var parameters = filled(stack.architecture, seed: 4)
    for (index, layer) in stack.architecture.layers.enumerated() {
      let path = ParameterPath.layer(index, .weightHH)
      var values = try #require(parameters[path]?.floats())
      regularizer.dropWeights(&values, layer: index, H: layer.outputSize)
      #expect(values.contains(0))
      parameters[path] = Tensor(values, shape: try #require(parameters[path]).shape)
    }
    let without = try TrainableModel(architecture: stack.architecture, parameters: parameters)
    let (inputs, targets) = (Self.inputs.map { $0 % 7 }, Self.targets.map { $0 % 7 })
    var states = [dropping.zeroState(columns: 3), without.zeroState(columns: 3)]
    let loss = try dropping.backpropagate(
      inputs: inputs, targets: targets, state: &states[0], regularizer: regularizer)
    #expect(
      try without.backpropagate(inputs: inputs, targets: targets, state: &states[1]) == loss)
    #expect(states[0] == states[1])
    var expected = without.denseGradients
    for (index, layer) in stack.architecture.layers.enumerated() {
      let path = ParameterPath.layer(index, .weightHH)
      var values = try #require(expected[path])
      regularizer.dropWeights(&values, layer: index, H: layer.outputSize)
      expected[path] = values
    }
    #expect(dropping.denseGradients == expected)
  }

  /// Dropout between layers and before the output is as wide as what a projection leaves, and training goes on.
  @Test(
    "Variants with dropout and weight drop learn", arguments: [VariantStack.mixed, .projection])
  func learningWithRegularization(stack: VariantStack) throws {
    let network = try model(stack)
    var optimizer = Optimizer(.adam, [.learningRate: 0.01], for: stack.architecture)
    let (inputs, targets) = (Self.inputs.map { $0 % 7 }, Self.targets.map { $0 % 7 })
    var losses: [Double] = []
    for draw in 0..<40 as Range<UInt32> {
      let regularizer = Regularizer(
        [
          RegularizationTerm(site: .between, kind: .locked, rate: 0.1),
          RegularizationTerm(site: .output, kind: .element, rate: 0.1),
          RegularizationTerm(site: .weightHH, kind: .weight, rate: 0.1),
        ], seed: 1, draw: draw)
      var state = network.zeroState(columns: 3)
      losses.append(
        try network.backpropagate(
          inputs: inputs, targets: targets, state: &state, regularizer: regularizer))
      optimizer.step(network, gradientNorm: optimizer.gradientNorm(of: network))
    }
    let (first, last) = (losses.prefix(5).reduce(0, +), losses.suffix(5).reduce(0, +))
    #expect(last < first - 0.1)
    #expect(network.firstNonFinite == nil)
  }

  /// Gradients of the last step's loss by earlier states: those of the hidden states by differences.
  @Test(
    "Gradient norms by earlier states of variants equal numeric derivatives",
    arguments: [VariantStack.projection, .hardProjection, .hardResetBefore, .resetBefore])
  func lagNormsOfVariants(stack: VariantStack) throws {
    let architecture = stack.architecture
    let tree = filled(architecture, seed: 6)
    var naive = NaiveModel(architecture: architecture, parameters: [:])
    for (path, _) in architecture.parameters {
      naive.parameters[path] = tree[path]?.floats()?.map(Double.init)
    }
    // The state before a window of one step is that of lag 1 of a window of two.
    let network = try TrainableModel(architecture: architecture, parameters: tree)
    let found = try network.lagNorms(
      inputs: [3, 5], targets: [2], state: network.zeroState(columns: 1))
    var state = network.zeroState(columns: 1)
    try network.read([3], state: &state)
    let top = architecture.layers.count - 1
    func squares(_ numbers: WritableKeyPath<LayerState, [Float]>) -> Double {
      state.layers[top][keyPath: numbers].indices.reduce(0) { sum, index in
        var (above, below) = (state, state)
        // Powers of two: exact in f32 for states below 1.
        above.layers[top][keyPath: numbers][index] += 0x1p-9
        below.layers[top][keyPath: numbers][index] -= 0x1p-9
        let width =
          Double(above.layers[top][keyPath: numbers][index])
          - Double(below.layers[top][keyPath: numbers][index])
        let slope =
          naive.loss(inputs: [5], targets: [2], state: above)
          - naive.loss(inputs: [5], targets: [2], state: below)
        return sum + (slope / width) * (slope / width)
      }
    }
    #expect(abs(found.layers[top].h[1][0] / squares(\.h).squareRoot() - 1) < 1e-4)
  }
}
