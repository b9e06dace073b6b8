// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Compares two models on a text: their losses and the divergence of their distributions.

import Foundation
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// The log-probabilities of the tokens of a line by two models.
public struct LineDifference: Sendable {
  /// The number of the line, counted from 1.
  public let line: Int
  /// The tokens, without those that are not predicted.
  public let ids: [Int32]
  /// The log-probabilities of each model in nats.
  public let logProbabilities: [[Double]]
}

/// The differences of two models on a text whose lines are independent sentences, or one stream.
public struct TextDifference: Sendable {
  /// The number of compared predictions.
  public var predictions = 0
  /// The mean negative log-likelihood per token in nats, for each model.
  public var nll = [0.0, 0.0]
  /// The mean absolute difference of log-probabilities, in nats.
  public var mean = 0.0
  /// The largest absolute difference of log-probabilities, in nats.
  public var largest = 0.0
  /// The mean Kullback-Leibler divergence of the second model's distributions from the first's, in nats.
  public var divergence = 0.0
  /// The number of lines with predictions.
  public private(set) var lines = 0
  private var blocks = BlockSums()
  private var difference = 0.0

  /// Compares the distributions of two models at each token of a text.
  ///
  /// - Parameters:
  ///   - models: Two models of the same tokens.
  ///   - path: The text.
  ///   - carriesState: `true` if the text is one stream whose first token is not predicted, as in the
  ///     protocol `stream`; `false` if each line starts from a zero state, as in `sentence`.
  ///   - preparation: Changes of the text before it is cut into tokens.
  ///   - body: Called with the log-probabilities of each line.
  ///   - progress: Called with the number of predictions after each line.
  /// - Throws: `TextError` or `FileError` if the text cannot be used or is tokenized differently by
  ///   the second model; `NeuralError` if memory is short; the errors of `body`.
  public init(
    _ models: [LanguageModel], onText path: String, carriesState: Bool = false,
    preparation: TextPreparation = TextPreparation(),
    line body: (LineDifference) throws -> Void = { _ in }, progress: (Int) -> Void
  ) throws {
    try Self.check(models)
    var text = try PreparedText(path: path, for: models[0].encoder.tokenizer, preparation)
    let starts = models.map { carriesState ? nil : $0.encoder.sentenceStartID }
    let zeros = models.map { $0.network.zeroState(columns: 1) }
    var previous = starts
    var states = zeros
    while let line = try text.next() {
      let ids = try models.map { try $0.encoder.encode(line, path: path).ids }
      guard ids[0] == ids[1] else {
        throw TextError(
          path: path, line: line.number, expected: "the same tokens for both models",
          found: "other ids for \(models[1].path)",
          fix: "measure each model by itself: unroll evaluate")
      }
      let values = try add(ids[0], models, after: previous, &states)
      try body(
        LineDifference(
          line: line.number, ids: ids[0].suffix(values[0].count), logProbabilities: values))
      if carriesState {
        previous = previous.map { ids[0].last ?? $0 }
      } else {
        states = zeros
      }
      progress(predictions)
    }
    let count = Double(max(predictions, 1))
    mean /= count
    divergence /= count
    nll = nll.map { $0 / count }
  }

  /// The difference of the mean negative log-likelihoods, second minus first, in nats per token.
  public var nllDifference: Double { nll[1] - nll[0] }

  /// The perplexity of each model.
  public var perplexities: [Double] { nll.map(Elementary.exp) }

  /// The perplexity of the second model over that of the first.
  public var perplexityRatio: Double { Elementary.exp(nllDifference) }

  /// The 95 % interval of `nllDifference` by the paired bootstrap over lines; `nil` with fewer than
  /// two lines.
  ///
  /// Lines are drawn with replacement, both models' losses of a line together.
  public func interval(resamples: Int = 1000, seed: UInt32 = 1) -> ClosedRange<Double>? {
    blocks.interval(resamples: resamples, seed: seed)
  }

  private static func check(_ models: [LanguageModel]) throws(TextError) {
    let sizes = models.map(\.vocabularySize)
    let starts = models.map { $0.predictsFirstTokens }
    guard sizes[0] != sizes[1] || starts[0] != starts[1] else { return }
    throw TextError(
      path: models[1].path, line: nil,
      expected:
        "\(sizes[0]) tokens, sentences with \(starts[0] ? "a" : "no") start token",
      found: "\(sizes[1]) tokens, sentences with \(starts[1] ? "a" : "no") start token",
      fix: "measure each model by itself: unroll evaluate")
  }

  /// Adds a sentence.
  ///
  /// - Parameters:
  ///   - ids: The tokens.
  ///   - models: Both models.
  ///   - previous: The token before the sentence for each model, or `nil` for none.
  ///   - states: In: for each model the state before `previous` is read. Out: before the last token.
  /// - Returns: The log-probabilities of each model.
  /// - Throws: `NeuralError` if memory is short.
  private mutating func add(
    _ ids: [Int32], _ models: [LanguageModel], after previous: [Int32?],
    _ states: inout [RecurrentState]
  ) throws -> [[Double]] {
    var logProbabilities: [[Double]] = [[], []]
    let before = predictions
    let V = models[0].vocabularySize
    let inputs = previous.map { Array(([$0].compactMap { $0 } + ids).dropLast()) }
    let first = ids.count - inputs[0].count
    // At most 16 MB of log-probabilities per model at a time.
    let rows = max(1, (4 << 20) / V)
    for start in stride(from: 0, to: inputs[0].count, by: rows) {
      let part = start..<min(start + rows, inputs[0].count)
      let values = try models.indices.map {
        try models[$0].network.logDistributions(inputs: Array(inputs[$0][part]), state: &states[$0])
      }
      for t in part {
        let row = (t - start) * V
        let target = Int(ids[t + first])
        add(values[0][row..<row + V], values[1][row..<row + V], target: target)
        for model in models.indices {
          logProbabilities[model].append(Double(values[model][row + target]))
        }
      }
    }
    guard predictions > before else { return logProbabilities }
    lines += 1
    blocks.add(total: difference, count: predictions)
    return logProbabilities
  }

  /// Adds a token, given the distributions `[V]` of both models.
  private mutating func add(
    _ a: ArraySlice<Float>, _ b: ArraySlice<Float>, target: Int
  ) {
    let first = Double(a[a.startIndex + target])
    let second = Double(b[b.startIndex + target])
    let distance = abs(first - second)
    mean += distance
    largest = max(largest, distance.isNaN ? .infinity : distance)
    nll[0] -= first
    nll[1] -= second
    difference += first - second
    predictions += 1
    var sum = 0.0
    for (p, q) in zip(a, b) {
      let probability = Elementary.exp(Double(p))
      // Tokens of probability zero contribute nothing.
      if probability > 0 { sum += probability * (Double(p) - Double(q)) }
    }
    divergence += max(0, sum)
  }
}
