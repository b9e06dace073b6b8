// Byte-level BPE learned from texts: the files that the library tokenizers saves, byte for byte.

import Foundation
import TestSupport
import Testing

@testable import UnrollTokenization

@Suite struct BytePairTrainingTests {
  private struct Reference: Decodable {
    struct Case: Decodable {
      let texts: [String]
      let size: Int
      let minimum: Int
      let json: String
    }
    let cases: [Case]
  }

  @Test func filesAreThoseOfTheLibrary() throws {
    let reference = try JSONDecoder().decode(
      Reference.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("tokenizers/bpe-training.json"))))
    #expect(reference.cases.count == 2)
    for expected in reference.cases {
      var training = BytePairTraining(maximumSize: expected.size)
      training.minimumCount = expected.minimum
      let found = try TokenizerDefinition(
        trainedOn: expected.texts.map { Fixtures.path("tokenizers/texts/\($0).txt") },
        by: training)
      let isEqual = found.bytes == Array(expected.json.utf8)
      #expect(isEqual, "\(expected.texts)")
    }
  }

  @Test func countsStayThoseOfARecount() throws {
    // Pieces of two letters, with runs that overlap themselves.
    var generator = SeededGenerator(seed: 6)
    let words = (0..<60).map { _ in
      (0..<Int.random(in: 1...9, using: &generator)).map { _ in
        UInt8.random(in: 97...98, using: &generator)
      }
    }
    let text = words.map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
    try withTemporaryFolder { folder in
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      let found = try TokenizerDefinition(
        trainedOn: ["\(folder)/text.txt"], by: BytePairTraining(maximumSize: 300))
      let merges = String(decoding: found.bytes, as: UTF8.self)
        .components(separatedBy: "\"merges\":[")[1]
      // The slow way: count all pairs anew for each merge.
      var pieces = text.split(separator: " ", omittingEmptySubsequences: false).enumerated().map {
        ($0.offset == 0 ? "" : "Ġ") + $0.element
      }.map { $0.map(String.init) }
      let alphabet = ByteLevel.characters.map(String.init).sorted {
        $0.unicodeScalars.first?.value ?? 0 < $1.unicodeScalars.first?.value ?? 0
      }
      var ids = Dictionary(uniqueKeysWithValues: alphabet.enumerated().map { ($1, $0) })
      var expected: [String] = []
      while ids.count < 300 {
        var counts: [[String]: Int] = [:]
        for piece in pieces {
          for index in piece.indices.dropLast() {
            counts[[piece[index], piece[index + 1]], default: 0] += 1
          }
        }
        func order(_ pair: [String]) -> [Int] { pair.map { ids[$0] ?? 0 } }
        guard
          let best = counts.max(by: { a, b in
            a.value != b.value
              ? a.value < b.value
              : order(b.key).lexicographicallyPrecedes(order(a.key))
          })?.key
        else { break }
        expected.append("[\"\(best[0])\",\"\(best[1])\"]")
        ids[best.joined()] = ids[best.joined()] ?? ids.count
        pieces = pieces.map { piece in
          var merged: [String] = []
          var index = 0
          while index < piece.count {
            if index + 1 < piece.count, [piece[index], piece[index + 1]] == best {
              merged.append(best.joined())
              index += 2
            } else {
              merged.append(piece[index])
              index += 1
            }
          }
          return merged
        }
      }
      #expect(merges.hasPrefix(expected.prefix(20).joined(separator: ",")))
    }
  }

  @Test func textsWithoutTokensAreRefused() throws {
    let training = BytePairTraining(maximumSize: 300)
    #expect(throws: TextError.self) {
      try TokenizerDefinition(
        trainedOn: [Fixtures.path("tokenizers/texts/empty.txt")], by: training)
    }
    #expect(throws: TextError.self) {
      try TokenizerDefinition(
        trainedOn: [Fixtures.path("tokenizers/texts/broken.txt")], by: training)
    }
  }
}
