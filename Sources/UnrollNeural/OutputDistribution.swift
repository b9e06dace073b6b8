// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Log-probabilities of targets and of whole vocabularies, from logits that come panel by panel.

import CUnrollKernels
import UnrollTensors

/// A distribution over the vocabulary after each hidden state.
protocol OutputDistribution: Sendable {
  /// The number of tokens that have a probability, V.
  var outputCount: Int { get }

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
  ) throws -> [Double]

  /// Returns the log-probabilities of targets, and more if requested; see `predictByPanels`.
  func predict(
    _ targets: OutputTargets, hidden: UnsafePointer<Float>, scratch: OutputScratch,
    entropies: inout [Double], subset: inout SubsetTotals?, likeliest: inout LikeliestSearch?
  ) throws -> TargetPredictions

  /// Returns the log-probabilities of all tokens, `[M, V]`; see `logSoftmaxByPanels`.
  func logSoftmax(
    M: Int, hidden: UnsafePointer<Float>, scratch: OutputScratch
  ) throws -> [Float]
}

/// The log-probabilities of targets.
struct TargetPredictions {
  /// One for each target, in nats.
  var logProbabilities: [Double]
  /// `[M]` logarithms of the partition functions.
  let logPartitions: [Double]
}

extension OutputDistribution {
  func predict(
    _ targets: OutputTargets, hidden: UnsafePointer<Float>, scratch: OutputScratch,
    entropies: inout [Double], subset: inout SubsetTotals?, likeliest: inout LikeliestSearch?
  ) throws -> TargetPredictions {
    try predictByPanels(
      targets, hidden: hidden, scratch: scratch, entropies: &entropies, subset: &subset,
      likeliest: &likeliest)
  }

  func logSoftmax(
    M: Int, hidden: UnsafePointer<Float>, scratch: OutputScratch
  ) throws -> [Float] {
    try logSoftmaxByPanels(M: M, hidden: hidden, scratch: scratch)
  }

  /// Returns the log-probabilities of targets, and the entropies of the distributions if requested.
  ///
  /// - Parameters:
  ///   - targets: The targets of M rows.
  ///   - hidden: `[M, H]`
  ///   - scratch: Memory for intermediate results.
  ///   - entropies: In: `[M]` zeros if they are requested, else empty. Out: in nats.
  ///   - subset: The total probability of some tokens. Out: `[M]` its logarithms; `nil` if not requested.
  ///   - likeliest: The likeliest outputs and the targets' ranks; `nil` if not requested. Out: to be finished with
  ///     the logarithms of the partition functions that are returned.
  /// - Returns: One for each target, and the partition functions.
  /// - Throws: `NeuralError` if memory is short.
  func predictByPanels(
    _ targets: OutputTargets, hidden: UnsafePointer<Float>, scratch: OutputScratch,
    entropies: inout [Double], subset: inout SubsetTotals?, likeliest: inout LikeliestSearch?
  ) throws -> TargetPredictions {
    var targetLogits = [Float](repeating: -.infinity, count: targets.tokens.count)
    subset?.begin(rows: targets.M)
    likeliest?.begin(targets)
    let logPartitions = try forEachPanel(
      M: targets.M, hidden: hidden, scratch: scratch, entropies: &entropies
    ) { logits, rows, panel in
      for index in targets.indices(of: rows) where panel.contains(Int(targets.tokens[index])) {
        let row = logits + (targets.rows[index] - rows.lowerBound) * panel.count
        targetLogits[index] = row[Int(targets.tokens[index]) - panel.lowerBound]
      }
      subset?.add(logits, rows: rows, panel: panel)
      likeliest?.add(logits, rows: rows, panel: panel)
    }
    subset?.finish(logPartitions)
    if likeliest != nil {
      var noEntropies: [Double] = []
      _ = try forEachPanel(
        M: targets.M, hidden: hidden, scratch: scratch, entropies: &noEntropies
      ) { logits, rows, panel in
        likeliest?.rank(logits, rows: rows, panel: panel, targets, targetLogits)
      }
    }
    let logProbabilities = zip(targetLogits, targets.rows).map { Double($0) - logPartitions[$1] }
    return TargetPredictions(logProbabilities: logProbabilities, logPartitions: logPartitions)
  }

  /// Returns the log-probabilities of all tokens.
  ///
  /// - Parameters:
  ///   - M: The number of rows.
  ///   - hidden: `[M, H]`
  ///   - scratch: Memory for intermediate results.
  /// - Returns: `[M, V]`
  /// - Throws: `NeuralError` if memory is short.
  func logSoftmaxByPanels(
    M: Int, hidden: UnsafePointer<Float>, scratch: OutputScratch
  ) throws -> [Float] {
    let V = outputCount
    var all = [Float](repeating: 0, count: M * V)
    var noEntropies: [Double] = []
    try all.withUnsafeMutableBufferPointer { all in
      let logPartitions = try forEachPanel(
        M: M, hidden: hidden, scratch: scratch, entropies: &noEntropies
      ) {
        logits, rows, panel in
        for (index, row) in rows.enumerated() {
          (all.start + row * V + panel.lowerBound)
            .update(from: logits + index * panel.count, count: panel.count)
        }
      }
      for (row, logPartition) in logPartitions.enumerated() {
        unroll_softmax_normalize(all.start + row * V, V, logPartition)
      }
    }
    return all
  }
}

/// Tokens whose log-probabilities are requested after some of M hidden states.
struct OutputTargets {
  /// Rows of the output weight; -1 for a token without probability.
  let tokens: [Int32]
  /// The hidden state that each comes after, ascending; one may have several, or none.
  let rows: [Int]
  /// The number of hidden states.
  let M: Int

  /// Creates targets of which each hidden state has one.
  init(_ tokens: [Int32]) {
    self.init(tokens, rows: Array(tokens.indices), M: tokens.count)
  }

  /// Creates targets after the hidden states that they name.
  init(_ tokens: [Int32], rows: [Int], M: Int) {
    self.tokens = tokens
    self.rows = rows
    self.M = M
  }

  /// Returns the indices of the targets of some rows.
  func indices(of rows: Range<Int>) -> Range<Int> {
    let first = self.rows.partitioningIndex { $0 >= rows.lowerBound }
    return first..<self.rows.partitioningIndex { $0 >= rows.upperBound }
  }
}
