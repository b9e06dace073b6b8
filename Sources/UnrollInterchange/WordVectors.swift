// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Word embeddings in the formats of word2vec, GloVe and fastText.

import UnrollTensors
import UnrollTokenization

/// Words and their vectors.
///
/// In text, a line for each word, word first; word2vec and fastText begin with the number of words
/// and the width. The binary files of word2vec begin with the same line, followed for each word by
/// its bytes, a space and the vector in little-endian f32. word2vec ends each vector with a line
/// feed, gensim does not.
public struct WordVectors: Sendable {
  /// The length of a vector, D.
  public let width: Int
  /// The vectors of the requested words, by the tokens' bytes.
  private var vectors: [[UInt8]: [Float]] = [:]

  /// Reads the vectors of some words; others, of which there can be millions, are skipped.
  ///
  /// - Parameters:
  ///   - path: The file, text or binary by content, plain or gzip.
  ///   - vocabulary: The words.
  ///   - progress: Called with the share that was read, if known.
  /// - Throws: `FileError` if the file cannot be opened; `TextError` if the length of a vector
  ///   differs from the first line's, or a value is not a number.
  public init(
    contentsOf path: String, for vocabulary: Vocabulary, progress: (Double?) -> Void = { _ in }
  ) throws {
    var reader = try LineReader(path: path, lineEnds: .lineFeed, isText: false)
    guard let first = try reader.next() else { throw Self.error(path, "words", "none") }
    let header = VectorHeader(first)
    if let header, try !header.isFollowedByText(&reader) {
      width = try header.checkedWidth(reader)
      try readBinary(&reader, header, vocabulary, progress)
      return
    }
    guard let line = try header == nil ? first : reader.next() else {
      throw Self.error(path, "words and their numbers", "only their count")
    }
    // All vectors have the length of the first.
    width = Self.fields(line).count - 1
    try readText(&reader, from: line, vocabulary, progress)
  }

  fileprivate static func error(
    _ path: String, _ expected: String, _ found: String, line: Int? = nil
  ) -> TextError {
    TextError(
      path: path, line: line, expected: expected, found: found,
      fix:
        "give a file of word2vec, text or binary, or a text file of GloVe or fastText; fastText's "
        + "binary files are not read")
  }

  // MARK: - Text

  private static func fields(_ line: TextLine) -> [ArraySlice<UInt8>] {
    // word2vec ends its lines with a space, Windows with a carriage return.
    let isWindows = line.bytes.last == UInt8(ascii: "\r")
    return line.bytes.dropLast(isWindows ? 1 : 0).split(separator: UInt8(ascii: " "))
  }

  private mutating func readText(
    _ reader: inout LineReader, from first: TextLine, _ vocabulary: Vocabulary,
    _ progress: (Double?) -> Void
  ) throws {
    var next: TextLine? = first
    while let line = next {
      if line.number % 1000 == 0 { progress(reader.fraction) }
      try add(line, vocabulary, path: reader.path)
      next = try reader.next()
    }
  }

  private mutating func add(
    _ line: TextLine, _ vocabulary: Vocabulary, path: String
  ) throws(TextError) {
    let fields = Self.fields(line)
    guard let word = fields.first, fields.count > 1 else {
      throw Self.error(
        path, "a word and its numbers", "\(fields.count) fields", line: line.number)
    }
    guard fields.count == width + 1 else {
      throw Self.error(path, "\(width) numbers", "\(fields.count - 1)", line: line.number)
    }
    guard word.withUnsafeBytes({ vocabulary.id(of: $0) }) != nil else { return }
    var vector: [Float] = []
    for field in fields.dropFirst() {
      let text = String(decoding: field, as: UTF8.self)
      guard let number = Float(text), number.isFinite else {
        throw Self.error(path, "finite numbers", text, line: line.number)
      }
      vector.append(number)
    }
    vectors[Array(word)] = vector
  }

  // MARK: - Binary

  /// The maximum length of a word in bytes.
  private static let maximumWordSize = 1 << 16

  private mutating func readBinary(
    _ reader: inout LineReader, _ header: VectorHeader, _ vocabulary: Vocabulary,
    _ progress: (Double?) -> Void
  ) throws {
    for number in 1...header.count {
      if number % 1000 == 0 { progress(reader.fraction) }
      guard
        let text = try reader.read(to: UInt8(ascii: " "), limit: Self.maximumWordSize)
      else {
        throw Self.error(
          reader.path, "\(header.count) words, each with a space behind it",
          "none in the place of word \(number)")
      }
      let word = text.drop { $0 == UInt8(ascii: "\n") }
      let bytes = try reader.read(4 * width)
      guard bytes.count == 4 * width else {
        throw Self.error(
          reader.path, "\(header.count) vectors of \(width) numbers",
          "the end of the file in vector \(number)")
      }
      guard word.withUnsafeBytes({ vocabulary.id(of: $0) }) != nil else { continue }
      let vector = Self.floats(bytes)
      guard vector.allSatisfy(\.isFinite) else {
        throw Self.error(reader.path, "finite numbers", "others in vector \(number)")
      }
      vectors[Array(word)] = vector
    }
    guard try reader.read(2).allSatisfy({ $0 == UInt8(ascii: "\n") }) else {
      throw Self.error(
        reader.path, "\(header.count) vectors, as the first line says",
        "more bytes behind them")
    }
  }

  private static func floats(_ bytes: [UInt8]) -> [Float] {
    bytes.withUnsafeBytes { bytes in
      stride(from: 0, to: bytes.count, by: 4).map {
        Float(
          bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: $0, as: UInt32.self))
        )
      }
    }
  }

  // MARK: - Use

  /// The number of words with a vector.
  public var count: Int { vectors.count }

  /// Returns an embedding whose rows are the vectors of its words, if there are any.
  ///
  /// - Parameters:
  ///   - vocabulary: The tokens.
  ///   - drawn: `[V, D]` f32, the initialized rows of the other tokens.
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

/// The first line of a word2vec file.
private struct VectorHeader {
  /// The number of vectors, V.
  let count: Int
  /// Their length, D.
  let width: Int

  /// Parses the line; `nil` if it is not two numbers.
  init?(_ line: TextLine) {
    let numbers = String(decoding: line.bytes, as: UTF8.self).split { " \r".contains($0) }
    guard numbers.count == 2, let count = Int(numbers[0]), let width = Int(numbers[1]) else {
      return nil
    }
    self.count = count
    self.width = width
  }

  /// Returns `true` if text follows: a line with the right number of numbers, or no control
  /// characters.
  ///
  /// Binary data are distinguished from text by their bytes, not by the file's name.
  func isFollowedByText(_ reader: inout LineReader) throws -> Bool {
    let bytes = try reader.peek(1 << 16)
    let line = bytes.prefix { $0 != UInt8(ascii: "\n") }
    let fields = line.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\r") }
    let isVector = fields.dropFirst().allSatisfy {
      Float(String(decoding: $0, as: UTF8.self)) != nil
    }
    if isVector && fields.count - 1 == width { return true }
    // The last character may be truncated.
    return !bytes.contains { $0 < 0x20 && !(0x09...0x0D).contains($0) }
      && (0..<4).contains { String(validating: bytes.dropLast($0), as: UTF8.self) != nil }
  }

  /// Returns the width, if it is valid for a model and the file can hold as many vectors.
  ///
  /// - Throws: `TextError` otherwise.
  func checkedWidth(_ reader: borrowing LineReader) throws(TextError) -> Int {
    guard count > 0, (1...1_000_000).contains(width) else {
      throw WordVectors.error(
        reader.path, "a number of words from 1, and a width from 1 to 1000000",
        "\(count) and \(width)", line: 1)
    }
    // Each word takes at least a byte and a space.
    let (size, overflows) = count.multipliedReportingOverflow(by: 4 * width + 2)
    guard let plainSize = reader.plainSize, overflows || size > plainSize else { return width }
    throw WordVectors.error(
      reader.path, "\(count) vectors of \(width) numbers", "a file of \(plainSize) bytes",
      line: 1)
  }
}
