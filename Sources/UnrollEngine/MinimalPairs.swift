// Minimal pairs: sentences of which a model should prefer one, as in BLiMP (Warstadt et al. 2020).

import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// Two sentences of which a model that has learned something should give the first a higher probability.
public struct MinimalPair: Sendable, Equatable {
  /// The line of the file, counted from 1.
  public let line: Int
  /// The group that the pair belongs to, such as a phenomenon; `nil` for none.
  public let group: String?
  /// The sentence that should be preferred.
  public let good: String
  /// The other sentence.
  public let bad: String
}

/// The part of the sentences of a pair that is compared.
public enum PairPart: String, Sendable, CaseIterable {
  /// The whole sentences, end-of-sentence token included.
  case sentence
  /// The words that differ, from the first to the last; with the word after them if one sentence has none.
  case difference
}

/// A pair with the log-probabilities of what is compared.
public struct PairScore: Sendable {
  /// The pair.
  public let pair: MinimalPair
  /// The log-probability in nats of the sentence that should be preferred, or of its part; `nil` where words are
  /// unknown or not predicted.
  public let good: Double?
  /// The same of the other sentence.
  public let bad: Double?

  /// `true` if the right sentence has the higher log-probability; `nil` if one has none.
  public var isCorrect: Bool? { good.flatMap { good in bad.map { good > $0 } } }
}

/// The settings of scoring pairs.
public struct PairSettings: Sendable {
  /// The part that is compared.
  public var part = PairPart.sentence
  /// The field of the file with the group; `nil` for the first of `phenomenon`, `UID`, `linguistics_term` and
  /// `condition` that there is.
  public var groupField: String?
  /// The scores of unknown words.
  public var unknown = UnknownWords.undefined
  /// The boundary that a word's probability includes, for parts of sentences.
  public var boundary = WordBoundary.after
  /// The window that each token is predicted from; `nil` for all tokens before it.
  public var window: FixedWindow?
  /// The interpolation of the model with others, which has no windows; `nil` for the model alone.
  public var mixture: Mixture?
  /// Changes of the sentences before they are cut into tokens.
  public var preparation = TextPreparation()

  /// Creates the defaults: whole sentences.
  public init() {}
}

/// The share of pairs that a model gets right.
public struct PairAccuracy: Sendable, Equatable {
  /// The number of pairs that have a score.
  public private(set) var pairs = 0
  /// The number of pairs whose right sentence has the higher log-probability.
  public private(set) var correct = 0
  /// The number of pairs without a score.
  public private(set) var unscored = 0

  /// Creates the accuracy of no pair.
  public init() {}

  /// Adds a pair.
  public mutating func add(_ score: PairScore) {
    guard let isCorrect = score.isCorrect else {
      unscored += 1
      return
    }
    pairs += 1
    correct += isCorrect ? 1 : 0
  }

  /// The share of correct pairs; `nil` for no pair.
  public var share: Double? { pairs > 0 ? Double(correct) / Double(pairs) : nil }

  /// The 95 % confidence interval of the share (Wilson 1927); `nil` for no pair.
  public var interval: ClosedRange<Double>? {
    guard let share else { return nil }
    let (n, z) = (Double(pairs), 1.959963984540054)
    let middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    let half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)).squareRoot()
    return max(0, middle - half)...min(1, middle + half)
  }
}

extension LanguageModel {
  /// Scores minimal pairs.
  ///
  /// - Parameters:
  ///   - path: The pairs: JSON lines with the fields of BLiMP (`sentence_good`, `sentence_bad`), or tab-separated
  ///     columns with a header; a file, a gzip file, or `-` for standard input.
  ///   - settings: The settings.
  ///   - body: Called with each pair's score and the share of the file that was read.
  /// - Throws: `FileError` or `TextError` if the file cannot be read, a line has no pair, or a sentence has a word that
  ///   the model cannot encode; `NotFinite`; `CancellationError` if the task was cancelled; the errors of `body`.
  public func score(
    pairs path: String, _ settings: PairSettings = PairSettings(),
    _ body: (PairScore, _ fraction: Double?) throws -> Void
  ) throws {
    try settings.mixture?.check(settings.window == nil ? .sentence : .window)
    var reader = try PairReader(path: path, groupField: settings.groupField)
    let scorer = WordScorer(self, settings.part == .difference ? settings.boundary : nil)
    var pairs: [MinimalPair] = []
    while true {
      while pairs.count < Self.sentenceCount / 2, let pair = try reader.next() {
        pairs.append(pair)
      }
      guard !pairs.isEmpty else { return }
      try Task.checkCancellation()
      let lines = try pairs.flatMap { pair in
        try [pair.good, pair.bad].map { sentence in
          let bytes = try settings.preparation.apply(
            to: Array(sentence.utf8), line: pair.line, path: path)
          return TextLine(bytes: bytes, terminatorCount: 1, number: pair.line)
        }
      }
      let encoded = try lines.map { try encoder.encode($0, path: path) }
      var history: [Int32]?
      let predictions =
        if let window = settings.window {
          try self.predictions(
            ofSentences: encoded.map(\.ids), window: window, after: &history, scorer.figures)
        } else {
          try settings.mixture?.predictions(ofSentences: encoded.map(\.ids), scorer.figures)
            ?? self.predictions(ofSentences: encoded.map(\.ids), scorer.figures)
        }
      let scores = try lines.indices.map { index in
        let words = lines[index].words.map { range in
          TextWord(text: String(decoding: lines[index].bytes[range], as: UTF8.self), range: range)
        }
        let score = scorer.score(of: lines[index], encoded[index], words, predictions[index])
        guard score.logProbability?.isFinite != false else { throw NotFinite(path: self.path) }
        return score
      }
      for (index, pair) in pairs.enumerated() {
        let (good, bad) = (scores[2 * index], scores[2 * index + 1])
        try body(Self.score(of: pair, good, bad, settings), reader.fraction)
      }
      pairs.removeAll(keepingCapacity: true)
    }
  }

  private static func score(
    of pair: MinimalPair, _ good: SentenceScore, _ bad: SentenceScore, _ settings: PairSettings
  ) -> PairScore {
    guard settings.part == .difference else {
      return PairScore(
        pair: pair, good: good.logProbability(settings.unknown),
        bad: bad.logProbability(settings.unknown))
    }
    let (words, others) = (good.words.map(\.word), bad.words.map(\.word))
    let (first, rest) = differingPart(words, others)
    func sum(_ score: SentenceScore) -> Double? {
      let own = score.words[first..<score.words.count - rest]
      let surprisals = own.compactMap { $0.surprisal(settings.unknown) }
      return own.isEmpty || surprisals.count < own.count ? nil : -surprisals.reduce(0, +)
    }
    return PairScore(pair: pair, good: sum(good), bad: sum(bad))
  }

  /// Returns the part in which two sentences differ: the number of words before it, and of words after it.
  static func differingPart(_ words: [String], _ others: [String]) -> (before: Int, after: Int) {
    let most = min(words.count, others.count)
    let before = zip(words, others).prefix { $0 == $1 }.count
    let after = zip(words.reversed(), others.reversed()).prefix { $0 == $1 }.prefix(most - before)
      .count
    // The word after a gap is compared, too: one sentence has nothing in its place.
    return before + after == most && after > 0 ? (before, after - 1) : (before, after)
  }
}

/// Reads pairs line by line.
private struct PairReader: ~Copyable {
  private static let goodFields = ["sentence_good", "good", "acceptable", "grammatical"]
  private static let badFields = ["sentence_bad", "bad", "unacceptable", "ungrammatical"]
  private static let groupFields = ["phenomenon", "UID", "linguistics_term", "condition"]

  private var lines: FieldLines
  private let groupField: String?
  /// The columns of a table; `nil` for JSON lines, and before the first line.
  private var columns: [String]?
  private var isFirst = true

  init(path: String, groupField: String?) throws(FileError) {
    lines = try FieldLines(path: path)
    self.groupField = groupField
  }

  /// The share of the file that was read.
  var fraction: Double? { lines.fraction }

  /// Returns the next pair, or `nil` at the end; blank lines are left out.
  mutating func next() throws(TextError) -> MinimalPair? {
    while let (text, line) = try lines.next() {
      if isFirst {
        isFirst = false
        if !FieldLines.isJSON(text) {
          columns = FieldLines.cells(text)
          continue
        }
      }
      return try pair(text, line)
    }
    return nil
  }

  private func pair(_ text: String, _ line: Int) throws(TextError) -> MinimalPair {
    var fields: [String: String] = [:]
    if let columns {
      let cells = FieldLines.cells(text)
      guard cells.count == columns.count else {
        throw refusal(
          line, expected: "\(columns.count) columns, as in the header", found: "\(cells.count)")
      }
      for (column, cell) in zip(columns, cells) { fields[column] = cell }
    } else {
      guard let object = FieldLines.fields(ofJSON: text) else {
        throw refusal(line, expected: "a JSON object, as in the first line", found: text)
      }
      fields = object
    }
    guard let good = fields.first(of: Self.goodFields), let bad = fields.first(of: Self.badFields)
    else {
      throw refusal(
        line, expected: "the fields sentence_good and sentence_bad, between tabs or in JSON",
        found: columns?.count == 1 && columns?[0].contains(",") == true
          ? "commas between the fields" : fields.keys.sorted().joined(separator: ", "))
    }
    if let groupField, fields[groupField] == nil {
      throw refusal(
        line, expected: "a field \(groupField), for --group",
        found: fields.keys.sorted().joined(separator: ", "))
    }
    return MinimalPair(
      line: line, group: groupField.map { fields[$0] ?? "" } ?? fields.first(of: Self.groupFields),
      good: good, bad: bad)
  }

  private func refusal(_ line: Int, expected: String, found: String) -> TextError {
    TextError(
      path: lines.path, line: line, expected: expected, found: found,
      fix: "give JSON lines as BLiMP has them, or tab-separated columns with a header: "
        + "sentence_good, sentence_bad, and a group in phenomenon")
  }
}
