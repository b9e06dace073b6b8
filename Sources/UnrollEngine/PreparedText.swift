// Lines of a text as a model reads them: without a byte-order mark, normalized and in lower case if wanted.

import Foundation
import UnrollTensors
import UnrollTokenization

/// Changes of a text before it is cut into tokens.
public struct TextPreparation: Sendable {
  /// Normalization forms of Unicode.
  public enum Normalization: String, Sendable, CaseIterable {
    /// Characters as they are.
    case none
    /// Composed characters, as "é" for "e" and an acute accent.
    case nfc
  }

  /// The normalization form.
  public var normalization = Normalization.none
  /// `true` if letters become lower case, each code point by its own mapping.
  public var isLowercased = false

  /// Creates a preparation that changes nothing.
  public init() {}

  /// Returns some text with the changes.
  ///
  /// - Throws: `TextError` if there are changes and the text is not UTF-8.
  func apply(to bytes: [UInt8], line: Int, path: String) throws(TextError) -> [UInt8] {
    guard normalization != .none || isLowercased else { return bytes }
    guard var text = String(validating: bytes, as: UTF8.self) else {
      throw TextError(otherEncodingIn: path, line: line)
    }
    if isLowercased { text = text.lowercased() }
    if normalization == .nfc { text = text.precomposedStringWithCanonicalMapping }
    return Array(text.utf8)
  }
}

/// A line of a text.
struct PreparedLine {
  /// The line as the model reads it.
  let line: TextLine
  /// The words of the line as they stand in the text, those between white space.
  let ownWords: [String]
}

/// Reads the lines of a text that a model is measured on.
struct PreparedText: ~Copyable {
  private var lines: LineReader
  private let preparation: TextPreparation

  /// Opens a text.
  ///
  /// - Parameters:
  ///   - path: The text: a file, a gzip file, or `-` for standard input.
  ///   - tokenizer: The tokenizer that takes it.
  ///   - preparation: Changes of the text.
  ///   - isInteractive: `true` to return each line as soon as its end has come.
  /// - Throws: `FileError` if it cannot be opened.
  init(
    path: String, for tokenizer: Tokenizer, _ preparation: TextPreparation = TextPreparation(),
    isInteractive: Bool = false
  ) throws(FileError) {
    lines = try LineReader(path: path, for: tokenizer, isInteractive: isInteractive)
    self.preparation = preparation
  }

  var path: String { lines.path }
  /// The share of the text that was read.
  var fraction: Double? { lines.fraction }

  /// The next line as the model reads it, or `nil` at the end.
  ///
  /// - Throws: `TextError` if the text cannot be read or prepared.
  mutating func next() throws(TextError) -> TextLine? {
    guard let line = try lines.next() else { return nil }
    return try prepared(line)
  }

  /// The next line with its own words, or `nil` at the end.
  ///
  /// - Throws: `TextError` if the text cannot be read or prepared.
  mutating func nextWithWords() throws(TextError) -> PreparedLine? {
    guard let own = try lines.next() else { return nil }
    let words = own.words.map { String(decoding: own.bytes[$0], as: UTF8.self) }
    return PreparedLine(line: try prepared(own), ownWords: words)
  }

  private func prepared(_ line: TextLine) throws(TextError) -> TextLine {
    var line = line
    line.bytes = try preparation.apply(to: line.bytes, line: line.number, path: path)
    return line
  }
}
