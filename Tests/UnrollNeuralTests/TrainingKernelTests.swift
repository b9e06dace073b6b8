// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The kernels of training against plain loops in double precision.

import CUnrollKernels
import Foundation
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollNeural

@Suite("Kernels of training") struct TrainingKernelTests {
  @Test(
    "Products of plain and transposed matrices equal the textbook formula",
    arguments: [(1, 1, 1), (5, 7, 3), (40, 65, 33), (130, 257, 64)],
    [false, true].flatMap { adds in
      Precision.ofTraining.map { (adds, $0) }
    })
  func productsOfMatrices(
    sizes: (Int, Int, Int), kind: (adds: Bool, precision: Precision)
  ) throws {
    let ((M, N, K), (adds, precision)) = (sizes, kind)
    var generator = SeededGenerator(seed: UInt64(M))
    let a = generator.floats(M * K, in: -1...1)
    let b = generator.floats(N * K, in: -1...1)  // [N, K]
    let bias = generator.floats(N, in: -1...1)
    let before = generator.floats(M * N, in: -1...1)
    func transposed(_ x: [Float], _ rows: Int, _ columns: Int) -> [Float] {
      (0..<columns).flatMap { c in (0..<rows).map { r in x[r * columns + c] } }
    }
    let kept = [a, b, transposed(a, M, K), transposed(b, N, K)].map { matrix in
      let numbers = UnsafeMutablePointer<Float>.allocate(capacity: matrix.count)
      numbers.initialize(from: matrix, count: matrix.count)
      return numbers
    }
    defer {
      for numbers in kept { numbers.deallocate() }
    }
    let products = try Products(precision)
    for hasBias in [false, true] {
      let expected = try zip(
        Naive.product(
          precision.rounded(a, width: K), precision.rounded(b, width: K),
          bias: hasBias ? bias : nil, M: M, N: N, K: K),
        before
      ).map { $0 + (adds ? Double($1) : 0) }
      let factors: [(Factor, Factor)] = [
        (Factor(kept[0]), .transpose(kept[1])), (Factor(kept[0]), Factor(kept[3])),
        (.transpose(kept[2]), Factor(kept[3])), (.transpose(kept[2]), .transpose(kept[1])),
      ]
      for (left, right) in factors {
        var c = before
        try products.multiply(
          left, right, bias: hasBias ? bias : nil, into: &c, adds: adds, M: M, N: N, K: K)
        #expect(largestError(c, expected) < 1e-5)
      }
    }
  }

  @Test(
    "The softmax gradient equals the textbook formula, panel by panel",
    arguments: [1, 16, 250, 1030])
  func softmaxGradient(N: Int) {
    var generator = SeededGenerator(seed: UInt64(N))
    let M = 9
    let logits = generator.floats(M * N, in: -20...20)
    let targets = (0..<M).map { Int32($0 * 37 % N) }
    let logPartitions = (0..<M).map { Naive.logSumExp(logits[$0 * N..<($0 + 1) * N]) }
    let cut = N / 3
    for (first, width) in [(0, N), (cut, N - cut)] {
      var panel = (0..<M).flatMap { logits[$0 * N + first..<$0 * N + first + width] }
      let expected = (0..<M * width).map { place in
        let (row, column) = (place / width, first + place % width)
        let p = exp(Double(logits[row * N + column]) - logPartitions[row])
        return 0.125 * (p - (Int(targets[row]) == column ? 1 : 0))
      }
      unroll_softmax_gradient(&panel, M, width, logPartitions, targets, first, 0.125)
      #expect(largestError(panel, expected) < 1e-7)
    }
  }

  @Test(
    "Sums of squares are those of double precision",
    arguments: [0, 1, 15, 16, 17, 1000, 100_003])
  func sumsOfSquares(count: Int) {
    var generator = SeededGenerator(seed: UInt64(count))
    let x = generator.floats(count)
    let expected = x.reduce(0) { $0 + Double($1) * Double($1) }
    #expect(abs(unroll_sum_of_squares(x, count) - expected) <= 1e-12 * expected)
  }

  @Test(
    "Column sums are added to the given numbers",
    arguments: [(1, 1), (3, 127), (50, 128), (700, 301)])
  func columnSums(M: Int, N: Int) {
    var generator = SeededGenerator(seed: UInt64(N))
    let x = generator.floats(M * N)
    var sums = [Float](repeating: 1, count: N)
    unroll_add_column_sums(x, M, N, &sums)
    let expected = (0..<N).map { column in
      1 + (0..<M).reduce(0) { $0 + Double(x[$1 * N + column]) }
    }
    #expect(largestError(sums, expected) < 1e-5)
  }

  @Test("A number that is not finite is found at any place", arguments: [0, 1, 16, 100])
  func nonFiniteNumbers(place: Int) {
    var x = [Float](repeating: 3e38, count: 101)
    #expect(unroll_all_finite(x, x.count))
    for value in [Float.nan, .infinity, -.infinity] {
      x[place] = value
      #expect(!unroll_all_finite(x, x.count))
    }
  }

  @Test(
    "SGD steps with momentum, weight decay and clipping equal the textbook formula",
    arguments: [0.0, 0.9], [0.0, 0.01])
  func sgdSteps(momentum: Double, weightDecay: Double) throws {
    let (V, D) = (7, 3)
    let layer = LayerArchitecture(cell: .rnn, inputSize: D, hiddenSize: 4)
    let architecture = Architecture(
      vocabularySize: V, embeddingSize: D, layers: [layer], isTied: false)
    var generator = SeededGenerator(seed: 3)
    var tree = ParameterTree<Tensor>()
    var expected: [ParameterPath: [Double]] = [:]
    for (path, shape) in architecture.parameters {
      let values = generator.floats(shape.elementCount ?? 0, in: -1...1)
      tree[path] = Tensor(values, shape: shape)
      expected[path] = values.map(Double.init)
    }
    let model = try TrainableModel(architecture: architecture, parameters: tree)
    var optimizer = Optimizer(
      .sgd, [.learningRate: 0.5, .momentum: momentum, .weightDecay: weightDecay],
      clip: .globalNorm(0.1), for: architecture)
    var velocities = expected.mapValues { $0.map { _ in 0.0 } }
    var state = model.zeroState(columns: 2)
    // Rows 2, 3 and 6 of the embedding are never read: they only decay, or drift.
    for inputs in [[0, 1, 4, 5], [5, 5, 0, 0], [1, 4, 4, 1]] as [[Int32]] {
      _ = try model.backpropagate(inputs: inputs, targets: [1, 2, 3, 6], state: &state)
      let gradients = model.denseGradients
      let norm = optimizer.gradientNorm(of: model)
      let square = gradients.values.joined().reduce(0) { $0 + Double($1) * Double($1) }
      #expect(abs(norm - square.squareRoot()) < 1e-9)
      let scale = min(1, 0.1 / (norm + 1e-6))
      #expect(scale < 1)
      optimizer.step(model, gradientNorm: norm)
      for (path, gradient) in gradients {
        for index in gradient.indices {
          let p = expected[path]?[index] ?? .nan
          let v =
            momentum * (velocities[path]?[index] ?? .nan) + scale * Double(gradient[index])
            + weightDecay * p
          velocities[path]?[index] = v
          expected[path]?[index] = p - 0.5 * v
        }
      }
    }
    let found = model.tensors
    for (path, values) in expected {
      #expect(largestError(try #require(found[path]?.floats()), values) < 1e-6, "\(path)")
    }
  }
}
