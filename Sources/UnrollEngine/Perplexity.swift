// Perplexity, defined in one place.

import Foundation
import UnrollTokenization

/// Which tokens of a text are predicted, and from what.
public enum PerplexityProtocol: String, Sendable, CaseIterable {
  /// One stream: zero initial state, carried to the end; every token but the first is predicted.
  case stream
  /// 10 columns of equal length side by side, state carried; the rest of the text and the first
  /// token of each column are not predicted. What PyTorch's word_language_model prints.
  case columns
  /// Each line alone: zero state, the first token follows `<eos>`; every token is predicted.
  case sentence
}

/// How well a model predicts a text.
public struct Perplexity: Sendable {
  /// The protocol.
  public var `protocol`: PerplexityProtocol
  /// The tokens of the text, end-of-sentence tokens included.
  public var tokens = 0
  /// The tokens that were predicted.
  public var predictions = 0
  /// The words of the text, between white space, that end in a predicted token.
  public var words = 0
  /// The bytes of the text that the predicted tokens stand for, with the white space before them.
  public var bytes = 0
  /// The predicted tokens that stand for text outside the vocabulary.
  public var unknown = 0
  /// The sum of the negative log-probabilities of the predictions, in nats.
  public var totalNLL = 0.0
  /// The time that it took, in seconds.
  public var seconds = 0.0

  /// The mean negative log-probability of a prediction, in nats.
  public var nll: Double { totalNLL / Double(predictions) }
  /// `exp(nll)`.
  public var perplexity: Double { exp(nll) }
  /// The mean of a prediction in bits.
  public var bitsPerToken: Double { nll / log(2) }
  /// All bits over the words; `nil` without words.
  public var bitsPerWord: Double? { words > 0 ? totalNLL / log(2) / Double(words) : nil }
  /// All bits over the bytes.
  public var bitsPerByte: Double { totalNLL / log(2) / Double(bytes) }
  /// Predictions a second.
  public var tokensPerSecond: Double { Double(predictions) / seconds }

  init(_ protocol: PerplexityProtocol) { self.protocol = `protocol` }

  /// Adds one prediction.
  mutating func add(logProbability: Float, token: TokenInText) {
    predictions += 1
    totalNLL -= Double(logProbability)
    bytes += token.byteCount
    words += token.wordCount
    unknown += token.isUnknown ? 1 : 0
  }
}

extension EncodedLine {
  /// The tokens with what they stand for.
  func tokens(of line: TextLine) -> [TokenInText] {
    var words = line.words[...]
    var unknown = unknown[...]
    var start = 0
    return ids.indices.map { index in
      let end = ends[index]
      let wordCount = words.prefix { $0.upperBound <= end }.count
      words = words.dropFirst(wordCount)
      let isUnknown = unknown.first == index
      if isUnknown { unknown.removeFirst() }
      defer { start = end }
      return TokenInText(
        id: ids[index], byteCount: end - start, wordCount: wordCount, isUnknown: isUnknown)
    }
  }
}

/// A token and the part of the text that it stands for.
struct TokenInText {
  let id: Int32
  let byteCount: Int
  /// The number of words that end in it.
  let wordCount: Int
  let isUnknown: Bool
}
