// Scores of tokens, words and sentences.

import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// A token that a model expects at a position, with its probability.
public struct ExpectedToken: Sendable, Equatable {
  /// The text of the token in the vocabulary.
  public let token: String
  /// The natural logarithm of its probability.
  public let logProbability: Double
}

/// The score of a token of a line.
public struct TokenScore: Sendable {
  /// The text of the token in the vocabulary.
  public let token: String
  /// The index of the word that the token belongs to, or `nil` for a token at the end of the line.
  public let word: Int?
  /// The natural logarithm of the token's probability; `nil` for the first token of a line if
  /// sentences have no start token.
  public let logProbability: Double?
  /// The entropy in nats of the distribution that the token is from; `nil` where the
  /// log-probability is.
  public let entropy: Double?
  /// `true` if the token stands for text outside the vocabulary.
  public let isUnknown: Bool
  /// 1 + the number of tokens that are likelier at this position; `nil` if not requested or not predicted.
  public let rank: Int?
  /// The likeliest tokens at this position, in descending order; empty if not requested or not predicted.
  public let guesses: [ExpectedToken]
}

/// The score of a word of a line.
public struct WordScore: Sendable {
  /// The word as in the text, or in the file of words.
  public let word: String
  /// The surprisal of the word in nats, with the boundary of the settings.
  ///
  /// `nil` for a word that is out of vocabulary in whole or in part: the model gives a probability
  /// to unknown words as a whole, none to this one. Also `nil` if no token begins in the word, or
  /// if its first token is not predicted.
  public let surprisal: Double?
  /// The surprisal with the probability of unknown words as a whole; `nil` if no token begins in
  /// the word or its first token is not predicted.
  public let surprisalIncludingUnknown: Double?
  /// The entropy in nats of the next token at the beginning of the word.
  ///
  /// `nil` if there is none. It is an entropy of tokens, not of words, and does not include word
  /// boundaries.
  public let entropy: Double?
  /// The decrease of entropy since the previous word, in nats, at least 0; `nil` for the first word
  /// of a line.
  public let entropyReduction: Double?
  /// The number of the word's out-of-vocabulary tokens and of its parts that were left out.
  public let unknownCount: Int
  /// The rank of the first token of the word's text; `nil` if not requested or not predicted.
  public let rank: Int?
  /// The likeliest tokens at that position, in descending order; empty if not requested or not predicted.
  public let guesses: [ExpectedToken]

  /// `true` if the word is out of vocabulary, in whole or in part.
  public var isUnknown: Bool { unknownCount > 0 }
}

/// The boundary that the probability of a word includes.
///
/// A token with leading white space, such as `Ġthe`, also shows that the previous word has ended,
/// and a character before a space does not show that its word ends there. The product of the
/// probabilities of a word's tokens is therefore not its probability (Pimentel and Meister 2024; Oh
/// and Schuler 2024).
public enum WordBoundary: String, Sendable, CaseIterable {
  /// The probability of the tokens, times the total probability of all tokens that end the word, at
  /// its end, and divided by that total at its start if the first token marks a new word.
  case after
  /// The probability of the tokens with the white space before the word, as in earlier studies.
  case before
  /// The probability of the tokens that hold text of the word.
  case none
}

/// The score of a line.
public struct SentenceScore: Sendable {
  /// The number of the line, counted from 1.
  public let line: Int
  /// The tokens in order, the end-of-sentence token included.
  public let tokens: [TokenScore]
  /// The ids of the tokens.
  let ids: [Int32]
  /// The words in order.
  public let words: [WordScore]
  /// The sum of the tokens' log-probabilities in nats, including the end of the sentence and tokens
  /// for unknown words; `nil` if no token is predicted.
  public let logProbability: Double?
  /// The same sum without tokens for unknown words; `nil` if no token is predicted.
  public let knownLogProbability: Double?
  /// The number of out-of-vocabulary words or characters that were left out, as Keras does.
  public let leftOutCount: Int

  /// The number of tokens that stand for text outside the vocabulary.
  public var unknownCount: Int { tokens.count { $0.isUnknown } }
}

/// The settings of scoring a text.
public struct ScoreSettings: Sendable {
  /// `true` if each line starts from the state after the previous line rather than from a zero
  /// state.
  public var carriesState = false
  /// The window that each token is predicted from; `nil` for all tokens before it.
  ///
  /// Crosses lines if `carriesState` is `true`.
  public var window: FixedWindow?
  /// `true` to compute entropies.
  public var wantsEntropies = true
  /// The number of likeliest tokens in place of each token; 0 for none, and no ranks.
  public var guesses = 0
  /// The interpolation of the model with others; `nil` for the model alone.
  ///
  /// There are no entropies then, and it requires independent lines, without windows and guesses.
  public var mixture: Mixture?
  /// A file with the words of each line of the text, separated by white space, or by tabs in a line
  /// that has a tab; `nil` to split the text at white space.
  public var segmentation: String?
  /// The boundary that a word's probability includes; `nil` to compute no words, which saves time.
  public var boundary: WordBoundary? = .after
  /// Changes of the text before it is cut into tokens.
  public var preparation = TextPreparation()
  /// `true` to score each line as soon as it is read, for a program at the other end of a pipe.
  ///
  /// Lines then share no computation, and a gzip file is not read.
  public var answersEachLine = false

  /// Creates the defaults: independent lines, with entropies.
  public init() {}

  fileprivate func checkMixture() throws {
    guard let mixture, carriesState || window != nil || guesses > 0 else { return }
    throw EngineError(
      path: mixture.model.path, expected: "independent lines, without guesses",
      found: "a carried state, a window or guesses",
      fix: "score interpolated models line by line")
  }
}

extension LanguageModel {
  /// `true` if the first token of each line is predicted, that is, if sentences have a start token.
  public var predictsFirstTokens: Bool { encoder.sentenceStartID != nil }

  /// Scores a text line by line.
  ///
  /// - Parameters:
  ///   - path: The text: a file, a gzip file, or `-` for standard input.
  ///   - settings: The settings.
  ///   - body: Called with each line's score and the share of the text that was read.
  /// - Throws: `FileError` or `TextError` if a text cannot be read, has a word that the model
  ///   cannot encode, or has other words than the file of words; `CancellationError` if the task
  ///   was cancelled; the errors of `body`.
  public func score(
    text path: String, _ settings: ScoreSettings = ScoreSettings(),
    _ body: (SentenceScore, _ fraction: Double?) throws -> Void
  ) throws {
    var fixed: (any AdaptingScorer)?
    try score(text: path, settings, adapting: &fixed, body)
  }

  /// Scores a text line by line with a model that learns from each line, or with this one.
  ///
  /// - Parameters:
  ///   - path: The text.
  ///   - settings: The settings.
  ///   - adapting: The model that learns; `nil` for this one.
  ///   - body: Called with each line's score and the share of the text that was read.
  /// - Throws: The errors of `score(text:_:_:)` and of the adaptation.
  func score(
    text path: String, _ settings: ScoreSettings, adapting: inout (any AdaptingScorer)?,
    _ body: (SentenceScore, _ fraction: Double?) throws -> Void
  ) throws {
    var reader = try PreparedText(
      path: path, for: encoder.tokenizer, settings.preparation,
      isInteractive: settings.answersEachLine)
    try score(&reader, settings, adapting: &adapting, body)
  }

  /// Scores the lines that a reader has not read yet; otherwise as above.
  ///
  /// - Throws: The errors of `score(text:_:_:)` and of the adaptation.
  func score(
    _ reader: inout PreparedText, _ settings: ScoreSettings,
    adapting: inout (any AdaptingScorer)?,
    _ body: (SentenceScore, _ fraction: Double?) throws -> Void
  ) throws {
    let path = reader.path
    let lineLimit = settings.answersEachLine || adapting != nil ? 1 : Self.sentenceCount
    try settings.checkMixture()
    var segmentation = try Segmentation(settings.segmentation, settings.preparation)
    let scorer = WordScorer(self, settings.boundary)
    var figures = scorer.figures
    figures.entropies = settings.wantsEntropies
    figures.guesses = settings.guesses
    var state = network.zeroState(columns: 1)
    var previous: Int32?
    var history = settings.carriesState ? [encoder.sentenceStartID].compactMap { $0 } : nil
    while true {
      // Lines that are computed together, sharing their common prefixes.
      var lines: [TextLine] = []
      var encoded: [EncodedLine] = []
      var words: [[TextWord]] = []
      var tokens = 0
      while lines.count < lineLimit, tokens < 1 << 16,
        let prepared = try reader.nextWithWords()
      {
        encoded.append(try encoder.encode(prepared.line, path: path))
        words.append(try segmentation.words(of: prepared, path: path))
        lines.append(prepared.line)
        tokens += encoded.last?.ids.count ?? 0
      }
      guard !lines.isEmpty else { break }
      try Task.checkCancellation()
      let predictions =
        if adapting != nil {
          try encoded.indices.compactMap {
            try adapting?.predictions(
              ofLine: lines[$0].number, encoded[$0].ids, figures, path: path)
          }
        } else if let window = settings.window {
          try self.predictions(
            ofSentences: encoded.map(\.ids), window: window, after: &history, figures)
        } else if settings.carriesState {
          try encoded.map {
            try self.predictions(of: $0.ids, after: &previous, figures, state: &state)
          }
        } else {
          try settings.mixture?.predictions(ofSentences: encoded.map(\.ids), figures)
            ?? self.predictions(ofSentences: encoded.map(\.ids), figures)
        }
      for (index, line) in lines.enumerated() {
        let score = scorer.score(of: line, encoded[index], words[index], predictions[index])
        guard score.logProbability?.isFinite != false else { throw NotFinite(path: self.path) }
        try body(score, reader.fraction)
      }
    }
    try segmentation.finish(path: path)
  }

  /// Scores a sentence, from a zero state.
  ///
  /// - Parameters:
  ///   - sentence: One line of text.
  ///   - boundary: The boundary that a word's probability includes.
  /// - Returns: The score, entropies included.
  /// - Throws: `TextError` if it has a word that the model cannot encode; `NotFinite` if the
  ///   model's output is not finite.
  public func score(
    sentence: String, boundary: WordBoundary = .after
  ) throws -> SentenceScore {
    let line = TextLine(bytes: Array(sentence.utf8), terminatorCount: 1, number: 1)
    let encoded = try encoder.encode(line, path: "the sentence")
    let scorer = WordScorer(self, boundary)
    var figures = scorer.figures
    figures.entropies = true
    let predictions = try predictions(ofSentences: [encoded.ids], figures)
    let words = line.words.map { range in
      TextWord(text: String(decoding: line.bytes[range], as: UTF8.self), range: range)
    }
    let score = scorer.score(of: line, encoded, words, predictions[0])
    guard score.logProbability?.isFinite != false else { throw NotFinite(path: path) }
    return score
  }
}
