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
    M: Int, hidden: UnsafePointer<Float>, scratch: OutputScratch
  ) throws -> [Float] {
    M == 1
      ? try logSoftmaxOfRow(hidden: hidden, scratch: scratch)
      : try logSoftmaxByPanels(M: M, hidden: hidden, scratch: scratch)
  }

  /// Returns the log-probabilities of all tokens for one row, `[V]`: each thread has panels of its own.
  private func logSoftmaxOfRow(
    hidden: UnsafePointer<Float>, scratch: OutputScratch
  ) throws -> [Float] {
    let input = try operand(M: 1, hidden: hidden, scratch: scratch)
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
        unroll_softmax_add_panel(logits + panel.lowerBound, 1, panel.count, &maximum, &sum)
      }
      unroll_softmax_finish(&maximum, &sum, 1)
      unroll_softmax_normalize(logits, row.count, sum)
    }
    return row
  }

  /// Returns the input of the weight in its precision: hidden states, projected if there is a projection.
  ///
  /// - Parameters:
  ///   - M: The number of rows.
  ///   - hidden: `[M, H]`
  ///   - scratch: Out: the numbers, unless they are the hidden states as they are.
  /// - Returns: The rows.
  /// - Throws: `NeuralError` if memory is short.
  private func operand(
    M: Int, hidden: UnsafePointer<Float>, scratch: OutputScratch
  ) throws -> Operand {
    var input = hidden
    if let projection {
      let count = M * projection.precision.scratchWidth(projection.K)
      let projected = scratch.projected.room(for: M * projection.N)
      try projection.multiply(
        hidden, in: scratch.rounded.room(for: count), into: projected, M: M)
      input = UnsafePointer(projected)
    }
    let (precision, K) = (weight.precision, weight.K)
    let rounded = scratch.rounded.room(for: M * precision.scratchWidth(K))
    return precision.operand(input, rows: M, width: K, in: rounded)
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
    M: Int, hidden: UnsafePointer<Float>, scratch: OutputScratch,
    entropies: inout [Double],
    _ body: (UnsafePointer<Float>, Range<Int>, Range<Int>) -> Void
  ) throws -> [Double] {
    let (maxima, sums) = (scratch.maxima.room(for: M), scratch.sums.room(for: M))
    maxima.update(repeating: -.infinity, count: M)
    sums.update(repeating: 0, count: M)
    let blocks = stride(from: 0, to: M, by: Self.blockRows).map { $0..<min($0 + Self.blockRows, M) }
    let logits = scratch.logits.room(
      for: min(M, Self.blockRows) * min(weight.N, Self.panelWidth))
    let input = try operand(M: M, hidden: hidden, scratch: scratch)
    try entropies.withUnsafeMutableBufferPointer { entropies in
      for (index, panel) in weight.panels.enumerated() {
        for rows in blocks {
          let (first, count) = (rows.lowerBound, rows.count)
          try weight.multiply(
            input.dropping(rows: first), into: logits, M: count, panel: index)
          body(logits, rows, panel)
          if entropies.isEmpty {
            unroll_softmax_add_panel(logits, count, panel.count, maxima + first, sums + first)
          } else {
            unroll_softmax_add_panel_with_entropy(
              logits, count, panel.count, maxima + first, sums + first, entropies.start + first)
          }
        }
      }
      if !entropies.isEmpty { unroll_softmax_entropy(sums, entropies.start, M) }
    }
    unroll_softmax_finish(maxima, sums, M)
    return Array(UnsafeBufferPointer(start: sums, count: M))
  }
}
