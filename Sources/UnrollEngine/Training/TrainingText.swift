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
  public let unknown: Int
  let ids: [Int32]
  /// The indices of the ids at which lines begin.
  let lineStarts: [Int]

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
    (ids, lineStarts, unknown) = try Self.ids(path: path, encoder: encoder, progress: progress)
  }

  /// Reads the ids of a text; if sentences have a start token of their own, each line begins with
  /// it.
  ///
  /// - Parameters:
  ///   - path: A file, plain or gzip, or `-` for standard input.
  ///   - encoder: The model's encoder.
  ///   - progress: Called periodically with the share that was read.
  /// - Returns: The ids, the indices of line starts, and the number of words outside the
  ///   vocabulary.
  /// - Throws: `FileError` or `TextError` if the text cannot be read or has words that the model
  ///   cannot encode: all of them are listed.
  static func ids(
    path: String, encoder: Encoder, progress: (Double?) -> Void = { _ in }
  ) throws -> (ids: [Int32], lineStarts: [Int], unknown: Int) {
    var lines = try LineReader(path: path, for: encoder.tokenizer)
    var ids: [Int32] = []
    var lineStarts: [Int] = []
    var unknown = 0
    var missing = MissingWords()
    let start = encoder.tokenizer.sentenceStart == .bos ? encoder.sentenceStartID : nil
    while let line = try lines.next() {
      do {
        let encoded = try encoder.encode(line, path: path)
        guard missing.isEmpty else { continue }
        lineStarts.append(ids.count)
        if let start { ids.append(start) }
        ids += encoded.ids
        unknown += encoded.unknownCount
      } catch {
        let words = encoder.missingWords(in: line)
        guard !words.isEmpty else { throw error }
        if missing.isEmpty { missing.cause = encoder.cause(ofRefused: line, path: path) }
        missing.add(words, line: line.number)
      }
      guard line.number % 1000 == 0 else { continue }
      try Task.checkCancellation()
      progress(lines.fraction)
    }
    if let error = missing.error(path: path) { throw error }
    return (ids, lineStarts, unknown)
  }
}

/// The out-of-vocabulary words of a text for a vocabulary without an unknown token.
private struct MissingWords {
  private var counts: [String: Int] = [:]
  private var firstLine: Int?
  /// The cause in the first such line, if it is the way the text was written.
  var cause: (found: String, fix: String)?

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
    return TextError(
      path: path, line: firstLine,
      expected: "words of the vocabulary, which has no token for unknown words",
      found: "\(counts.values.reduce(0, +)) words that it lacks: \(list)\(more)"
        + (cause.map { "; the text has \($0.found)" } ?? ""),
      fix: cause?.fix
        ?? "replace or remove them; check that the text was prepared as the model's own text was")
  }
}
