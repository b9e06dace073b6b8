// Lines with named fields: JSON objects, or columns between tabs.

import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// Reads the lines of a file that are not blank.
struct FieldLines: ~Copyable {
  private var lines: LineReader

  /// Opens a file, a gzip file, or `-` for standard input.
  ///
  /// - Throws: `FileError` if it cannot be opened.
  init(path: String) throws(FileError) { lines = try LineReader(path: path, for: Tokenizer()) }

  var path: String { lines.path }
  /// The share of the file that was read.
  var fraction: Double? { lines.fraction }

  /// Returns the next line and its number, or `nil` at the end.
  ///
  /// - Throws: `TextError` if it cannot be read, or is not UTF-8.
  mutating func next() throws(TextError) -> (text: String, number: Int)? {
    while let line = try lines.next() {
      guard let text = String(validating: line.bytes, as: UTF8.self) else {
        throw TextError(otherEncodingIn: lines.path, line: line.number)
      }
      if text.contains(where: { !$0.isWhitespace }) { return (text, line.number) }
    }
    return nil
  }

  /// Returns `true` for a line that begins as a JSON object does.
  static func isJSON(_ text: String) -> Bool { text.first { !$0.isWhitespace } == "{" }

  /// Returns the columns between tabs.
  static func cells(_ text: String) -> [String] {
    text.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
  }

  /// Returns the texts and numbers of a JSON object; `nil` if the line is none.
  static func fields(ofJSON text: String) -> [String: String]? {
    guard let object = (try? JSONValue(Array(text.utf8)))?.members else { return nil }
    return object.reduce(into: [:]) { fields, member in
      fields[String(decoding: member.key, as: UTF8.self)] =
        member.value.text ?? member.value.number.map { "\($0)" }
    }
  }
}

extension [String: String] {
  /// Returns the value of the first of some names that there is.
  func first(of names: [String]) -> String? { names.lazy.compactMap { self[$0] }.first }
}
