// swift-format-ignore-file: AlwaysUseLowerCamelCase
// An adaptive softmax: a softmax over frequent tokens and tails, and one over the tokens of each tail.

import UnrollFormat
import UnrollTensors

/// The output layer of an adaptive softmax.
///
/// See Grave and others 2017, "Efficient softmax approximation for GPUs".
/// `log p(w) = head(w)` for a token of the head, and `log p(w) = head(tail) + tail(w)` for one of a tail, where head and
/// tails are log-softmaxes. Log-probabilities of targets compute the tails of the targets only, after the hidden states
/// that need them.
struct AdaptiveOutput: OutputDistribution {
  /// Over the tokens of the head, then the tails.
  private let head: OutputLayer
  private let tails: [Tail]
  /// The number of tokens of the head.
  private let headSize: Int
  /// The width of the hidden states, H.
  private let H: Int

  /// A tail, whose outputs are its tokens.
  private struct Tail: Sendable {
    let output: OutputLayer
    let tokens: Range<Int>
  }

  /// Packs the weights.
  ///
  /// - Throws: `NeuralError` if memory is short.
  init(
    _ architecture: Architecture, _ parameters: CheckedParameters, _ precision: Precision
  ) throws {
    head = try OutputLayer(
      weight: parameters.tensor(.outputWeight), bias: parameters.floats(.outputBias),
      precision: precision)
    tails = try architecture.tailTokens.enumerated().map { index, tokens in
      let output = try OutputLayer(
        weight: parameters.tensor(.tail(index, .weight)), bias: nil,
        projection: parameters.tensor(.tail(index, .projection)), precision: precision)
      return Tail(output: output, tokens: tokens)
    }
    headSize = architecture.headSize
    H = architecture.outputInputSize
  }

  var outputCount: Int { tails.last?.tokens.upperBound ?? headSize }

  /// Returns the log-probabilities of targets from the head and their own tails, whatever else is requested.
  func predict(
    _ targets: OutputTargets, hidden: UnsafePointer<Float>, scratch: OutputScratch,
    entropies: inout [Double], subset: inout SubsetTotals?, likeliest: inout LikeliestSearch?
  ) throws -> TargetPredictions {
    if !entropies.isEmpty || subset != nil || likeliest != nil {
      _ = try predictByPanels(
        targets, hidden: hidden, scratch: scratch, entropies: &entropies, subset: &subset,
        likeliest: &likeliest)
    }
    let entries = targets.tokens.map { token in
      tails.firstIndex { $0.tokens.contains(Int(token)) }.map { Int32(headSize + $0) } ?? token
    }
    var found = try plainPredictions(
      head, of: OutputTargets(entries, rows: targets.rows, M: targets.M), hidden: hidden,
      scratch: scratch)
    for (index, tail) in tails.enumerated() {
      let members = entries.indices.filter { entries[$0] == Int32(headSize + index) }
      guard !members.isEmpty else { continue }
      var rows: [Int] = []
      var ownRows: [Int] = []
      for member in members {
        if rows.last != targets.rows[member] { rows.append(targets.rows[member]) }
        ownRows.append(rows.count - 1)
      }
      let gathered = rows.flatMap { UnsafeBufferPointer(start: hidden + $0 * H, count: H) }
      let tokens = members.map { targets.tokens[$0] - Int32(tail.tokens.lowerBound) }
      let inTail = try plainPredictions(
        tail.output, of: OutputTargets(tokens, rows: ownRows, M: rows.count), hidden: gathered,
        scratch: scratch)
      for (member, logProbability) in zip(members, inTail.logProbabilities) {
        found.logProbabilities[member] += logProbability
      }
    }
    return found
  }

  /// Returns the log-probabilities of targets and nothing else.
  private func plainPredictions(
    _ output: OutputLayer, of targets: OutputTargets, hidden: UnsafePointer<Float>,
    scratch: OutputScratch
  ) throws -> TargetPredictions {
    var entropies: [Double] = []
    var subset: SubsetTotals?
    var likeliest: LikeliestSearch?
    return try output.predict(
      targets, hidden: hidden, scratch: scratch, entropies: &entropies, subset: &subset,
      likeliest: &likeliest)
  }

  /// Computes logits of all tokens whose softmax is the distribution.
  ///
  /// The logits of the head are as they are. The logits of a tail are shifted, so that the sum of their exponentials is the
  /// exponential of the tail's logit in the head. The partition functions are therefore those of the head. The entropy
  /// is that of the head plus, for each tail, its entropy times its probability.
  func forEachPanel(
    M: Int, hidden: UnsafePointer<Float>, scratch: OutputScratch,
    entropies: inout [Double],
    _ body: (UnsafePointer<Float>, Range<Int>, Range<Int>) -> Void
  ) throws -> [Double] {
    var tailLogits = [Float](repeating: 0, count: M * tails.count)
    let part = ScratchBuffer<Float>()
    let logPartitions = try head.forEachPanel(
      M: M, hidden: hidden, scratch: scratch, entropies: &entropies
    ) { logits, rows, panel in
      let own = panel.clamped(to: 0..<headSize)
      for (index, row) in rows.enumerated() {
        for entry in panel where entry >= headSize {
          tailLogits[row * tails.count + entry - headSize] =
            logits[index * panel.count + entry - panel.lowerBound]
        }
      }
      guard own.count < panel.count else { return body(logits, rows, panel) }
      guard !own.isEmpty else { return }
      let compact = part.room(for: rows.count * own.count)
      for place in 0..<rows.count {
        (compact + place * own.count).update(from: logits + place * panel.count, count: own.count)
      }
      body(compact, rows, own)
    }
    for (index, tail) in tails.enumerated() {
      var tailEntropies = [Double](repeating: 0, count: entropies.count)
      let tailPartitions = try tail.output.forEachPanel(
        M: M, hidden: hidden, scratch: scratch, entropies: &tailEntropies
      ) { _, _, _ in }
      let shifts = (0..<M).map {
        Float(Double(tailLogits[$0 * tails.count + index]) - tailPartitions[$0])
      }
      for row in entropies.indices {
        let logit = Double(tailLogits[row * tails.count + index])
        entropies[row] += Elementary.exp(logit - logPartitions[row]) * tailEntropies[row]
      }
      var noEntropies: [Double] = []
      _ = try tail.output.forEachPanel(
        M: M, hidden: hidden, scratch: scratch, entropies: &noEntropies
      ) { logits, rows, panel in
        let shifted = part.room(for: rows.count * panel.count)
        for (place, row) in rows.enumerated() {
          for index in place * panel.count..<(place + 1) * panel.count {
            shifted[index] = logits[index] + shifts[row]
          }
        }
        let first = tail.tokens.lowerBound
        body(shifted, rows, panel.lowerBound + first..<panel.upperBound + first)
      }
    }
    return logPartitions
  }
}
