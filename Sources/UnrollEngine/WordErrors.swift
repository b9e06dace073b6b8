// Word error rates, and the weights that make them least on a development list.

import UnrollTensors
import UnrollTokenization

/// The differences of recognized words from the reference.
public struct WordErrors: Sendable, Equatable {
  /// The number of other words in place of the reference's.
  public private(set) var substitutions = 0
  /// The number of words of the reference that are missing.
  public private(set) var deletions = 0
  /// The number of words that are not in the reference.
  public private(set) var insertions = 0
  /// The number of words of the reference.
  public private(set) var words = 0

  /// The number of all differences.
  public var count: Int { substitutions + deletions + insertions }
  /// The word error rate; `nil` without words.
  public var rate: Double? { words > 0 ? Double(count) / Double(words) : nil }

  /// Creates the errors of nothing.
  public init() {}

  /// Creates the fewest errors between two texts, words between white space.
  ///
  /// Of several alignments with as many errors, the one with the most substitutions.
  public init(of hypothesis: String, reference: String) {
    let found = hypothesis.split(whereSeparator: \.isWhitespace)
    let expected = reference.split(whereSeparator: \.isWhitespace)
    // The errors of the first words of the hypothesis against all beginnings of the reference.
    var row = (0...expected.count).map { count in
      var errors = WordErrors()
      errors.deletions = count
      return errors
    }
    for word in found {
      var diagonal = row[0]
      row[0].insertions += 1
      for (index, other) in expected.enumerated() {
        var best = diagonal
        if word != other { best.substitutions += 1 }
        var deleted = row[index]
        deleted.deletions += 1
        var inserted = row[index + 1]
        inserted.insertions += 1
        if deleted.count < best.count { best = deleted }
        if inserted.count < best.count { best = inserted }
        diagonal = row[index + 1]
        row[index + 1] = best
      }
    }
    self = row[expected.count]
    words = expected.count
  }

  /// Adds the errors of another text.
  public static func += (a: inout WordErrors, b: WordErrors) {
    a.substitutions += b.substitutions
    a.deletions += b.deletions
    a.insertions += b.insertions
    a.words += b.words
  }
}

/// The reference texts of utterances.
public struct ReferenceTexts: Sendable {
  private let texts: [String: String]

  /// Reads lines of a name and words, between white space or a tab.
  ///
  /// - Throws: `FileError` or `TextError` if the file cannot be read, or names an utterance twice.
  public init(path: String) throws {
    var texts: [String: String] = [:]
    var lines = try LineReader(path: path, for: Tokenizer())
    while let line = try lines.next() {
      guard let text = String(validating: line.bytes, as: UTF8.self) else {
        throw TextError(otherEncodingIn: path, line: line.number)
      }
      guard let start = text.firstIndex(where: { !$0.isWhitespace }) else { continue }
      let end = text[start...].firstIndex(where: \.isWhitespace) ?? text.endIndex
      let name = String(text[start..<end])
      guard texts.updateValue(String(text[end...]), forKey: name) == nil else {
        throw TextError(
          path: path, line: line.number, expected: "each utterance once", found: "\(name) again",
          fix: "give one reference for each utterance")
      }
    }
    self.texts = texts
  }

  /// Returns the reference of an utterance.
  public subscript(utterance: String) -> String? { texts[utterance] }
}

/// The word errors of every hypothesis of a list.
public struct NBestErrors: Sendable {
  private let errors: [[WordErrors]]
  private let list: NBestList

  /// Compares all hypotheses with their references.
  ///
  /// - Throws: `TextError` if an utterance has no reference.
  public init(_ list: NBestList, _ references: ReferenceTexts, path: String) throws {
    self.list = list
    errors = try list.utterances.map { utterance in
      guard let reference = references[utterance.name] else {
        throw TextError(
          path: path, line: nil, expected: "a reference of \(utterance.name)", found: "none",
          fix: "give a line of its name and its words")
      }
      return utterance.hypotheses.map { WordErrors(of: $0.hypothesis.text, reference: reference) }
    }
  }

  /// Returns the errors of a choice: an index for each utterance.
  public func total(_ choice: (NBestList.Utterance) -> Int) -> WordErrors {
    var total = WordErrors()
    for (utterance, own) in zip(list.utterances, errors) { total += own[choice(utterance)] }
    return total
  }

  /// The errors of the best hypotheses that the list has.
  public var oracle: WordErrors {
    var total = WordErrors()
    for own in errors {
      if let least = own.min(by: { $0.count < $1.count }) { total += least }
    }
    return total
  }

  /// Returns the weights with the fewest errors: of the model 0 to 2 in steps of 0.05, of a word -2 to 2 in steps of 0.25; of
  /// equal ones the smallest.
  public func tuned(logarithm: Double = 1) -> RescoringWeights {
    var best = RescoringWeights(languageModel: 0, word: 0)
    var least = Int.max
    for step in 0...40 {
      for words in (-8...8).sorted(by: { (abs($0), $0) < (abs($1), $1) }) {
        let weights = RescoringWeights(
          languageModel: Double(step) / 20, word: Double(words) / 4)
        let count = total { $0.best(weights, logarithm: logarithm) }.count
        if count < least { (least, best) = (count, weights) }
      }
    }
    return best
  }
}
