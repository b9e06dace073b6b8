// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The softmax over the vocabulary, panel by panel.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

/// The output layer with packed weights: hidden states in, log-probabilities out.
///
/// The vocabulary is cut into panels, and each panel meets all rows of the window while its weight
/// is in the cache. Of the logits, only those of one panel and one block of rows exist at a time;
/// maximum and sum of each row run along (Milakov & Gimelshein 2018, "Online normalizer calculation
/// for softmax").
struct OutputLayer: OutputDistribution {
  /// The number of vocabulary entries in a panel.
  ///
  /// With a block of rows, the logits fill half a megabyte, which a second-level cache holds.
  static let panelWidth = 1024
  /// The number of rows in a block.
  static let blockRows = 128

  /// `[V, H]` in panels; `[V, D]` after a projection.
  private let weight: PackedWeight
  /// `[D, H]`, or `nil` where the weight multiplies the hidden states as they are.
  private let projection: PackedWeight?

  /// Packs the weight.
  ///
  /// - Parameters:
  ///   - weight: `[V, H]`; `[V, D]` with a projection.
  ///   - bias: `[V]`, or `nil`.
  ///   - projection: `[D, H]`, or `nil`.
  ///   - precision: The compute precision.
  /// - Throws: `NeuralError` if memory is short.
  init(
    weight: Tensor, bias: [Float]?, projection: Tensor? = nil, precision: Precision = .float32
  ) throws {
    self.weight = try PackedWeight(
      weight, bias: bias, panelWidth: Self.panelWidth, precision: precision)
    self.projection = try projection.map {
      try PackedWeight($0, bias: nil, precision: precision)
    }
  }

  /// The number of rows of the weight.
  var outputCount: Int { weight.N }

  func logSoftmax(
    M: Int, hidden: UnsafePointer<Float>, scratch: inout OutputScratch
  ) throws -> [Float] {
    M == 1
      ? try logSoftmaxOfRow(hidden: hidden, scratch: &scratch)
      : try logSoftmaxByPanels(M: M, hidden: hidden, scratch: &scratch)
  }

  /// Returns the log-probabilities of all tokens for one row, `[V]`: each thread has panels of its own.
  private func logSoftmaxOfRow(
    hidden: UnsafePointer<Float>, scratch: inout OutputScratch
  ) throws -> [Float] {
    try withInput(M: 1, hidden: hidden, scratch: &scratch) { input, _ in
      var row = [Float](repeating: 0, count: weight.N)
      try row.withUnsafeMutableBufferPointer { row in
        let logits = row.start
        try forEachPart(of: weight.panels.count, atLeast: 4) {
          for index in $0 {
            try weight.multiply(
              input, into: logits + weight.panels[index].lowerBound, M: 1, panel: index)
          }
        }
        var (maximum, sum) = (-Float.infinity, 0.0)
        for panel in weight.panels {
          unroll_softmax_add_panel(
            logits + panel.lowerBound, 1, panel.count, &maximum, &sum)
        }
        unroll_softmax_finish(&maximum, &sum, 1)
        unroll_softmax_normalize(logits, row.count, sum)
      }
      return row
    }
  }

  /// Passes the input of the weight in its precision: hidden states, projected if there is a projection.
  private func withInput<Result>(
    M: Int, hidden: UnsafePointer<Float>, scratch: inout OutputScratch,
    _ body: (Operand, inout [Float]) throws -> Result
  ) throws -> Result {
    func withInput(_ input: UnsafePointer<Float>) throws -> Result {
      let (precision, K) = (weight.precision, weight.K)
      return try scratch.rounded.withScratch(M * precision.scratchWidth(K)) { rounded in
        try body(
          precision.operand(input, rows: M, width: K, in: rounded), &scratch.logits)
      }
    }
    guard let projection else { return try withInput(hidden) }
    return try scratch.projected.withScratch(M * projection.N) { projected in
      let count = M * projection.precision.scratchWidth(projection.K)
      try scratch.rounded.withScratch(count) {
        try projection.multiply(hidden, in: $0, into: projected, M: M)
      }
      return try withInput(projected)
    }
  }

  /// Computes the logits of every panel and block of rows, and the partition functions.
  ///
  /// - Parameters:
  ///   - M: The number of rows.
  ///   - hidden: `[M, H]`
  ///   - scratch: Memory for intermediate results.
  ///   - entropies: In: `[M]` zeros if they are requested, else empty. Out: in nats.
  ///   - body: Receives logits `[rows.count, panel.count]`, the rows and the panel's tokens.
  /// - Returns: `[M]`, for each row the logarithm of its sum of exponentials.
  /// - Throws: `NeuralError` if memory is short.
  func forEachPanel(
    M: Int, hidden: UnsafePointer<Float>, scratch: inout OutputScratch,
    entropies: inout [Double],
    _ body: (UnsafePointer<Float>, Range<Int>, Range<Int>) -> Void
  ) throws -> [Double] {
    var maxima = [Float](repeating: -.infinity, count: M)
    var sums = [Double](repeating: 0, count: M)
    let blocks = stride(from: 0, to: M, by: Self.blockRows).map { $0..<min($0 + Self.blockRows, M) }
    let size = min(M, Self.blockRows) * min(weight.N, Self.panelWidth)
    try withInput(M: M, hidden: hidden, scratch: &scratch) { input, logits in
      try logits.withScratch(size) { logits in
        for (index, panel) in weight.panels.enumerated() {
          for rows in blocks {
            try weight.multiply(
              input.dropping(rows: rows.lowerBound), into: logits, M: rows.count, panel: index)
            body(logits, rows, panel)
            maxima.withUnsafeMutableBufferPointer { maxima in
              sums.withUnsafeMutableBufferPointer { sums in
                let (maxima, sums) = (maxima.start + rows.lowerBound, sums.start + rows.lowerBound)
                guard !entropies.isEmpty else {
                  return unroll_softmax_add_panel(logits, rows.count, panel.count, maxima, sums)
                }
                entropies.withUnsafeMutableBufferPointer {
                  unroll_softmax_add_panel_with_entropy(
                    logits, rows.count, panel.count, maxima, sums, $0.start + rows.lowerBound)
                }
              }
            }
          }
        }
      }
    }
    if !entropies.isEmpty { unroll_softmax_entropy(sums, &entropies, M) }
    unroll_softmax_finish(maxima, &sums, M)
    return sums
  }
}
