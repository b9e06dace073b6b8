// Scores of words and sentences.

import Foundation
import UnrollTensors
import UnrollTokenization

/// A word of a line and how surprising it is.
public struct WordScore: Sendable {
  /// The word as it stands in the text.
  public let word: String
  /// The negative binary logarithm of its probability; `nil` for a word that the vocabulary lacks:
  /// the model gives a probability to unknown words as a whole, none to this one.
  public let surprisal: Double?
}

/// A line and its score.
public struct SentenceScore: Sendable {
  /// The number of the line, counted from 1.
  public let line: Int
  /// The words in order.
  public let words: [WordScore]
  /// The number of tokens, the end-of-sentence token included.
  public let tokenCount: Int
  /// The sum of the tokens' log-probabilities in nats, the end of the sentence and tokens for
  /// unknown words included.
  public let logProbability: Double

  /// The number of words that the vocabulary lacks.
  public var unknownCount: Int { words.count { $0.surprisal == nil } }
}

extension LanguageModel {
  /// Scores a text line by line, each line on its own as in the protocol `sentence`.
  ///
  /// - Parameters:
  ///   - path: The text: a file, a gzip file, or `-` for standard input.
  ///   - body: Called with each line's score and the share of the text that was read.
  /// - Throws: `FileError` or `TextError` if the text cannot be read or has a word that the model
  ///   cannot take; what `body` throws.
  public func score(
    text path: String, _ body: (SentenceScore, _ fraction: Double?) throws -> Void
  ) throws {
    var reader = try LineReader(path: path)
    while let line = try reader.next() {
      let encoded = try encoder.encode(line, path: path)
      let logProbabilities = try logProbabilities(ofSentence: encoded.ids)
      let words = encoded.words.indices.map { index in
        WordScore(
          word: String(decoding: line.bytes[encoded.words[index]], as: UTF8.self),
          surprisal: encoded.isUnknown[index]
            ? nil : -Double(logProbabilities[index]) / log(2))
      }
      let score = SentenceScore(
        line: line.number, words: words, tokenCount: encoded.ids.count,
        logProbability: logProbabilities.reduce(0) { $0 + Double($1) })
      guard score.logProbability.isFinite else { throw NotFinite(path: self.path) }
      try body(score, reader.fraction)
    }
  }
}
