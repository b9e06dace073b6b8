// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Sentences through a model, each on its own: many side by side, or one after the other.

import UnrollNeural

/// What a model says of the tokens of a sentence, each given those before it.
public struct SentencePredictions: Sendable {
  /// The tokens at the beginning that are not predicted: 1 where sentences start from nothing, else 0.
  public let unpredictedCount: Int
  /// The natural logarithms of the probabilities of the other tokens.
  public let logProbabilities: [Float]
  /// The entropies in nats of the distributions that these are from; empty where not wanted.
  public let entropies: [Double]
  /// The logarithms of the total probability of the wanted subset of the vocabulary at each of them, and
  /// after the last token if that was wanted too; empty where none was.
  public let totals: [Double]
}

/// Figures of the distributions over the vocabulary, besides the probabilities of the tokens.
public struct PredictionFigures: Sendable {
  /// `true` if entropies are computed.
  public var entropies = false
  /// Tokens, ascending, whose total probability is computed; none if empty.
  public var subset: [Int32] = []
  /// `true` if the total is computed after the last token of a sentence, too.
  public var includesEnd = false

  /// Creates figures of none.
  public init() {}

  /// The token that is asked for where only the total is wanted: any will do.
  var endTarget: Int32? { includesEnd ? subset.first : nil }
}

extension LanguageModel {
  /// What the model says of sentences, each from a zero state.
  ///
  /// Sentences of like lengths go side by side, which is faster; where a column's bits would depend on
  /// its neighbours they go one by one, so that the same sentence always has the same bits.
  ///
  /// - Parameters:
  ///   - sentences: The tokens of each.
  ///   - figures: The figures besides the probabilities.
  /// - Returns: One for each sentence, in order.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or if memory is short.
  public func predictions(
    ofSentences sentences: [[Int32]], _ figures: PredictionFigures = PredictionFigures()
  ) throws -> [SentencePredictions] {
    let columns = Self.sentenceColumns
    let order = sentences.indices.sorted { (sentences[$0].count, $0) < (sentences[$1].count, $1) }
    var results = [SentencePredictions?](repeating: nil, count: sentences.count)
    for start in stride(from: 0, to: order.count, by: columns) {
      let group = order[start..<min(start + columns, order.count)]
      var state = network.zeroState(columns: group.count)
      let found = try predictions(
        of: group.map { sentences[$0] }, after: sentenceStart(count: group.count), figures,
        state: &state)
      for (index, prediction) in zip(group, found) { results[index] = prediction }
    }
    return results.compactMap { $0 }
  }

  /// What the model says of a sentence that goes on from the text before it.
  ///
  /// - Parameters:
  ///   - sentence: The tokens.
  ///   - previous: The last token before it; `nil` at the beginning of the text. Out: its last token.
  ///   - figures: The figures besides the probabilities.
  ///   - state: In: before the token `previous` is read. Out: before its last token is read.
  /// - Returns: The predictions.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or if memory is short.
  func predictions(
    of sentence: [Int32], after previous: inout Int32?, _ figures: PredictionFigures,
    state: inout RecurrentState
  ) throws -> SentencePredictions {
    let start = previous.map { [$0] } ?? sentenceStart(count: 1)
    var within = figures
    within.includesEnd = false
    let found = try predictions(of: [sentence], after: start, within, state: &state)[0]
    previous = sentence.last ?? start.first
    guard let target = figures.endTarget, let last = previous else { return found }
    // The next sentence reads the last token itself.
    var after = state
    let end = try network.predictions(
      ofTargets: [target], inputs: [last], withEntropies: false, totalling: figures.subset,
      state: &after)
    return SentencePredictions(
      unpredictedCount: found.unpredictedCount, logProbabilities: found.logProbabilities,
      entropies: found.entropies, totals: found.totals + end.totals)
  }

  private func sentenceStart(count: Int) -> [Int32] {
    encoder.sentenceStartID.map { Array(repeating: $0, count: count) } ?? []
  }

  /// Runs sentences side by side.
  ///
  /// - Parameters:
  ///   - sentences: The tokens of B sentences.
  ///   - start: `[B]` the tokens before them, or none.
  ///   - figures: The figures besides the probabilities.
  ///   - state: The state of B columns; where B is 1, out: before the last token is read.
  /// - Returns: `[B]`
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or if memory is short.
  private func predictions(
    of sentences: [[Int32]], after start: [Int32], _ figures: PredictionFigures,
    state: inout RecurrentState
  ) throws -> [SentencePredictions] {
    let B = sentences.count
    let unpredicted = start.isEmpty ? 1 : 0
    let longest = sentences.map(\.count).max() ?? 0
    let T = longest - unpredicted + (figures.endTarget == nil ? 0 : 1)
    var logProbabilities = [[Float]](repeating: [], count: B)
    var entropies = [[Double]](repeating: [], count: B)
    var totals = [[Double]](repeating: [], count: B)
    let rows = max(1, Self.window / B)
    for first in stride(from: 0, to: T, by: rows) {
      let window = first..<min(first + rows, T)
      var inputs: [Int32] = []
      var targets: [Int32] = []
      for t in window {
        for b in 0..<B {
          let sentence = sentences[b]
          let place = t + unpredicted
          // A column that has ended reads anything and predicts nothing.
          inputs.append(
            place == 0 ? start[b] : place <= sentence.count ? sentence[place - 1] : 0)
          let end = place == sentence.count ? figures.endTarget : nil
          targets.append(place < sentence.count ? sentence[place] : end ?? -1)
        }
      }
      let found = try network.predictions(
        ofTargets: targets, inputs: inputs, withEntropies: figures.entropies,
        totalling: figures.subset, state: &state)
      for (index, target) in targets.enumerated() where target >= 0 {
        let b = index % B
        if !figures.subset.isEmpty { totals[b].append(found.totals[index]) }
        guard first + index / B + unpredicted < sentences[b].count else { continue }
        logProbabilities[b].append(found.logProbabilities[index])
        if figures.entropies { entropies[b].append(found.entropies[index]) }
      }
    }
    return (0..<B).map {
      SentencePredictions(
        unpredictedCount: min(unpredicted, sentences[$0].count),
        logProbabilities: logProbabilities[$0], entropies: entropies[$0], totals: totals[$0])
    }
  }

  /// The log-probabilities of a sentence's tokens, each given those before it.
  ///
  /// The state is zero and the first token follows the one that sentences start from.
  ///
  /// - Parameter ids: The tokens, `[T]`.
  /// - Returns: `[T]` natural logarithms, or `[T - 1]` where sentences start from nothing: the first
  ///   token is then not predicted.
  /// - Throws: `NeuralError` if memory is short.
  public func logProbabilities(ofSentence ids: [Int32]) throws -> [Float] {
    try predictions(ofSentences: [ids])[0].logProbabilities
  }

  /// The rows and columns of a window, where their number changes nothing but memory and speed.
  static let window = 256
  /// The sentences that go side by side.
  static let sentenceColumns = 32
}
