// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Softmax and cross-entropy, forward and backward in one pass.

import CUnrollKernels

/// The output layer of a model in training.
///
/// The rows of a window are taken in blocks. The logits of one block exist as a whole, in panels of
/// the vocabulary, and become their own gradients in place.
struct TrainableOutput {
  /// The most rows in a block.
  ///
  /// More rows go through the weight and its gradient fewer times; the
  /// logits take as many times V numbers.
  static let largestBlock = 384
  /// The number of vocabulary entries in a panel.
  static let panelWidth = 1024

  /// The size of the vocabulary.
  let V: Int
  /// The width of the weight's input: of the hidden state, or of its projection.
  let H: Int
  let products: Products
  /// The columns of a sampled softmax, `[M]` rows and V columns; `nil` for a softmax over all.
  var sampled: SampledOutputs?

  /// Computes the cross-entropy of a window of M rows and the gradients of its mean, with a projection
  /// before the weight if there is one.
  ///
  /// - Parameters:
  ///   - targets: `[M]` tokens.
  ///   - scale: The factor of the gradients of the sum: 1/M for the gradients of the mean.
  ///   - hidden: `[M, top]`
  ///   - projection: `[H, top]`, or `nil` where the weight multiplies the hidden states as they are.
  ///   - weight: `[V, H]`
  ///   - bias: `[V]`, or `nil`.
  ///   - gradients: Out: the gradients.
  /// - Returns: The sum over the rows of the negative log-probability of the target, in nats.
  /// - Throws: `NeuralError` if memory is short.
  func crossEntropy(
    _ targets: [Int32], scale: Float, hidden: UnsafePointer<Float>, projection: [Float]?,
    weight: [Float], bias: [Float]?, gradients: inout OutputGradients
  ) throws -> Double {
    guard let projection else {
      return try crossEntropy(
        targets, scale: scale, hidden: hidden, weight: weight, bias: bias, gradients: &gradients)
    }
    let (M, top) = (targets.count, projection.count / H)
    return try projection.withUnsafeBufferPointer { projection in
      let projected = gradients.projected.room(for: M * H)
      try products.multiply(
        Factor(hidden), .transpose(projection.start), into: projected, M: M, N: H, K: top)
      let loss = try crossEntropy(
        targets, scale: scale, hidden: projected, weight: weight, bias: bias, gradients: &gradients)
      // The gradients of the projected states come first, then those of the states.
      swap(&gradients.hidden, &gradients.dProjected)
      let dProjected = gradients.dProjected.start
      try gradients.projection.withScratch(H * top) {
        try products.multiply(
          .transpose(dProjected), Factor(hidden), into: $0, M: H, N: top, K: M)
      }
      try products.multiply(
        Factor(dProjected), Factor(projection.start), into: gradients.hidden.room(for: M * top),
        M: M, N: top, K: H)
      return loss
    }
  }

  /// Computes the cross-entropy of a window of M rows and the gradients of its mean.
  ///
  /// - Parameters:
  ///   - targets: `[M]` tokens.
  ///   - scale: The factor of the gradients of the sum: 1/M for the gradients of the mean.
  ///   - hidden: `[M, H]`
  ///   - weight: `[V, H]`
  ///   - bias: `[V]`, or `nil`.
  ///   - gradients: Out: the gradients.
  /// - Returns: The sum over the rows of the negative log-probability of the target, in nats.
  /// - Throws: `NeuralError` if memory is short.
  private func crossEntropy(
    _ targets: [Int32], scale: Float, hidden: UnsafePointer<Float>, weight: [Float],
    bias: [Float]?, gradients: inout OutputGradients
  ) throws -> Double {
    let M = targets.count
    let count = (M + Self.largestBlock - 1) / Self.largestBlock
    return try weight.withUnsafeBufferPointer { weight in
      try (bias ?? []).withUnsafeBufferPointer { biases in
        try gradients.withBuffers(M: M, V: V, H: H, hasBias: bias != nil) { buffers in
          var total = 0.0
          for index in 0..<count {
            let block = Block(
              rows: M * index / count..<M * (index + 1) / count, targets: targets, scale: scale,
              hidden: hidden, weight: weight.start, bias: bias == nil ? nil : biases.start,
              buffers: buffers)
            let logPartitions = try forward(block)
            total += loss(block, logPartitions)
            try backward(block, logPartitions)
          }
          return total
        }
      }
    }
  }

  /// A block of the rows of a window.
  private struct Block {
    let rows: Range<Int>
    /// The tokens of all rows, `[M]`.
    let targets: [Int32]
    let scale: Float
    /// The hidden states of all rows, `[M, H]`.
    let hidden: UnsafePointer<Float>
    /// The weight, `[V, H]`.
    let weight: UnsafePointer<Float>
    /// The bias, `[V]`, or `nil`.
    let bias: UnsafePointer<Float>?
    let buffers: OutputGradients.Buffers
  }

  /// The panels of the vocabulary.
  private var panels: [Range<Int>] {
    stride(from: 0, to: V, by: Self.panelWidth).map { $0..<min($0 + Self.panelWidth, V) }
  }

  /// Computes the logits of a block and the logarithms of their sums of exponentials.
  private func forward(_ block: Block) throws -> [Double] {
    let M = block.rows.count
    var maxima = [Float](repeating: -.infinity, count: M)
    var sums = [Double](repeating: 0, count: M)
    for panel in panels {
      let logits = block.buffers.logits + panel.lowerBound * M  // [M, panel]
      try products.multiply(
        Factor(block.hidden + block.rows.lowerBound * H),
        .transpose(block.weight + panel.lowerBound * H),
        bias: block.bias.map { $0 + panel.lowerBound }, into: logits, M: M, N: panel.count, K: H)
      sampled?.mask(logits, rows: block.rows, panel: panel)
      unroll_softmax_add_panel(logits, M, panel.count, &maxima, &sums)
    }
    unroll_softmax_finish(maxima, &sums, M)
    return sums
  }

  /// Returns the sum of the negative log-probabilities of a block's targets.
  private func loss(_ block: Block, _ logPartitions: [Double]) -> Double {
    var total = 0.0
    for (row, logPartition) in logPartitions.enumerated() {
      let target = Int(block.targets[block.rows.lowerBound + row])
      let first = target / Self.panelWidth * Self.panelWidth
      let width = min(Self.panelWidth, V - first)
      let logits = block.buffers.logits + first * block.rows.count
      total += logPartition - Double(logits[row * width + target - first])
    }
    return total
  }

  /// Turns the logits of a block into their gradients and multiplies these by the weight and the hidden states.
  private func backward(_ block: Block, _ logPartitions: [Double]) throws {
    let (M, first) = (block.rows.count, block.rows.lowerBound)
    let targets = Array(block.targets[block.rows])
    let buffers = block.buffers
    for panel in panels {
      let gradients = buffers.logits + panel.lowerBound * M  // [M, panel]
      unroll_softmax_gradient(
        gradients, M, panel.count, logPartitions, targets, panel.lowerBound, block.scale)
      try products.multiply(
        Factor(gradients), Factor(block.weight + panel.lowerBound * H),
        into: buffers.hidden + first * H, adds: panel.lowerBound > 0, M: M, N: H, K: panel.count)
      try products.multiply(
        .transpose(gradients), Factor(block.hidden + first * H),
        into: buffers.weight + panel.lowerBound * H, adds: first > 0, M: panel.count, N: H, K: M)
      if let bias = buffers.bias {
        unroll_add_column_sums(gradients, M, panel.count, bias + panel.lowerBound)
      }
    }
  }
}

/// The gradients that the output layer computes in a window.
///
/// Gradients of parameters are values; a copy shares the memory of the rest.
struct OutputGradients {
  /// The gradients of the hidden states, `[M, H]`.
  var hidden = ScratchBuffer<Float>()
  /// The gradient of the weight, `[V, H]`.
  var weight: [Float] = []
  /// The rows of the gradient of the weight of a sampled softmax, in place of `weight`.
  var rows: RowGradient?
  /// The gradient of the bias, `[V]`.
  var bias: [Float] = []
  /// The gradient of the projection before the weight, `[H, top]`; empty without one.
  var projection: [Float] = []
  /// `[M, H]` the hidden states after a projection.
  let projected = ScratchBuffer<Float>()
  /// `[M, H]` the gradients of the hidden states after a projection.
  var dProjected = ScratchBuffer<Float>()
  /// `[rows, V]` in panels: the logits of one block of rows, then their gradients.
  var logits = ScratchBuffer<Float>()

  /// Sets the gradients of a layer that no row of a window needs, all zeros.
  mutating func clear(weight weightCount: Int, projection projectionCount: Int) {
    weight = Array(repeating: 0, count: weightCount)
    projection = Array(repeating: 0, count: projectionCount)
  }

  /// The addresses.
  struct Buffers {
    let hidden: UnsafeMutablePointer<Float>
    let weight: UnsafeMutablePointer<Float>
    let bias: UnsafeMutablePointer<Float>?
    let logits: UnsafeMutablePointer<Float>
  }

  /// Makes room and passes the addresses; the bias starts at zero, since it is summed up.
  fileprivate mutating func withBuffers<Result>(
    M: Int, V: Int, H: Int, hasBias: Bool, _ body: (Buffers) throws -> Result
  ) rethrows -> Result {
    let hidden = hidden.room(for: M * H)
    let logits = logits.room(for: min(M, TrainableOutput.largestBlock) * V)
    return try weight.withScratch(V * H) { weight in
      try bias.withScratch(hasBias ? V : 0) { bias in
        if hasBias { bias.update(repeating: 0, count: V) }
        return try body(
          Buffers(hidden: hidden, weight: weight, bias: hasBias ? bias : nil, logits: logits))
      }
    }
  }
}
