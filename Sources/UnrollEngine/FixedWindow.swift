// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Models that predict each token from a window of N tokens before it, as Keras's pad_sequences makes them.

import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// A window of the N tokens before each prediction, read from a zero state.
///
/// It follows the defaults of Keras's `pad_sequences`:
/// - If fewer than N tokens precede, padding stands in front of them (`padding="pre"`). A padding
///   token is read like any other token. Models with `mask_zero` skip the steps of id 0 instead;
///   that is `padding: nil`, a shorter window. Only padding is skipped then, not a token of id 0 in
///   the text.
/// - At the beginning of a line, or of the text if windows cross lines, the window holds the token
///   that lines start from, if the model has one, after padding. A window of padding alone is used
///   for prediction; an empty one is not.
/// - Windows do not cross lines unless requested.
public struct FixedWindow: Sendable, Hashable {
  /// The number of tokens, N.
  public let length: Int
  /// The token in front of shorter contexts; `nil` for none.
  public let padding: Int32?

  /// The valid lengths of a window.
  public static let lengths = 1...100_000

  /// Creates a window.
  ///
  /// - Parameters:
  ///   - length: The number of tokens, one of `lengths`.
  ///   - padding: The token in front of shorter contexts; `nil` for none.
  /// - Throws: `NeuralError` for another length.
  public init(length: Int, padding: Int32?) throws {
    guard Self.lengths.contains(length) else {
      throw NeuralError.window(expected: "a window of 1 to 100,000 tokens", found: "\(length)")
    }
    self.length = length
    self.padding = padding
  }

  /// Returns the last N tokens, preceded by padding if there are fewer.
  func context(_ tokens: some Collection<Int32>) -> [Int32] {
    let last = Array(tokens.suffix(length))
    guard let padding else { return last }
    return Array(repeating: padding, count: length - last.count) + last
  }
}

/// A description of a window in results.
public struct WindowDescription: Sendable, Hashable, Codable {
  /// The number of tokens, N.
  public let length: Int
  /// The text of the padding token; `none` if shorter contexts are not padded.
  public let padding: String
  /// `true` if windows cross lines.
  public let crossesLines: Bool

  private enum CodingKeys: String, CodingKey {
    case length, padding
    case crossesLines = "crosses_lines"
  }

  /// The context of a prediction, in words.
  public var context: String {
    let rest = padding == "none" ? "fewer at the start" : "\(padding) before fewer"
    let place = crossesLines ? "in the text" : "in the line"
    return "the \(length) tokens before it \(place), \(rest); each from a zero state"
  }
}

extension LanguageModel {
  /// Returns the description of a window for results.
  ///
  /// - Parameters:
  ///   - window: The window.
  ///   - crossesLines: `true` if it crosses lines.
  /// - Returns: The description.
  public func description(of window: FixedWindow, crossesLines: Bool) -> WindowDescription {
    WindowDescription(
      length: window.length,
      padding: window.padding.map { encoder.vocabulary.text(of: Int($0)) } ?? "none",
      crossesLines: crossesLines)
  }

  /// Returns a window whose padding is given as text.
  ///
  /// - Parameters:
  ///   - length: The number of tokens, N.
  ///   - padding: The text of the padding token, `none`, or `nil` for the vocabulary's padding
  ///     token.
  /// - Returns: The window.
  /// - Throws: `TextError` if the vocabulary lacks the token; `NeuralError` for a length out of range.
  public func fixedWindow(length: Int, padding: String?) throws -> FixedWindow {
    try encoder.vocabulary.fixedWindow(length: length, padding: padding, path: path)
  }

  /// Returns the predictions of sentences, each token from its own window.
  ///
  /// - Parameters:
  ///   - sentences: The tokens of each.
  ///   - window: The window.
  ///   - history: The tokens before the first sentence, for windows that cross sentences. Out: the
  ///     last N tokens, sentences included. `nil` if windows do not cross sentences.
  ///   - figures: The figures besides the probabilities.
  /// - Returns: One for each sentence, in order.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or if memory is short.
  func predictions(
    ofSentences sentences: [[Int32]], window: FixedWindow, after history: inout [Int32]?,
    _ figures: PredictionFigures = PredictionFigures()
  ) throws -> [SentencePredictions] {
    var places: [[WindowPlace]] = []
    for sentence in sentences {
      let start = history ?? [encoder.sentenceStartID].compactMap { $0 }
      places.append(windowPlaces(of: sentence, after: start, window, figures))
      if history != nil { history = (start + sentence).suffix(window.length) }
    }
    let found = try run(Array(places.joined()), figures)
    var next = 0
    return zip(sentences, places).map { sentence, places in
      defer { next += places.count }
      return predictions(of: sentence, found[next..<next + places.count], places, figures)
    }
  }

  /// A context and its target.
  private struct WindowPlace {
    let window: FixedWindow
    /// A sentence after its history.
    let tokens: [Int32]
    /// The number of tokens before the target.
    let end: Int
    let target: Int32
    /// `true` if only the total probability after the last token is requested.
    var isEnd = false

    /// The number of tokens of the context, padding included.
    var length: Int { window.padding == nil ? min(end, window.length) : window.length }
    /// The tokens to read.
    var context: [Int32] { window.context(tokens[..<end]) }
  }

  private struct WindowFigures {
    var logProbability: Float = 0
    var entropy = 0.0
    var total = 0.0
    var guesses: [TokenGuess] = []
    var rank = 0
  }

  private func windowPlaces(
    of sentence: [Int32], after start: [Int32], _ window: FixedWindow, _ figures: PredictionFigures
  ) -> [WindowPlace] {
    let all = start + sentence
    var places = sentence.indices.map { index in
      WindowPlace(
        window: window, tokens: all, end: start.count + index, target: sentence[index])
    }
    if let target = figures.endTarget {
      places.append(
        WindowPlace(window: window, tokens: all, end: all.count, target: target, isEnd: true))
    }
    return places.filter { $0.length > 0 }
  }

  private func predictions(
    of sentence: [Int32], _ found: ArraySlice<WindowFigures>, _ places: [WindowPlace],
    _ figures: PredictionFigures
  ) -> SentencePredictions {
    let own = zip(found, places).filter { !$0.1.isEnd }.map(\.0)
    return SentencePredictions(
      unpredictedCount: sentence.count - own.count,
      logProbabilities: own.map(\.logProbability),
      entropies: figures.entropies ? own.map(\.entropy) : [],
      totals: figures.subset.isEmpty ? [] : found.map(\.total),
      likeliest: figures.guesses == 0
        ? LikeliestTokens()
        : LikeliestTokens(guesses: own.map(\.guesses), ranks: own.map(\.rank)))
  }

  /// Runs windows, batching those of equal length.
  private func run(
    _ places: [WindowPlace], _ figures: PredictionFigures
  ) throws -> [WindowFigures] {
    var results = [WindowFigures](repeating: WindowFigures(), count: places.count)
    let order = places.indices.sorted {
      (places[$0].length, $0) < (places[$1].length, $1)
    }
    var rest = order[...]
    while let first = rest.first {
      try Task.checkCancellation()
      let length = places[first].length
      let group = rest.prefix(Self.columns(ofWindow: length)).prefix {
        places[$0].length == length
      }
      rest = rest.dropFirst(group.count)
      let contexts = group.map { places[$0].context }
      var state = try stateBeforeLast(of: contexts)
      let found = try network.predictions(
        ofTargets: group.map { places[$0].target }, inputs: contexts.compactMap(\.last),
        withEntropies: figures.entropies, totalling: figures.subset, guessing: figures.guesses,
        state: &state)
      for (place, index) in group.enumerated() {
        results[index].logProbability = found.logProbabilities[place]
        if figures.guesses > 0 {
          results[index].guesses = found.likeliest.guesses[place]
          results[index].rank = found.likeliest.ranks[place]
        }
        if figures.entropies { results[index].entropy = found.entropies[place] }
        if !figures.subset.isEmpty { results[index].total = found.totals[place] }
      }
    }
    return results
  }

  /// Returns the batch size for windows of a length.
  private static func columns(ofWindow length: Int) -> Int { max(1, min(256, 16_384 / length)) }

  /// Returns the state, from zero, before each window reads its last token.
  ///
  /// All have the same length.
  private func stateBeforeLast(of contexts: [[Int32]]) throws -> RecurrentState {
    let B = contexts.count
    var state = network.zeroState(columns: B)
    let steps = (contexts.first?.count ?? 1) - 1
    let rows = max(1, 16_384 / B)
    for first in stride(from: 0, to: steps, by: rows) {
      let inputs = (first..<min(first + rows, steps)).flatMap { t in contexts.map { $0[t] } }
      _ = try network.logProbabilities(
        ofTargets: Array(repeating: -1, count: inputs.count), inputs: inputs, state: &state)
    }
    return state
  }

  /// Returns the log-probabilities of all tokens after contexts of equal length.
  ///
  /// - Parameter contexts: `[B, N]`
  /// - Returns: `[B, V]`; `[B, S]` with a shortlist.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or if memory is short.
  func logDistributions(afterWindows contexts: [[Int32]]) throws -> [Float] {
    var state = try stateBeforeLast(of: contexts)
    return try network.logDistributions(inputs: contexts.compactMap(\.last), state: &state)
  }
}

extension Vocabulary {
  /// Returns a window whose padding is given as text.
  ///
  /// - Parameters:
  ///   - length: The number of tokens, N.
  ///   - padding: The text of the padding token, `none`, or `nil` for the vocabulary's padding
  ///     token.
  ///   - path: The model's path, for messages.
  /// - Returns: The window.
  /// - Throws: `TextError` if the vocabulary lacks the token; `NeuralError` for a length out of range.
  func fixedWindow(length: Int, padding: String?, path: String) throws -> FixedWindow {
    switch padding.map(LineToken.init) {
    case LineToken.none?: return try FixedWindow(length: length, padding: nil)
    case .token(let token)?:
      guard let id = id(of: token) else {
        throw TextError(
          path: path, line: nil, expected: "a token of the vocabulary for --pad", found: token,
          fix: "give a token as it is in the list, or --pad none for windows that are shorter")
      }
      return try FixedWindow(length: length, padding: Int32(id))
    case nil:
      guard let id = paddingID else {
        throw TextError(
          path: path, line: nil, expected: "the padding token of the windows",
          found: "a vocabulary that names none",
          fix: "give --pad TOKEN, for Keras usually the token of id 0: "
            + text(of: 0).debugDescription)
      }
      return try FixedWindow(length: length, padding: Int32(id))
    }
  }
}
