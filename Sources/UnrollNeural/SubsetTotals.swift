// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The total probability of some tokens, summed panel by panel.

import CUnrollKernels
import UnrollTensors

/// The logarithm of the total probability of a subset of the vocabulary at each row of a window.
///
/// Only the logits of the subset are gathered, one panel and one block of rows at a time, and summed as the
/// softmax itself is: maximum and sum run along, in double precision and one order of additions.
struct SubsetTotals {
  /// The outputs whose probabilities are summed, ascending, `[S]`; not empty.
  private let tokens: [Int32]
  private var maxima: [Float] = []
  private var gathered: [Float] = []
  /// Out: `[M]` logarithms of the totals.
  private(set) var logarithms: [Double] = []

  /// Creates the totals of a subset.
  ///
  /// - Parameter tokens: Rows of the output weight, ascending; `nil` is returned for none.
  init?(of tokens: [Int32]) {
    guard !tokens.isEmpty else { return nil }
    self.tokens = tokens
  }

  /// Begins a window.
  mutating func begin(rows M: Int) {
    maxima = Array(repeating: -.infinity, count: M)
    logarithms = Array(repeating: 0, count: M)
  }

  /// Adds the logits of a panel.
  ///
  /// - Parameters:
  ///   - logits: `[rows.count, panel.count]`
  ///   - rows: The rows of the window.
  ///   - panel: The outputs of the panel.
  mutating func add(_ logits: UnsafePointer<Float>, rows: Range<Int>, panel: Range<Int>) {
    let first = tokens.partitioningIndex { Int($0) >= panel.lowerBound }
    let end = tokens.partitioningIndex { Int($0) >= panel.upperBound }
    let members = tokens[first..<end]
    guard !members.isEmpty else { return }
    gathered.removeAll(keepingCapacity: true)
    for row in rows {
      let start = logits + (row - rows.lowerBound) * panel.count - panel.lowerBound
      for token in members { gathered.append(start[Int(token)]) }
    }
    maxima.withUnsafeMutableBufferPointer { maxima in
      logarithms.withUnsafeMutableBufferPointer { sums in
        unroll_softmax_add_panel(
          gathered, rows.count, members.count, maxima.start + rows.lowerBound,
          sums.start + rows.lowerBound)
      }
    }
  }

  /// Ends a window: sums become logarithms of probabilities.
  ///
  /// - Parameter logPartitions: `[M]` logarithms of the sums over the whole vocabulary.
  mutating func finish(_ logPartitions: [Double]) {
    unroll_softmax_finish(maxima, &logarithms, logarithms.count)
    for (row, logPartition) in logPartitions.enumerated() {
      // Rounding must not make a probability larger than 1.
      logarithms[row] = min(0, logarithms[row] - logPartition)
    }
  }
}
