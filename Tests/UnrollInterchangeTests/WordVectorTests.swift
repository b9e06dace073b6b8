// Word vectors as word2vec, gensim and GloVe write them, and files that lie.

import Foundation
import TestSupport
import Testing
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("Word vectors") struct WordVectorTests {
  private struct Expected: Decodable {
    let files: [String: [String: [Float]]]
  }

  private func rows(_ path: String, _ words: [String]) throws -> [[Float]] {
    let vocabulary = Vocabulary(tokens: words.map(\.utf8), unit: .word)
    let vectors = try WordVectors(contentsOf: path, for: vocabulary)
    let drawn = Tensor(
      [Float](repeating: 9, count: words.count * vectors.width),
      shape: [words.count, vectors.width])
    let values = try #require(vectors.rows(for: vocabulary, insteadOf: drawn).floats())
    return words.indices.map { Array(values[$0 * vectors.width..<($0 + 1) * vectors.width]) }
  }

  private func rows(ofFile bytes: [UInt8], _ words: [String]) throws -> [[Float]] {
    try withTemporaryFolder { folder in
      try Data(bytes).write(to: URL(filePath: "\(folder)/vectors"))
      return try rows("\(folder)/vectors", words)
    }
  }

  private func binary(
    _ header: String, _ vectors: [(word: String, values: [Float])], end: String = ""
  ) -> [UInt8] {
    vectors.reduce(into: Array("\(header)\n".utf8)) { bytes, vector in
      bytes += Array("\(vector.word) ".utf8)
      for value in vector.values {
        bytes += withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init)
      }
      bytes += Array(end.utf8)
    }
  }

  @Test(
    "Vectors of word2vec in text and binary equal those that gensim reads",
    arguments: ["word2vec.bin", "word2vec.bin.gz", "word2vec.txt", "word2vec.txt.gz"])
  func vectorsOfGensim(name: String) throws {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("vectors/expected.json")))
    let expected = try #require(
      try JSONDecoder().decode(Expected.self, from: data).files[name])
    let words = expected.keys.sorted()
    let rows = try rows(Fixtures.path("vectors/\(name)"), words + ["other"])
    #expect(words.count == 7 && rows.dropLast() == words.map { expected[$0] ?? [] }[...])
    #expect(rows.last == [9, 9, 9, 9, 9])
  }

  /// As word2vec itself writes them.
  @Test("Binary vectors with and without line feeds between them are read")
  func lineFeeds() throws {
    let vectors: [(String, [Float])] = [
      ("a", [0.5, -2]), ("b", [1e-9, .greatestFiniteMagnitude]),
    ]
    for end in ["", "\n"] {
      let rows = try rows(ofFile: binary("2 2", vectors, end: end), ["b", "a"])
      #expect(rows == [[1e-9, .greatestFiniteMagnitude], [0.5, -2]])
    }
    // The bytes of this number are ends of lines and a digit.
    let digits = [Float(bitPattern: 0x3F0A_300A), 0.5]
    #expect(try rows(ofFile: binary("1 2", [("a", digits)]), ["a"]) == [digits])
  }

  @Test("Text vectors in Latin-1, with trailing spaces or CR LF, are read")
  func otherEncodings() throws {
    let latin = Array("2 2\ncaf".utf8) + [0xE9] + Array(" 1 2\ncat 3 4\n".utf8)
    #expect(try rows(ofFile: latin, ["cat"]) == [[3, 4]])
    #expect(try rows(ofFile: Array("the 1 2 \ncat 3 4\r\n".utf8), ["cat"]) == [[3, 4]])
  }

  private func error(_ bytes: [UInt8]) -> String {
    do {
      return "\(try rows(ofFile: bytes, ["a", "b"]))"
    } catch let error as TextError {
      return "\(error.line.map(String.init) ?? "-"): \(error.expected); \(error.found)"
    } catch {
      return "\(error)"
    }
  }

  @Test("A count or width in the header that does not fit the file is refused")
  func falseHeaders() {
    let vectors: [(String, [Float])] = [("a", [0.5, -2]), ("b", [0, 3])]
    func error(_ header: String) -> String { self.error(binary(header, vectors)) }
    let most = "9223372036854775807"
    #expect(error("3 2") == "1: 3 vectors of 2 numbers; a file of 24 bytes")
    #expect(error("\(most) 2") == "1: \(most) vectors of 2 numbers; a file of 42 bytes")
    for header in ["2 \(most)", "0 2", "-1 2", "2 0", "2 -5", "2 1000001"] {
      let parts = header.split(separator: " ")
      #expect(
        error(header)
          == "1: a number of words from 1, and a width from 1 to 1000000; \(parts[0]) and \(parts[1])"
      )
    }
    #expect(error("1 2") == "-: 1 vectors, as the first line says; more bytes behind them")
    // More numbers than there are, but not more bytes.
    let long = binary("1 4", [("a", [0.5, -2, 1]), ("", [])])
    #expect(self.error(long) == "-: 1 vectors of 4 numbers; the end of the file in vector 1")
    // A width that takes the next word for numbers.
    #expect(error("1 4") == "-: 1 vectors, as the first line says; more bytes behind them")
    #expect(error("2 1") == "-: 2 vectors, as the first line says; more bytes behind them")
  }

  @Test("Damaged vectors are refused by line, unless they are not needed")
  func damagedVectors() {
    let infinite = binary("1 2", [("a", [0.5, .infinity])])
    #expect(error(infinite) == "-: finite numbers; others in vector 1")
    // Vectors that are not requested are skipped.
    #expect(error(binary("1 2", [("c", [0.5, .nan])])) == "[[9.0, 9.0], [9.0, 9.0]]")
    let endless = Array("1 2\n".utf8) + [UInt8](repeating: 0, count: 100_000)
    #expect(error(endless).hasPrefix("-: 1 words, each with a space behind it; none in"))
    let texts = [
      "": "-: words; none", "2 2\n": "-: words and their numbers; only their count",
      "a\n": "1: a word and its numbers; 1 fields", "\n": "1: a word and its numbers; 0 fields",
      "a 1 2\nb 1\n": "2: 2 numbers; 1", "a 1 x\n": "1: finite numbers; x",
      "2 3\na 1 nan\n": "2: finite numbers; nan",
    ]
    for (text, expected) in texts { #expect(error(Array(text.utf8)) == expected, "\(text)") }
  }

  /// A compressed file does not tell its size: it is read until it ends.
  @Test("A truncated compressed file of vectors is refused")
  func truncatedFile() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/vectors.gz"
      let packed = try Data(contentsOf: URL(filePath: Fixtures.path("vectors/word2vec.bin.gz")))
      try packed.dropLast(40).write(to: URL(filePath: path))
      #expect(throws: TextError.self) { _ = try rows(path, ["the"]) }
    }
  }
}
