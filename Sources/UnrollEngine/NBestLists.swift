// N-best lists: the hypotheses of a recognizer or translator, scored and combined with its own scores.

import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// A hypothesis of an utterance.
public struct Hypothesis: Sendable, Equatable {
  /// The line of the list, counted from 1.
  public let line: Int
  /// The utterance that it belongs to.
  public let utterance: String
  /// The words; empty for a recognizer that heard none.
  public let text: String
  /// The recognizer's own score, a logarithm; `nil` if the list has none.
  public let acoustic: Double?

  /// The number of words between white space.
  public var wordCount: Int { text.split(whereSeparator: \.isWhitespace).count }
}

/// A hypothesis with the log-probability that a model gives it.
public struct ScoredHypothesis: Sendable {
  /// The hypothesis.
  public let hypothesis: Hypothesis
  /// The log-probability in nats; `nil` where words are unknown or not predicted.
  public let logProbability: Double?
}

/// The weights of a combination of scores.
public struct RescoringWeights: Sendable, Equatable {
  /// The factor of the language model's log-probability.
  public var languageModel = 1.0
  /// A number that is added for each word: above 0, long hypotheses are preferred.
  public var word = 0.0

  /// Creates weights.
  public init(languageModel: Double = 1, word: Double = 0) {
    self.languageModel = languageModel
    self.word = word
  }

  /// Combines the scores of a hypothesis; `nil` if the model gives it none.
  ///
  /// - Parameters:
  ///   - scored: The hypothesis.
  ///   - logarithm: The natural logarithm of the base of the recognizer's scores.
  /// - Returns: The score.
  public func total(_ scored: ScoredHypothesis, logarithm: Double = 1) -> Double? {
    scored.logProbability.map {
      (scored.hypothesis.acoustic ?? 0) + languageModel * $0 / logarithm
        + word * Double(scored.hypothesis.wordCount)
    }
  }
}

/// The hypotheses of each utterance, in the order of the list.
public struct NBestList: Sendable {
  /// The hypotheses of an utterance.
  public struct Utterance: Sendable {
    /// The name.
    public let name: String
    /// Its hypotheses, in order; at least one.
    public internal(set) var hypotheses: [ScoredHypothesis]

    /// Returns the index of the hypothesis with the highest combined score, the first of equal ones; one without
    /// a score comes after all others, ordered by the recognizer's score.
    public func best(_ weights: RescoringWeights, logarithm: Double = 1) -> Int {
      func key(_ index: Int) -> (hasTotal: Bool, score: Double) {
        if let total = weights.total(hypotheses[index], logarithm: logarithm) {
          return (true, total)
        }
        return (false, hypotheses[index].hypothesis.acoustic ?? -.infinity)
      }
      var best = 0
      for index in hypotheses.indices.dropFirst() {
        let (own, other) = (key(index), key(best))
        if own.hasTotal != other.hasTotal ? own.hasTotal : own.score > other.score { best = index }
      }
      return best
    }
  }

  /// The utterances, in order of their first hypothesis.
  public private(set) var utterances: [Utterance] = []
  private var places: [String: Int] = [:]

  /// Creates an empty list.
  public init() {}

  /// Adds a hypothesis.
  public mutating func add(_ scored: ScoredHypothesis) {
    let name = scored.hypothesis.utterance
    guard let place = places[name] else {
      places[name] = utterances.count
      utterances.append(Utterance(name: name, hypotheses: [scored]))
      return
    }
    utterances[place].hypotheses.append(scored)
  }
}

extension LanguageModel {
  /// Scores the hypotheses of an n-best list, each as a sentence of its own.
  ///
  /// - Parameters:
  ///   - path: The list: JSON lines (`utt`, `hyp`, `am`), tab-separated columns with a header of these names or
  ///     without (utterance, score, hypothesis), or Kaldi's lines of a name and words; a file, a gzip file, or `-`
  ///     for standard input.
  ///   - unknown: The scores of unknown words.
  ///   - preparation: Changes of the hypotheses before they are cut into tokens.
  ///   - mixture: The interpolation of the model with others; `nil` for the model alone.
  ///   - body: Called with each hypothesis and the share of the list that was read.
  /// - Throws: `FileError` or `TextError` if the list cannot be read or has words that the model cannot encode;
  ///   `NotFinite`; `CancellationError` if the task was cancelled; the errors of `body`.
  public func score(
    nbest path: String, unknown: UnknownWords = .undefined,
    preparation: TextPreparation = TextPreparation(), mixture: Mixture? = nil,
    _ body: (ScoredHypothesis, _ fraction: Double?) throws -> Void
  ) throws {
    var reader = try NBestReader(path: path)
    let scorer = WordScorer(self, nil)
    while true {
      var hypotheses: [Hypothesis] = []
      while hypotheses.count < Self.sentenceCount, let next = try reader.next() {
        hypotheses.append(next)
      }
      guard !hypotheses.isEmpty else { return }
      try Task.checkCancellation()
      let lines = try hypotheses.map { hypothesis in
        let bytes = try preparation.apply(
          to: Array(hypothesis.text.utf8), line: hypothesis.line, path: path)
        return TextLine(bytes: bytes, terminatorCount: 1, number: hypothesis.line)
      }
      let encoded = try lines.map { try encoder.encode($0, path: path) }
      let predictions =
        try mixture?.predictions(ofSentences: encoded.map(\.ids))
        ?? self.predictions(ofSentences: encoded.map(\.ids))
      for (index, hypothesis) in hypotheses.enumerated() {
        let score = scorer.score(of: lines[index], encoded[index], [], predictions[index])
        guard score.logProbability?.isFinite != false else { throw NotFinite(path: self.path) }
        try body(
          ScoredHypothesis(
            hypothesis: hypothesis, logProbability: score.logProbability(unknown)),
          reader.fraction)
      }
    }
  }
}

/// Reads n-best lists line by line.
private struct NBestReader: ~Copyable {
  private static let names = (
    utterance: ["utt", "utterance", "id", "utt_id"], text: ["hyp", "text", "hypothesis"],
    acoustic: ["am", "acoustic", "score", "am_score"]
  )

  private enum Form {
    case json
    /// Columns with names.
    case named([String])
    /// Utterance, score and hypothesis, or utterance and hypothesis.
    case columns(Int)
    /// A name and words, as Kaldi's lists.
    case kaldi
  }

  private var lines: FieldLines
  private var form: Form?

  init(path: String) throws(FileError) {
    lines = try FieldLines(path: path)
  }

  var fraction: Double? { lines.fraction }

  mutating func next() throws(TextError) -> Hypothesis? {
    while let (text, line) = try lines.next() {
      if form == nil {
        form = form(of: text)
        if case .named? = form { continue }
        // Names and words between commas would be read as one word.
        if case .kaldi? = form, Self.isCSV(text) {
          throw refusal(line, expected: "tabs between columns", found: "commas")
        }
      }
      return try hypothesis(text, line)
    }
    return nil
  }

  private func form(of first: String) -> Form {
    if FieldLines.isJSON(first) { return .json }
    let cells = FieldLines.cells(first)
    guard cells.count > 1 else { return .kaldi }
    let known = Self.names.utterance + Self.names.text + Self.names.acoustic
    return cells.allSatisfy(known.contains) ? .named(cells) : .columns(cells.count)
  }

  /// `true` for a line with commas between names of columns, or between an utterance, a number and a hypothesis.
  private static func isCSV(_ line: String) -> Bool {
    let cells = line.split(separator: ",").map { $0.filter { $0 != "\"" && !$0.isWhitespace } }
    guard cells.count > 1 else { return false }
    return cells.contains(where: (names.utterance + names.text).contains)
      || (cells.count > 2 && Double(cells[1]) != nil)
  }

  private func hypothesis(_ text: String, _ line: Int) throws(TextError) -> Hypothesis {
    var fields: [String: String] = [:]
    switch form {
    case .json:
      guard let object = FieldLines.fields(ofJSON: text) else {
        throw refusal(line, expected: "a JSON object, as in the first line", found: text)
      }
      fields = object
    case .kaldi, nil:
      let end = text.firstIndex(where: \.isWhitespace) ?? text.endIndex
      return Hypothesis(
        line: line, utterance: Self.withoutNumber(String(text[..<end])),
        text: String(text[end...].drop(while: \.isWhitespace)), acoustic: nil)
    case .named(let columns):
      let cells = FieldLines.cells(text)
      guard cells.count == columns.count else {
        throw refusal(line, expected: "\(columns.count) columns", found: "\(cells.count)")
      }
      for (column, cell) in zip(columns, cells) { fields[column] = cell }
    case .columns(let count):
      let cells = FieldLines.cells(text)
      guard cells.count == count, 2...3 ~= count else {
        throw refusal(
          line, expected: "the columns utterance, score and hypothesis", found: "\(cells.count)")
      }
      fields["utt"] = cells[0]
      fields["hyp"] = cells[count - 1]
      if count == 3 { fields["am"] = cells[1] }
    }
    guard let utterance = fields.first(of: Self.names.utterance),
      let words = fields.first(of: Self.names.text)
    else {
      throw refusal(
        line, expected: "the fields utt and hyp",
        found: fields.keys.sorted().joined(separator: ", "))
    }
    let acoustic = fields.first(of: Self.names.acoustic)
    let number = acoustic.flatMap { Double($0) }
    guard acoustic == nil || number?.isFinite == true else {
      throw refusal(line, expected: "a number as the score", found: acoustic ?? "")
    }
    return Hypothesis(line: line, utterance: utterance, text: words, acoustic: number)
  }

  /// Returns the name of an utterance without the number of a hypothesis, `-1`, that Kaldi appends.
  private static func withoutNumber(_ name: String) -> String {
    guard let dash = name.lastIndex(of: "-"), dash != name.startIndex else { return name }
    let number = name[name.index(after: dash)...]
    return !number.isEmpty && number.allSatisfy { $0.isASCII && $0.isNumber }
      ? String(name[..<dash]) : name
  }

  private func refusal(_ line: Int, expected: String, found: String) -> TextError {
    TextError(
      path: lines.path, line: line, expected: expected, found: found,
      fix:
        "give JSON lines with utt, hyp and am, tab-separated columns of these names, or Kaldi's lines of a "
        + "name and words")
  }
}
