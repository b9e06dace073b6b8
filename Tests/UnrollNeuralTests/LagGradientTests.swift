// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Gradients of one step's loss by earlier states: against PyTorch's, and where the answer is known.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollNeural

@Suite("Gradients by earlier states") struct LagGradientTests {
  /// The output of scripts/make/gradient-fixtures for a window that begins with a zero state.
  private struct Window: Decodable {
    let inputs: [Int32]  // [T, B]
    let targets: [Int32]  // [B]
    let loss: Double
    let h: [[[Double]]]  // [L][K+1][B]
    let c: [[[Double]]]
  }

  static let names = ["lstm-2", "lstm-2-tied", "gru-2", "rnn-tanh-2", "rnn-relu-2"]

  @Test("Gradient norms at each lag equal those of PyTorch", arguments: names)
  func normsOfAutograd(name: String) throws {
    let (description, windows): (FixtureModel, [Window]) = try readFixture("gradients/\(name).json")
    let window = try #require(windows.first)
    let model = try TrainableModel(
      architecture: description.architecture(), parameters: description.tree())
    let B = description.columns
    let steps = window.h[0].count
    // The steps before lag K only carry the state.
    var state = model.zeroState(columns: B)
    try model.read(Array(window.inputs.dropLast(steps * B)), state: &state)
    let found = try model.lagNorms(
      inputs: Array(window.inputs.suffix(steps * B)), targets: window.targets, state: state)
    #expect(abs(found.loss / window.loss - 1) < 1e-6)
    #expect(found.layers.count == window.h.count)
    for (layer, norms) in found.layers.enumerated() {
      expectEqual(norms.h, window.h[layer], "h of layer \(layer)")
      expectEqual(norms.c, window.c.isEmpty ? [] : window.c[layer], "c of layer \(layer)")
    }
  }

  private func expectEqual(_ found: [[Double]], _ expected: [[Double]], _ what: String) {
    #expect(found.map(\.count) == expected.map(\.count))
    for (k, (found, expected)) in zip(found, expected).enumerated() {
      for (own, other) in zip(found, expected) {
        #expect(abs(own - other) <= 1e-5 * other, "\(what), lag \(k): \(own), PyTorch \(other)")
      }
    }
  }

  /// A plain cell whose states stay positive, so that relu is the identity, and whose `weight_hh` is r
  /// times a permutation, which changes no norm: the answer is r to the k-th.
  @Test(
    "Gradient norms of a linear RNN are powers of its recurrent weight",
    arguments: [0.5, 1, 0.875, 1.25] as [Float])
  func linearModel(r: Float) throws {
    let (V, H, B, K) = (5, 4, 3, 40)
    let architecture = Architecture(
      vocabularySize: V, embeddingSize: H,
      layers: [LayerArchitecture(cell: .rnn, inputSize: H, hiddenSize: H, activation: .relu)],
      isTied: false)
    var generator = SeededGenerator(seed: 3)
    var tree = ParameterTree<Tensor>()
    for (path, shape) in architecture.parameters {
      // Small logits, so that the softmax of a growing state has a gradient.
      let range: ClosedRange<Float> = path == .outputWeight ? -1e-5...1e-5 : 0.1...0.2
      tree[path] = Tensor(generator.floats(shape.elementCount ?? 0, in: range), shape: shape)
    }
    var weight = [Float](repeating: 0, count: H * H)
    for row in 0..<H { weight[row * H + (row + 1) % H] = r }
    tree[.layer(0, .weightHH)] = Tensor(weight, shape: [H, H])
    let model = try TrainableModel(architecture: architecture, parameters: tree)
    let inputs = (0..<(K + 1) * B).map { Int32($0 * 3 % V) }
    let norms = try model.lagNorms(
      inputs: inputs, targets: [1, 0, 4], state: model.zeroState(columns: B)
    ).layers[0]
    for b in 0..<B {
      #expect(norms.h[0][b] > 1e-6)
      for k in 0...K {
        let expected = pow(Double(r), Double(k))
        #expect(abs(norms.h[k][b] / norms.h[0][b] / expected - 1) < 1e-5)
      }
    }
    #expect(norms.c.isEmpty)
    let spectrum = try MatrixSpectrum(of: weight, size: H)
    #expect(abs(spectrum.spectralRadius / Double(r) - 1) < 1e-5)
    #expect(abs(spectrum.largestSingularValue / Double(r) - 1) < 1e-5)
  }

  @Test("Gradient norms are the same with any number of threads")
  func threadCounts() throws {
    let fixture = try TrainingFixture("lstm-2-many-rows")
    let window = fixture.windows[0]
    let B = fixture.description.columns
    let before = Threads.count
    defer { Threads.count = before }
    func norms() throws -> [LagNorms] {
      let model = try fixture.model()
      return try model.lagNorms(
        inputs: window.inputs, targets: Array(window.targets.prefix(B)),
        state: model.zeroState(columns: B)
      ).layers
    }
    Threads.count = 1
    let one = try norms()
    Threads.count = 2
    #expect(try norms() == one)
  }

  @Test("A measurement leaves state and gradients of later training unchanged")
  func unchangedModel() throws {
    let fixture = try TrainingFixture("gru-2")
    let window = fixture.windows[0]
    let B = fixture.description.columns
    let (model, other) = (try fixture.model(), try fixture.model())
    _ = try model.lagNorms(
      inputs: window.inputs, targets: Array(window.targets.prefix(B)),
      state: model.zeroState(columns: B))
    var states = [model.zeroState(columns: B), model.zeroState(columns: B)]
    for (index, model) in [model, other].enumerated() {
      _ = try model.backpropagate(
        inputs: window.inputs, targets: window.targets, state: &states[index])
    }
    #expect(states[0] == states[1] && model.denseGradients == other.denseGradients)
  }

  @Test("Inputs and targets that do not fit are refused")
  func invalidWindows() throws {
    let fixture = try TrainingFixture("gru-2")
    let model = try fixture.model()
    let B = fixture.description.columns
    let state = model.zeroState(columns: B)
    let inputs = [Int32](repeating: 0, count: 2 * B)
    let targets = [Int32](repeating: 0, count: B)
    let wrong: [([Int32], [Int32])] = [
      (inputs, inputs), ([], targets), (inputs.dropLast(), targets),
      (inputs, targets.map { _ in -1 }), (inputs.map { _ in 1000 }, targets),
    ]
    for (inputs, targets) in wrong {
      #expect(throws: NeuralError.self) {
        try model.lagNorms(inputs: inputs, targets: targets, state: state)
      }
    }
  }
}

@Suite("Spectral radius and largest singular value") struct MatrixSpectrumTests {
  private struct Reference: Decodable {
    struct Matrix: Decodable {
      let size: Int
      let values: [Float]
      let radius: Double
      let singular: Double
      let eigenvalues: [[Double]]
    }
    let matrices: [Matrix]
  }

  @Test("Spectral radius and largest singular value equal those of NumPy")
  func spectraOfNumPy() throws {
    let reference = try JSONDecoder().decode(
      Reference.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("gradients/spectra.json"))))
    #expect(reference.matrices.count == 8)
    for matrix in reference.matrices {
      let found = try MatrixSpectrum(of: matrix.values, size: matrix.size)
      #expect(abs(found.spectralRadius - matrix.radius) <= 2e-5 * matrix.radius)
      #expect(abs(found.largestSingularValue - matrix.singular) <= 1e-6 * matrix.singular)
    }
  }

  @Test("Eigenvalues equal those of NumPy, each with its multiplicity")
  func eigenvaluesOfNumPy() throws {
    let reference = try JSONDecoder().decode(
      Reference.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("gradients/spectra.json"))))
    for matrix in reference.matrices {
      let spectrum = try MatrixSpectrum(
        of: matrix.values, size: matrix.size, listsEigenvalues: true)
      var found = try #require(spectrum.eigenvalues)
      #expect(found.count == matrix.size)
      #expect(found.map(\.magnitude) == found.map(\.magnitude).sorted(by: >))
      for expected in matrix.eigenvalues {
        func distance(_ value: ComplexNumber) -> Double {
          ComplexNumber(value.real - expected[0], value.imaginary - expected[1]).magnitude
        }
        let nearest = try #require(
          found.indices.min { distance(found[$0]) < distance(found[$1]) })
        #expect(distance(found.remove(at: nearest)) <= 1e-12 * max(matrix.radius, 1e-9))
      }
    }
    #expect(try MatrixSpectrum(of: [1, 2, 3, 4], size: 2).eigenvalues == nil)
  }

  @Test("A cyclic shift has the roots of unity as its eigenvalues")
  func eigenvaluesOfShift() throws {
    // All have the same absolute value, which no shift by the last number tells apart.
    let N = 24
    let matrix = (0..<N * N).map { ($0 / N + 1) % N == $0 % N ? 1 : 0 as Float }
    let found = try #require(
      try MatrixSpectrum(of: matrix, size: N, listsEigenvalues: true).eigenvalues)
    for index in 0..<N {
      let angle = 2 * Double.pi * Double(index) / Double(N)
      let (real, imaginary) = (cos(angle), sin(angle))
      #expect(found.count { abs($0.real - real) + abs($0.imaginary - imaginary) < 1e-12 } == 1)
    }
  }

  @Test("The spectrum with a projection is that of the product")
  func spectrumWithProjection() throws {
    let (H, P) = (5, 3)
    var generator = SeededGenerator(seed: 12)
    let (matrix, projection) = (generator.floats(H * P), generator.floats(P * H))
    let columns = (0..<P * H).map { projection[$0 % P * H + $0 / P] }  // [H, P]
    let product = Naive.product(matrix, columns, bias: nil, M: H, N: H, K: P).map { Float($0) }
    let found = try MatrixSpectrum(of: matrix, after: projection, size: H)
    let expected = try MatrixSpectrum(of: product, size: H)
    #expect(abs(found.spectralRadius / expected.spectralRadius - 1) < 1e-5)
    #expect(abs(found.largestSingularValue / expected.largestSingularValue - 1) < 1e-5)
  }

  @Test("A zero matrix has spectral radius and singular value 0")
  func zeroMatrix() throws {
    let found = try MatrixSpectrum(of: [0, 0, 0, 0], size: 2)
    #expect(found.spectralRadius == 0 && found.largestSingularValue == 0)
  }
}
