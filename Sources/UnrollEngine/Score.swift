// Scores of tokens, words and sentences.

import Foundation
import UnrollTensors
import UnrollTokenization

/// A token of a line and how surprising it is.
public struct TokenScore: Sendable {
  /// The token as the vocabulary has it.
  public let token: String
  /// The place of the word in the line that it is part of, or `nil` for one at the end of the line.
  public let word: Int?
  /// The natural logarithm of its probability; `nil` for the first token of a line where sentences
  /// start from nothing.
  public let logProbability: Double?
  /// The entropy in nats of the distribution that it is from; `nil` where the log-probability is.
  public let entropy: Double?
  /// Whether it stands for text that the vocabulary lacks.
  public let isUnknown: Bool
}

/// A word of a line and how surprising it is.
public struct WordScore: Sendable {
  /// The word as it stands in the text.
  public let word: String
  /// The negative logarithm of its probability in nats, the sum over its tokens.
  ///
  /// `nil` for a word that the vocabulary lacks, whole or in part: the model gives a probability to
  /// unknown words as a whole, none to this one. `nil` too where no token begins in it, or the
  /// model does not predict its first token.
  public let surprisal: Double?
  /// The entropy in nats of the distribution over the token that comes next, before the word; `nil` where
  /// there is none.
  public let entropy: Double?
  /// What of the entropy before the last word is gone before this one, in nats, at least 0; `nil` for
  /// the first word of a line.
  public let entropyReduction: Double?
  /// Whether the vocabulary lacks it, whole or in part.
  public let isUnknown: Bool
}

/// A line and its score.
public struct SentenceScore: Sendable {
  /// The number of the line, counted from 1.
  public let line: Int
  /// The tokens in order, the end-of-sentence token included.
  public let tokens: [TokenScore]
  /// The words in order.
  public let words: [WordScore]
  /// The sum of the tokens' log-probabilities in nats, the end of the sentence and tokens for
  /// unknown words included; `nil` where no token is predicted.
  public let logProbability: Double?

  /// The number of tokens that stand for text outside the vocabulary.
  public var unknownCount: Int { tokens.count { $0.isUnknown } }
}

/// How a text is scored.
public struct ScoreSettings: Sendable {
  /// Whether each line goes on from the state that the line before left, rather than from a zero state.
  public var carriesState = false
  /// Whether entropies are wanted.
  public var wantsEntropies = true
  /// A file with the words of each line of the text, between white space, or between tabs in a line
  /// that has one; `nil` for the parts of the text between white space.
  public var segmentation: String?

  /// Creates the defaults: lines on their own, with entropies.
  public init() {}
}

extension LanguageModel {
  /// Whether the first token of each line is predicted: so it is where sentences start from a token.
  public var predictsFirstTokens: Bool { encoder.sentenceStartID != nil }

  /// Scores a text line by line.
  ///
  /// - Parameters:
  ///   - path: The text: a file, a gzip file, or `-` for standard input.
  ///   - settings: How.
  ///   - body: Called with each line's score and the share of the text that was read.
  /// - Throws: `FileError` or `TextError` if a text cannot be read, has a word that the model
  ///   cannot take, or is cut into words that it does not have; `CancellationError` if the task was cancelled; what
  ///   `body` throws.
  public func score(
    text path: String, _ settings: ScoreSettings = ScoreSettings(),
    _ body: (SentenceScore, _ fraction: Double?) throws -> Void
  ) throws {
    var reader = try LineReader(path: path, lineEnds: encoder.tokenizer.lineEnds)
    var segmentation = try Segmentation(settings.segmentation)
    var state = network.zeroState(columns: 1)
    var previous: Int32?
    while true {
      // Enough lines that some have like lengths.
      var lines: [TextLine] = []
      var encoded: [EncodedLine] = []
      var words: [[Range<Int>]] = []
      var tokens = 0
      while lines.count < 8 * Self.sentenceColumns, tokens < 1 << 16, let line = try reader.next() {
        encoded.append(try encoder.encode(line, path: path))
        words.append(try segmentation.words(of: line, path: path))
        lines.append(line)
        tokens += encoded.last?.ids.count ?? 0
      }
      guard !lines.isEmpty else { break }
      try Task.checkCancellation()
      let predictions =
        settings.carriesState
        ? try encoded.map {
          try self.predictions(
            of: $0.ids, after: &previous, withEntropies: settings.wantsEntropies, state: &state)
        }
        : try self.predictions(
          ofSentences: encoded.map(\.ids), withEntropies: settings.wantsEntropies)
      for (index, line) in lines.enumerated() {
        let score = score(of: line, encoded[index], words[index], predictions[index])
        guard score.logProbability?.isFinite != false else { throw NotFinite(path: self.path) }
        try body(score, reader.fraction)
      }
    }
    try segmentation.finish(path: path)
  }

  /// Scores a sentence, from a zero state.
  ///
  /// - Parameter sentence: One line of text.
  /// - Returns: Its score, entropies included.
  /// - Throws: `TextError` if it has a word that the model cannot take; `NotFinite` if the model gives
  ///   no numbers.
  public func score(sentence: String) throws -> SentenceScore {
    let line = TextLine(bytes: Array(sentence.utf8), terminatorCount: 1, number: 1)
    let encoded = try encoder.encode(line, path: "the sentence")
    let predictions = try predictions(ofSentences: [encoded.ids], withEntropies: true)
    let score = score(of: line, encoded, line.words, predictions[0])
    guard score.logProbability?.isFinite != false else { throw NotFinite(path: path) }
    return score
  }

  private func score(
    of line: TextLine, _ encoded: EncodedLine, _ words: [Range<Int>],
    _ predictions: SentencePredictions
  ) -> SentenceScore {
    let unknown = Set(encoded.unknown)
    let owners = owners(of: encoded, words)
    let tokens = encoded.ids.indices.map { index in
      let place = index - predictions.unpredictedCount
      return TokenScore(
        token: encoder.vocabulary.text(of: Int(encoded.ids[index])),
        word: owners[index],
        logProbability: place >= 0 ? Double(predictions.logProbabilities[place]) : nil,
        entropy: predictions.entropies.indices.contains(place) ? predictions.entropies[place] : nil,
        isUnknown: unknown.contains(index))
    }
    var previous: Double?
    var token = 0
    let scores = words.enumerated().map { index, range in
      let first = token
      while token < tokens.count, tokens[token].word == index { token += 1 }
      let own = tokens[first..<token]
      let isUnknown = own.contains(where: \.isUnknown)
      let logProbabilities = own.compactMap(\.logProbability)
      let isScored = !own.isEmpty && logProbabilities.count == own.count && !isUnknown
      let entropy = own.first?.entropy
      let reduction = entropy.flatMap { entropy in previous.map { max(0, $0 - entropy) } }
      previous = entropy ?? previous
      return WordScore(
        word: String(decoding: line.bytes[range], as: UTF8.self),
        surprisal: isScored ? -logProbabilities.reduce(0, +) : nil, entropy: entropy,
        entropyReduction: reduction, isUnknown: isUnknown)
    }
    let predicted = tokens.compactMap(\.logProbability)
    return SentenceScore(
      line: line.number, tokens: tokens, words: scores,
      logProbability: predicted.isEmpty ? nil : predicted.reduce(0, +))
  }

  /// The word that each token is part of: it begins in it, or in the white space before it.
  private func owners(of encoded: EncodedLine, _ words: [Range<Int>]) -> [Int?] {
    var word = 0
    return encoded.ids.indices.map { index in
      let begin = index == 0 ? 0 : encoded.ends[index - 1]
      while word < words.count, begin >= words[word].upperBound { word += 1 }
      return word < words.count ? word : nil
    }
  }
}

/// The words of each line of a text: those that a person gives, or the parts between white space.
private struct Segmentation: ~Copyable {
  private var lines: LineReader?

  init(_ path: String?) throws(FileError) {
    lines = nil
    if let path { lines = try LineReader(path: path) }
  }

  /// Where the words of a line lie in its bytes.
  mutating func words(of line: TextLine, path: String) throws(TextError) -> [Range<Int>] {
    guard lines != nil else { return line.words }
    let wordPath = lines?.path ?? ""
    guard let words = try lines?.next() else {
      throw TextError(
        path: wordPath, line: line.number, expected: "the words of line \(line.number) of \(path)",
        found: "the end of the file", fix: "give one line of words for each line of the text")
    }
    // White space means nothing on either side.
    var places = line.words.joined().makeIterator()
    func refuse(_ found: [UInt8]) -> TextError {
      TextError(
        path: wordPath, line: words.number,
        expected: "the words of line \(line.number) of \(path), all and in order",
        found: "\"\(String(decoding: found, as: UTF8.self))\" where others are there",
        fix: "give the same text, with white space or tabs between the words")
    }
    let ranges = try Self.split(words.bytes).map { word throws(TextError) in
      var range: Range<Int>?
      for place in Self.parts(word).joined() {
        guard let next = places.next(), line.bytes[next] == word[place] else { throw refuse(word) }
        range = (range?.lowerBound ?? next)..<next + 1
      }
      return range ?? 0..<0
    }
    guard places.next() == nil else { throw refuse([]) }
    return ranges
  }

  /// - Throws: `TextError` if there are words for more lines than the text has.
  mutating func finish(path: String) throws(TextError) {
    guard let rest = try lines?.next() else { return }
    throw TextError(
      path: lines?.path ?? "", line: rest.number, expected: "as many lines as \(path) has",
      found: "more", fix: "give one line of words for each line of the text")
  }

  private static func split(_ line: [UInt8]) -> [[UInt8]] {
    line.contains(UInt8(ascii: "\t"))
      ? line.split(separator: UInt8(ascii: "\t")).map(Array.init)
      : parts(line).map { Array(line[$0]) }
  }

  private static func parts(_ bytes: [UInt8]) -> [Range<Int>] {
    bytes.withUnsafeBytes { WhitespaceWords.ranges(in: $0) }
  }
}
