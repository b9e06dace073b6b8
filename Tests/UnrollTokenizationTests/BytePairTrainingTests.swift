// BPE learned from texts: the files that the library tokenizers saves.

import Foundation
import TestSupport
import Testing
import UnrollSerialization

@testable import UnrollTokenization

@Suite("Byte-pair training") struct BytePairTrainingTests {
  private func text(_ names: [String]) throws -> String {
    try names.map { String(decoding: try Data(contentsOf: URL(filePath: $0)), as: UTF8.self) }
      .joined()
  }

  private func learned(
    _ text: String, _ size: Int, _ change: (inout BytePairTraining) -> Void = { _ in }
  ) throws -> TokenizerDefinition {
    var training = BytePairTraining(maximumSize: size)
    change(&training)
    return try withText(Array(text.utf8)) {
      try TokenizerDefinition(trainedOn: [$0], by: training)
    }
  }

  private func fixture(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(filePath: Fixtures.path("bpe/\(name).json"))))
  }

  @Test("BPE learned from a text equals the file of the tokenizers library")
  func trainingOnText() throws {
    let names = ["valid", "test"].map { Fixtures.path("characters/\($0).txt") }
    let plain = try text(names).replacing(" ", with: "").replacing("_", with: " ")
    #expect(plain.utf8.count > 100_000)
    #expect(try learned(plain, 900).bytes == fixture("shakespeare"))
  }

  @Test("BPE learned from many scripts equals the file of the tokenizers library")
  func trainingOnScripts() throws {
    let names = ["code", "emoji", "english", "german", "japanese", "spaces"]
    let small = try text(names.map { TokenizerFixtures.path("texts/\($0).txt") })
    let definition = try learned(small + small, 500) {
      ($0.minimumCount, $0.appendsEndOfSentence) = (3, true)
    }
    #expect(try definition.bytes == fixture("scripts"))
    let (kind, vocabulary) = try definition.tokens()
    #expect(kind == .bpe && vocabulary.text(of: 0) == "<eos>" && vocabulary.kinds?[0] == .control)
  }

  /// The merges of a text, by hand.
  private func merges(_ text: String, size: Int = 1000, minimum: Int = 1) throws -> [[String]] {
    let definition = try learned(text, size) { $0.minimumCount = minimum }
    let list = try JSONValue(definition.bytes)["model"]?["merges"]?.array ?? []
    return list.map { $0.array?.compactMap(\.text) ?? [] }
  }

  @Test("The most frequent pair is merged first, and of equal counts that of lower ids")
  func orderOfMerges() throws {
    #expect(try merges("abc\nabc\nbc") == [["b", "c"], ["a", "bc"]])
    // Of equal counts the one with the lesser ids; the space, Ġ, is behind the letters.
    #expect(try merges("xy ab") == [["a", "b"], ["x", "y"], ["Ġ", "ab"]])
    #expect(try merges("abc\nabc\nbc", minimum: 2) == [["b", "c"], ["a", "bc"]])
    #expect(try merges("abc\nabc\nbc", size: 257) == [["b", "c"]])
    #expect(try merges("aaaa") == [["a", "a"], ["aa", "aa"]])
    #expect(try merges("a") == [])
  }

  /// The merges that counting all pairs anew gives, for words of letters.
  private func recounted(_ words: [String], _ count: Int) -> [[String]] {
    var pieces = words.enumerated().map { ($0 == 0 ? "" : "Ġ") + $1 }.map { $0.map(String.init) }
    var merges: [[String]] = []
    // The letters come before the space, and those before what is made of them.
    var ids = Dictionary(uniqueKeysWithValues: ["a", "b", "Ġ"].enumerated().map { ($1, $0) })
    while merges.count < count {
      var counts: [[String]: Int] = [:]
      for piece in pieces {
        for pair in zip(piece, piece.dropFirst()) { counts[[pair.0, pair.1], default: 0] += 1 }
      }
      let order = { (pair: [String], count: Int) in [-count] + pair.map { ids[$0] ?? 0 } }
      let best = counts.min {
        order($0.key, $0.value).lexicographicallyPrecedes(order($1.key, $1.value))
      }
      guard let pair = best?.key else { break }
      merges.append(pair)
      ids[pair.joined()] = ids.count
      pieces = pieces.map { piece in
        piece.reduce(into: []) { merged, symbol in
          let isPair = merged.last == pair[0] && symbol == pair[1]
          if isPair { merged.removeLast() }
          merged.append(isPair ? pair.joined() : symbol)
        }
      }
    }
    return merges
  }

  @Test("Merges equal those of counting all pairs anew")
  func recounts() throws {
    // Words of two letters, with runs that overlap themselves.
    var generator = SeededGenerator(seed: 6)
    let words = (0..<60).map { _ in
      (0..<Int.random(in: 1...9, using: &generator)).map { _ in
        Bool.random(using: &generator) ? "a" : "b"
      }.joined()
    }
    let merges = try merges(words.joined(separator: " "))
    #expect(merges.count > 50 && merges == recounted(words, merges.count))
  }

  @Test("An empty text and bytes that are not UTF-8 are refused")
  func otherBytes() throws {
    #expect(throws: TextError.self) { try learned("", 300) }
    #expect(throws: TextError.self) {
      try withText([0x61, 0xFF]) {
        _ = try TokenizerDefinition(trainedOn: [$0], by: BytePairTraining(maximumSize: 300))
      }
    }
  }

  @Test("Progress reports the reading of a text")
  func progress() throws {
    try withText(Array(String(repeating: "the cat sat on the mat\n", count: 2000).utf8)) { path in
      var readings = 0
      _ = try TokenizerDefinition(trainedOn: [path], by: BytePairTraining(maximumSize: 300)) {
        if case .reading(let share?) = $0, share > 0 { readings += 1 }
      }
      #expect(readings == 2)
    }
  }
}
