// Scores of words and sentences.

import Foundation
import UnrollTensors
import UnrollTokenization

/// A word of a line and how surprising it is.
public struct WordScore: Sendable {
  /// The word as it stands in the text.
  public let word: String
  /// The negative binary logarithm of its probability, the sum over its tokens.
  ///
  /// `nil` for a word that the vocabulary lacks, whole or in part: the model gives a probability to
  /// unknown words as a whole, none to this one. `nil` too where no token begins in it, or the
  /// model does not predict its first token.
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
  /// The number of tokens that stand for text outside the vocabulary.
  public let unknownCount: Int
  /// The sum of the tokens' log-probabilities in nats, the end of the sentence and tokens for
  /// unknown words included.
  public let logProbability: Double

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
    var reader = try LineReader(path: path, lineEnds: encoder.tokenizer.lineEnds)
    while let line = try reader.next() {
      let encoded = try encoder.encode(line, path: path)
      let logProbabilities = try logProbabilities(ofSentence: encoded.ids)
      let score = SentenceScore(
        line: line.number, words: words(of: line, encoded, logProbabilities),
        tokenCount: encoded.ids.count, unknownCount: encoded.unknownCount,
        logProbability: logProbabilities.reduce(0) { $0 + Double($1) })
      guard score.logProbability.isFinite else { throw NotFinite(path: self.path) }
      try body(score, reader.fraction)
    }
  }

  /// The words of a line with the surprisal of the tokens that begin in each, or in the white space
  /// before it.
  private func words(
    of line: TextLine, _ encoded: EncodedLine, _ logProbabilities: [Float]
  ) -> [WordScore] {
    let unpredicted = encoded.ids.count - logProbabilities.count
    let unknown = Set(encoded.unknown)
    var token = 0
    return line.words.map { range in
      let first = token
      while token < encoded.ids.count, token == 0 || encoded.ends[token - 1] < range.upperBound {
        token += 1
      }
      let own = first..<token
      let isScored = !own.isEmpty && own.lowerBound >= unpredicted && unknown.isDisjoint(with: own)
      let sum = isScored ? own.reduce(0) { $0 - Double(logProbabilities[$1 - unpredicted]) } : 0
      return WordScore(
        word: String(decoding: line.bytes[range], as: UTF8.self),
        surprisal: isScored ? sum / log(2) : nil)
    }
  }
}
