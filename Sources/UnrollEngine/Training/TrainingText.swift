// A text for training or validation, read once as token ids.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// The tokens of a text.
public struct TrainingText: Sendable {
  /// The path of the text.
  public let path: String
  /// The SHA-256 of the file's bytes.
  public let digest: String
  /// The number of tokens.
  public var count: Int { ids.count }
  /// The number of words outside the vocabulary, replaced by the unknown token.
  public var unknown: Int { unknowns.reduce(0, +) }
  private(set) var ids: [Int32]
  /// The indices of the ids at which lines begin.
  let lineStarts: [Int]
  /// The number of out-of-vocabulary words of each line.
  private let unknowns: [Int]

  /// Reads a text.
  ///
  /// - Parameters:
  ///   - path: A file, plain or gzip. Not standard input: a training can be resumed, a stream
  ///     cannot.
  ///   - encoder: The model's encoder.
  ///   - progress: Called periodically with the share that was read.
  /// - Throws: `FileError` or `TextError` if the text cannot be read or has words that the model
  ///   cannot encode: all of them are listed.
  public init(
    path: String, encoder: Encoder, progress: (Double?) -> Void = { _ in }
  ) throws {
    guard path != "-" else {
      throw TextError(
        path: "standard input", line: nil, expected: "a file, since training can be resumed",
        found: "-", fix: "write the text to a file first")
    }
    self.path = path
    digest = UnrollFormat.digest(of: try MappedFile(path: path))
    (ids, lineStarts, unknowns) = try Self.ids(path: path, encoder: encoder, progress: progress)
  }

  /// The text without its tokens: its name and digest.
  var withoutTokens: TrainingText {
    TrainingText(path: path, digest: digest, ids: [], lineStarts: [], unknowns: [])
  }

  private init(path: String, digest: String, ids: [Int32], lineStarts: [Int], unknowns: [Int]) {
    self.path = path
    self.digest = digest
    self.ids = ids
    self.lineStarts = lineStarts
    self.unknowns = unknowns
  }

  /// Splits the text between two lines, for training and validation.
  ///
  /// A part has the path `PATH, lines FIRST-LAST of COUNT`, and as digest that of the text's digest and these
  /// words.
  ///
  /// - Parameter split: The place.
  /// - Returns: The lines before it and those behind it.
  /// - Throws: `TextError` if one of them would be empty.
  public func parts(_ split: TextSplit) throws -> (train: TrainingText, valid: TrainingText) {
    let count = lineStarts.count
    let cut =
      switch split {
      case .validFraction(let share): count - Int((share * Double(count)).rounded())
      case .trainLines(let lines): lines
      }
    guard cut > 0, cut < count else {
      throw TextError(
        path: path, line: nil, expected: "lines for training and for validation",
        found: "\(count) lines, \(max(0, cut)) for training",
        fix: "give another --valid-fraction, or a text with more lines")
    }
    func part(_ lines: Range<Int>) -> TrainingText {
      let end = lines.upperBound < count ? lineStarts[lines.upperBound] : ids.count
      let start = lineStarts[lines.lowerBound]
      let name = TextSplit.suffix(lines, of: count)
      return TrainingText(
        path: path + name, digest: UnrollFormat.digest(ofText: digest + name),
        ids: Array(ids[start..<end]), lineStarts: lineStarts[lines].map { $0 - start },
        unknowns: Array(unknowns[lines]))
    }
    return (part(0..<cut), part(cut..<count))
  }

  /// Reads the ids of a text; if sentences have a start token of their own, each line begins with
  /// it.
  ///
  /// - Parameters:
  ///   - path: A file, plain or gzip, or `-` for standard input.
  ///   - encoder: The model's encoder.
  ///   - progress: Called periodically with the share that was read.
  /// - Returns: The ids, the indices of line starts, and the number of words of each line that are outside the
  ///   vocabulary.
  /// - Throws: `FileError` or `TextError` if the text cannot be read or has words that the model
  ///   cannot encode: all of them are listed.
  static func ids(
    path: String, encoder: Encoder, progress: (Double?) -> Void = { _ in }
  ) throws -> (ids: [Int32], lineStarts: [Int], unknowns: [Int]) {
    var lines = try LineReader(path: path, for: encoder.tokenizer)
    var ids: [Int32] = []
    var lineStarts: [Int] = []
    var unknowns: [Int] = []
    var missing = MissingWords()
    let start = encoder.tokenizer.sentenceStart == .bos ? encoder.sentenceStartID : nil
    while let line = try lines.next() {
      do {
        let encoded = try encoder.encode(line, path: path)
        guard missing.isEmpty else { continue }
        lineStarts.append(ids.count)
        if let start { ids.append(start) }
        ids += encoded.ids
        unknowns.append(encoded.unknownCount)
      } catch {
        let words = encoder.missingWords(in: line)
        guard !words.isEmpty else { throw error }
        if missing.isEmpty {
          missing.cause = encoder.cause(ofRefused: line, path: path)
          missing.space = encoder.tokenizer.space
          missing.unit =
            [.whitespace, .wordlevel].contains(encoder.tokenizer.kind) ? "word" : "character"
        }
        missing.add(words, line: line.number)
      }
      guard line.number % 1000 == 0 else { continue }
      try Task.checkCancellation()
      progress(lines.fraction)
    }
    if let error = missing.error(path: path) { throw error }
    return (ids, lineStarts, unknowns)
  }
}

/// The line between training and validation in one text.
public enum TextSplit: Sendable {
  /// The last lines are for validation: this share of all, rounded.
  case validFraction(Double)
  /// The first lines are for training: this many.
  case trainLines(Int)

  /// Returns the words that follow the path of a part.
  static func suffix(_ lines: Range<Int>, of count: Int) -> String {
    ", lines \(lines.lowerBound + 1)-\(lines.upperBound) of \(count)"
  }

  /// Finds the whole text of a part.
  ///
  /// - Parameter name: The name of the part for training.
  /// - Returns: The name of the text, and its split; `nil` for the name of a whole text.
  public static func whole(ofPart name: String) -> (name: String, split: TextSplit)? {
    guard let found = name.firstMatch(of: /, lines 1-([0-9]+) of [0-9]+$/),
      let lines = Int(found.1)
    else { return nil }
    return (String(name[..<found.range.lowerBound]), .trainLines(lines))
  }
}

/// The out-of-vocabulary words of a text for a vocabulary without an unknown token.
private struct MissingWords {
  private var counts: [String: Int] = [:]
  private var firstLine: Int?
  /// The cause in the first such line, if it is the way the text was written.
  var cause: (found: String, fix: String)?
  /// The character that stands for a space in the vocabulary, if one does.
  var space: String?
  /// The name of one of them.
  var unit = "word"

  var isEmpty: Bool { counts.isEmpty }

  mutating func add(_ words: [String], line: Int) {
    for word in words {
      firstLine = firstLine ?? line
      // Bounded: a text in another language would fill the memory with its words.
      if counts[word] != nil || counts.count < 100_000 { counts[word, default: 0] += 1 }
    }
  }

  func error(path: String) -> TextError? {
    guard !isEmpty else { return nil }
    let ordered = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
    let named = ordered.prefix(10).map { "\"\(visible($0.key))\" (\($0.value))" }
    let list = named.joined(separator: ", ")
    let more = ordered.count > 10 ? " and \(ordered.count - 10) more" : ""
    let times = counts.values.reduce(0, +)
    let usual =
      space.flatMap { counts[$0] == nil ? nil : $0 }.map {
        "give plain text: \(visible($0)) stands for a space in this model's vocabulary"
      }
    return TextError(
      path: path, line: firstLine,
      expected: "\(unit)s of the vocabulary, which has no token for unknown \(unit)s",
      found: "\(ordered.count == 1 ? "one \(unit)" : "\(ordered.count) \(unit)s") that it lacks, "
        + "\(times == 1 ? "once" : "\(times) times"): \(list)\(more)"
        + (cause.map { "; the text has \($0.found)" } ?? ""),
      fix: cause?.fix ?? usual
        ?? "replace or remove them, or add them with finetune --vocabulary extend; check that the text was prepared "
        + "as the model's own text was")
  }
}
