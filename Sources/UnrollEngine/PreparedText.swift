// Lines of a text as a model reads them: without a byte-order mark, optionally normalized and in
// lower case.

import Foundation
import UnrollTensors
import UnrollTokenization

/// Changes of a text before it is cut into tokens.
public struct TextPreparation: Sendable {
  /// A Unicode normalization form.
  public enum Normalization: String, Sendable, CaseIterable {
    /// No normalization.
    case none
    /// Composed characters, such as "é" for "e" and an acute accent.
    case nfc
  }

  /// The normalization form.
  public var normalization = Normalization.none
  /// `true` if letters become lower case by the simple mapping of each code point.
  public var isLowercased = false
  /// The part of the text that is read; `nil` for all of it.
  public var part: TextPart?

  /// Creates a preparation that changes nothing.
  public init() {}

  /// Returns text with the changes applied.
  ///
  /// - Throws: `TextError` if there are changes and the text is not UTF-8.
  func apply(to bytes: [UInt8], line: Int, path: String) throws(TextError) -> [UInt8] {
    guard normalization != .none || isLowercased else { return bytes }
    guard var text = String(validating: bytes, as: UTF8.self) else {
      throw TextError(otherEncodingIn: path, line: line)
    }
    if isLowercased { text = text.lowercased() }
    if normalization == .nfc { text = NormalForm.nfc.of(text) }
    return Array(text.utf8)
  }
}

/// A line of a text.
struct PreparedLine {
  /// The line as the model reads it.
  let line: TextLine
  /// The words of the line as in the text, separated by white space.
  let ownWords: [String]
}

/// Reads the lines of a text to be evaluated.
struct PreparedText: ~Copyable {
  private var lines: LineReader
  private let preparation: TextPreparation
  private var isAtStart = true

  /// Opens a text.
  ///
  /// - Parameters:
  ///   - path: The text: a file, a gzip file, or `-` for standard input.
  ///   - tokenizer: The tokenizer that reads the text.
  ///   - preparation: Changes of the text.
  ///   - isInteractive: `true` to return each line as soon as it is complete.
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
  /// The size of a plain file; `nil` for pipes and for compressed files.
  var plainSize: Int? { lines.plainSize }

  /// Goes on to a part behind the lines that were read.
  ///
  /// - Throws: `TextError` if the text is no plain file, or cannot be read.
  mutating func go(to part: TextPart) throws(TextError) {
    isAtStart = false
    try lines.restrict(to: part)
  }

  /// Returns the next line as the model reads it, or `nil` at the end.
  ///
  /// - Throws: `TextError` if the text cannot be read or prepared.
  mutating func next() throws(TextError) -> TextLine? {
    try seek()
    guard let line = try lines.next() else { return nil }
    return try prepared(line)
  }

  /// Returns the next line with its own words, or `nil` at the end.
  ///
  /// - Throws: `TextError` if the text cannot be read or prepared.
  mutating func nextWithWords() throws(TextError) -> PreparedLine? {
    try seek()
    guard let own = try lines.next() else { return nil }
    let words = own.words.map { String(decoding: own.bytes[$0], as: UTF8.self) }
    return PreparedLine(line: try prepared(own), ownWords: words)
  }

  /// Goes to the part, before the first line.
  private mutating func seek() throws(TextError) {
    guard isAtStart else { return }
    isAtStart = false
    if let part = preparation.part { try lines.restrict(to: part) }
  }

  private func prepared(_ line: TextLine) throws(TextError) -> TextLine {
    var line = line
    line.bytes = try preparation.apply(to: line.bytes, line: line.number, path: path)
    return line
  }
}
