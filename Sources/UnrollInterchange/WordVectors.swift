// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Embeddings of words as word2vec, GloVe and fastText write them, in text or binary.

import UnrollTensors
import UnrollTokenization

/// Words and their vectors: a line each, the word first; word2vec and fastText begin with the two sizes.
///
/// In word2vec's binary files each vector is D little-endian f32 after the word and a space.
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
    if let binary = try BinaryWordVectors(path: path) {
      width = binary.width
      vectors = try binary.vectors(of: vocabulary) { progress($0) }
      return
    }
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
        fix: "give a file of word2vec, GloVe or fastText")
    }
    self.width = width
  }

  private static func error(
    _ path: String, _ line: TextLine, expected: String, found: String
  ) -> TextError {
    TextError(
      path: path, line: line.number, expected: expected, found: found,
      fix: "give a file of word2vec, GloVe or fastText; fastText's binary models are not read")
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

/// A binary file of word2vec, not compressed.
private struct BinaryWordVectors {
  let width: Int
  private let count: Int
  private let file: MappedFile
  /// Where the first word begins.
  private let start: Int

  /// The longest first line, and the longest word.
  private static let mostBytes = 10_000

  /// Looks at a file; `nil` if it is none of that kind: two sizes in the first line, and in the place of
  /// the first vector bytes that no text of numbers has.
  init?(path: String) throws {
    guard path != "-", let file = try? MappedFile(path: path) else { return nil }
    let head = file.copy(0..<min(file.count, 64))
    guard let end = head.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
    let sizes = String(decoding: head[..<end], as: UTF8.self).split(separator: " ").map { Int($0) }
    guard sizes.count == 2, let count = sizes[0], let width = sizes[1], count > 0,
      (1...1_000_000).contains(width)
    else { return nil }
    (self.width, self.count, self.file, start) = (width, count, file, end + 1)
    guard let first = try? entry(at: start, number: 1) else { return nil }
    let numeric = Set("0123456789.+-eE \r\n".utf8)
    guard file.bytes[first.vector].contains(where: { !numeric.contains($0) }) else { return nil }
  }

  /// A word and the place of its vector.
  private func entry(
    at start: Int, number: Int
  ) throws -> (word: [UInt8], vector: Range<Int>) {
    var place = start
    // Some writers end each vector with the end of a line.
    while place < file.count, file.bytes[place] == UInt8(ascii: "\n") { place += 1 }
    let text = file.bytes[place..<min(file.count, place + Self.mostBytes)]
    guard let space = text.firstIndex(of: UInt8(ascii: " ")), 4 * width <= file.count - space - 1
    else {
      throw TextError(
        path: file.path, line: nil, expected: "\(count) words with \(width) numbers each",
        found: "the end of the file, or no word, at byte \(place), word \(number)",
        fix: "check that the file is whole")
    }
    return (Array(text[..<space]), space + 1..<space + 1 + 4 * width)
  }

  func vectors(
    of vocabulary: Vocabulary, _ progress: (Double) -> Void
  ) throws -> [[UInt8]: [Float]] {
    var vectors: [[UInt8]: [Float]] = [:]
    var place = start
    for number in 1...count {
      let (word, range) = try entry(at: place, number: number)
      place = range.upperBound
      if number % 10_000 == 0 { progress(Double(place) / Double(file.count)) }
      guard word.withUnsafeBytes({ vocabulary.id(of: $0) }) != nil else { continue }
      let vector = UnsafeRawBufferPointer(rebasing: file.bytes[range])
        .elements(of: UInt32.self) { Float(bitPattern: $0) }
      guard vector.allSatisfy(\.isFinite) else {
        throw TextError(
          path: file.path, line: nil, expected: "finite numbers",
          found: "others for \"\(String(decoding: word, as: UTF8.self))\", word \(number)",
          fix: "give a file of word2vec, GloVe or fastText")
      }
      vectors[word] = vector
    }
    return vectors
  }
}
