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
}

extension LanguageModel {
  /// What the model says of sentences, each from a zero state.
  ///
  /// Sentences of like lengths go side by side, which is faster; where a column's bits would depend on
  /// its neighbours they go one by one, so that the same sentence always has the same bits.
  ///
  /// - Parameters:
  ///   - sentences: The tokens of each.
  ///   - withEntropies: Whether entropies are wanted.
  /// - Returns: One for each sentence, in order.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or if memory is short.
  public func predictions(
    ofSentences sentences: [[Int32]], withEntropies: Bool = false
  ) throws -> [SentencePredictions] {
    let columns = network.rowsAreIndependent ? Self.sentenceColumns : 1
    let order = sentences.indices.sorted { (sentences[$0].count, $0) < (sentences[$1].count, $1) }
    var results = [SentencePredictions?](repeating: nil, count: sentences.count)
    for start in stride(from: 0, to: order.count, by: columns) {
      let group = order[start..<min(start + columns, order.count)]
      var state = network.zeroState(columns: group.count)
      let found = try predictions(
        of: group.map { sentences[$0] }, after: sentenceStart(count: group.count),
        withEntropies: withEntropies, state: &state)
      for (index, prediction) in zip(group, found) { results[index] = prediction }
    }
    return results.compactMap { $0 }
  }

  /// What the model says of a sentence that goes on from the text before it.
  ///
  /// - Parameters:
  ///   - sentence: The tokens.
  ///   - previous: The last token before it; `nil` at the beginning of the text. Out: its last token.
  ///   - withEntropies: Whether entropies are wanted.
  ///   - state: In: before the token `previous` is read. Out: before its last token is read.
  /// - Returns: The predictions.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or if memory is short.
  func predictions(
    of sentence: [Int32], after previous: inout Int32?, withEntropies: Bool,
    state: inout RecurrentState
  ) throws -> SentencePredictions {
    let start = previous.map { [$0] } ?? sentenceStart(count: 1)
    let found = try predictions(
      of: [sentence], after: start, withEntropies: withEntropies, state: &state)
    previous = sentence.last ?? start.first
    return found[0]
  }

  private func sentenceStart(count: Int) -> [Int32] {
    encoder.sentenceStartID.map { Array(repeating: $0, count: count) } ?? []
  }

  /// Runs sentences side by side.
  ///
  /// - Parameters:
  ///   - sentences: The tokens of B sentences.
  ///   - start: `[B]` the tokens before them, or none.
  ///   - withEntropies: Whether entropies are wanted.
  ///   - state: The state of B columns; where B is 1, out: before the last token is read.
  /// - Returns: `[B]`
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or if memory is short.
  private func predictions(
    of sentences: [[Int32]], after start: [Int32], withEntropies: Bool,
    state: inout RecurrentState
  ) throws -> [SentencePredictions] {
    let B = sentences.count
    let unpredicted = start.isEmpty ? 1 : 0
    let T = (sentences.map(\.count).max() ?? 0) - unpredicted
    var logProbabilities = [[Float]](repeating: [], count: B)
    var entropies = [[Double]](repeating: [], count: B)
    let rows = max(1, Self.window / B)
    for first in stride(from: 0, to: T, by: rows) {
      let window = first..<min(first + rows, T)
      var (inputs, targets): ([Int32], [Int32]) = ([], [])
      for t in window {
        for b in 0..<B {
          let (sentence, place) = (sentences[b], t + unpredicted)
          // A column that has ended reads anything and predicts nothing.
          inputs.append(
            place == 0 ? start[b] : place <= sentence.count ? sentence[place - 1] : 0)
          targets.append(place < sentence.count ? sentence[place] : -1)
        }
      }
      let found = try network.predictions(
        ofTargets: targets, inputs: inputs, withEntropies: withEntropies, state: &state)
      for (place, target) in targets.enumerated() where target >= 0 {
        logProbabilities[place % B].append(found.logProbabilities[place])
        if withEntropies { entropies[place % B].append(found.entropies[place]) }
      }
    }
    return (0..<B).map {
      SentencePredictions(
        unpredictedCount: min(unpredicted, sentences[$0].count),
        logProbabilities: logProbabilities[$0], entropies: entropies[$0])
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
