// The words of a text: its parts between white space, or the words that a file gives.

import UnrollTensors
import UnrollTokenization

/// A word of a line.
struct TextWord {
  /// The word as in the text or the file of words.
  let text: String
  /// The word's bytes in the line as the model reads it.
  let range: Range<Int>
}

/// The words of each line of a text: given by a file, or the parts between white space.
struct Segmentation: ~Copyable {
  private var lines: PreparedText?
  private let preparation: TextPreparation

  /// Opens the file of words.
  ///
  /// - Parameters:
  ///   - path: The file; `nil` to split the text at white space.
  ///   - preparation: The changes of the text, which are also applied to the words of the file.
  /// - Throws: `FileError` if the file cannot be opened.
  init(_ path: String?, _ preparation: TextPreparation) throws(FileError) {
    self.preparation = preparation
    lines = nil
    if let path { lines = try PreparedText(path: path, for: Tokenizer()) }
  }

  /// Returns the words of a line.
  ///
  /// - Throws: `TextError` if the words of the file differ from the line.
  mutating func words(of prepared: PreparedLine, path: String) throws(TextError) -> [TextWord] {
    let line = prepared.line
    guard lines != nil else {
      // Normalization and case do not change white space.
      let ranges = line.words
      let isSame = ranges.count == prepared.ownWords.count
      return ranges.enumerated().map { index, range in
        TextWord(
          text: isSame
            ? prepared.ownWords[index] : String(decoding: line.bytes[range], as: UTF8.self),
          range: range)
      }
    }
    let wordPath = lines?.path ?? ""
    guard let words = try lines?.next() else {
      throw TextError(
        path: wordPath, line: line.number, expected: "the words of line \(line.number) of \(path)",
        found: "the end of the file", fix: "give one line of words for each line of the text")
    }
    // White space is ignored on both sides.
    var places = line.words.joined().makeIterator()
    func refuse(_ found: [UInt8]) -> TextError {
      TextError(
        path: wordPath, line: words.number,
        expected: "the words of line \(line.number) of \(path), all and in order",
        found: "\"\(String(decoding: found, as: UTF8.self))\" where others are there",
        fix: "give the same text, with white space or tabs between the words")
    }
    let found = try Self.split(words.bytes).map { own throws(TextError) in
      let word = try preparation.apply(to: own, line: words.number, path: wordPath)
      var range: Range<Int>?
      for place in Self.parts(word).joined() {
        guard let next = places.next(), line.bytes[next] == word[place] else { throw refuse(own) }
        range = (range?.lowerBound ?? next)..<next + 1
      }
      return TextWord(text: Self.trimmed(own), range: range ?? 0..<0)
    }
    guard places.next() == nil else { throw refuse([]) }
    return found
  }

  /// - Throws: `TextError` if the file has words for more lines than the text.
  mutating func finish(path: String) throws(TextError) {
    guard let rest = try lines?.next() else { return }
    throw TextError(
      path: lines?.path ?? "", line: rest.number, expected: "as many lines as \(path) has",
      found: "more", fix: "give one line of words for each line of the text")
  }

  /// Returns a word without surrounding white space.
  private static func trimmed(_ word: [UInt8]) -> String {
    let parts = parts(word)
    guard let first = parts.first, let last = parts.last else { return "" }
    return String(decoding: word[first.lowerBound..<last.upperBound], as: UTF8.self)
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
