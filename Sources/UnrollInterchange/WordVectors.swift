// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Embeddings of words as word2vec, GloVe and fastText write them in text.

import UnrollTensors
import UnrollTokenization

/// Words and their vectors: a line each, the word first; word2vec and fastText begin with the two sizes.
public struct WordVectors: Sendable {
  /// The length of a vector, D.
  public let width: Int
  /// The vectors of the words that were asked for, by the tokens' bytes.
  private var vectors: [[UInt8]: [Float]] = [:]

  /// Reads the vectors of some words; the others, which can be millions, are passed over.
  ///
  /// - Parameters:
  ///   - path: The file, plain or gzip.
  ///   - vocabulary: The words.
  ///   - progress: Called with the share that was read, where it is known.
  /// - Throws: `FileError` if the file cannot be opened; `TextError` if a line has another number of
  ///   numbers than the first, or something that is none.
  public init(
    contentsOf path: String, for vocabulary: Vocabulary, progress: (Double?) -> Void = { _ in }
  ) throws {
    var reader = try LineReader(path: path, lineEnds: .lineFeed)
    var width: Int?
    while let line = try reader.next() {
      var fields = line.bytes.split(separator: UInt8(ascii: " "))
      // word2vec ends its lines with a space, Windows with a return.
      if fields.last == [UInt8(ascii: "\r")] { fields.removeLast() }
      if line.number == 1, fields.count == 2 { continue }
      guard let word = fields.first, fields.count > 1 else {
        throw Self.error(
          path, line, expected: "a word and its numbers", found: "\(fields.count) fields")
      }
      let D = width ?? fields.count - 1
      width = D
      guard fields.count == D + 1 else {
        throw Self.error(path, line, expected: "\(D) numbers", found: "\(fields.count - 1)")
      }
      if line.number % 1000 == 0 { progress(reader.fraction) }
      guard word.withUnsafeBytes({ vocabulary.id(of: $0) }) != nil else { continue }
      vectors[Array(word)] = try fields.dropFirst().map { field in
        let text = String(decoding: field, as: UTF8.self)
        guard let number = Float(text), number.isFinite else {
          throw Self.error(path, line, expected: "finite numbers", found: text)
        }
        return number
      }
    }
    guard let width else {
      throw TextError(
        path: path, line: nil, expected: "words and their numbers", found: "none",
        fix: "give a text file of word2vec, GloVe or fastText")
    }
    self.width = width
  }

  private static func error(
    _ path: String, _ line: TextLine, expected: String, found: String
  ) -> TextError {
    TextError(
      path: path, line: line.number, expected: expected, found: found,
      fix: "give a text file of word2vec, GloVe or fastText; their binary files are not read")
  }

  /// How many words have a vector.
  public var count: Int { vectors.count }

  /// An embedding whose rows are the vectors of its words, where there are such.
  ///
  /// - Parameters:
  ///   - vocabulary: The tokens.
  ///   - drawn: `[V, D]` f32, the rows of the other tokens.
  /// - Returns: `[V, D]`
  public func rows(for vocabulary: Vocabulary, insteadOf drawn: Tensor) -> Tensor {
    guard var values = drawn.floats(), drawn.shape == [vocabulary.count, width] else {
      return drawn
    }
    for id in 0..<vocabulary.count {
      guard let vector = vectors[Array(vocabulary[id])] else { continue }
      values.replaceSubrange(id * width..<(id + 1) * width, with: vector)
    }
    return Tensor(values, shape: drawn.shape)
  }
}
