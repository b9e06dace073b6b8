// Vocabularies: from a corpus, from a list, and their look-ups.

import Foundation
import TestSupport
import Testing

@testable import UnrollTokenization

extension Vocabulary {
  fileprivate var tokens: [[UInt8]] { (0..<count).map { Array(self[$0]) } }
}

@Suite("Vocabularies of corpora and lists") struct VocabularyTests {
  @Test("A corpus gives the tokens in the order of word_language_model")
  func corpora() throws {
    var progress = 0
    let folder = TextFixtures.path("corpus")
    let vocabulary = try Vocabulary(corpus: folder) { progress += $0 }
    #expect(vocabulary.tokens == utf8(try TextFixtures().vocabulary))
    #expect(vocabulary.unknownID == 2 && vocabulary.endOfSentenceID == 4)
    var size = 0
    for part in Vocabulary.corpusParts {
      size += try Data(contentsOf: URL(filePath: "\(folder)/\(part)")).count
    }
    #expect(progress == size)
  }

  @Test("A corpus without one of its texts is refused")
  func missingText() throws {
    try withTemporaryFolder { folder in
      try Data("a\n".utf8).write(to: URL(filePath: "\(folder)/train.txt"))
      expectError("\(folder)/valid.txt: cannot open: no such file or directory") {
        _ = try Vocabulary(corpus: folder)
      }
    }
  }

  @Test("A corpus that is not UTF-8 is refused with file and line")
  func invalidUTF8OfCorpus() throws {
    try withTemporaryFolder { folder in
      try Data("a\n".utf8).write(to: URL(filePath: "\(folder)/train.txt"))
      try Data([0x61, 0x0A, 0xFF]).write(to: URL(filePath: "\(folder)/valid.txt"))
      expectError(
        """
        \(folder)/valid.txt: line 2: expected UTF-8; found other bytes
          fix: convert the text, for example with `iconv -f LATIN1 -t UTF-8`
        """
      ) { _ = try Vocabulary(corpus: folder) }
    }
  }

  // MARK: - Lists

  @Test("A token list gives its lines and special tokens")
  func tokenLists() throws {
    let vocabulary = try Vocabulary(listedIn: TextFixtures.path("lists/good.txt"))
    #expect(vocabulary.tokens == utf8(["the", "cat", "<unk>", "a b", "<eos>", "日本"]))
    #expect(vocabulary.unknownID == 2 && vocabulary.endOfSentenceID == 4)
    let plain = try Vocabulary(listedIn: TextFixtures.path("lists/nothing-special.txt"))
    #expect(plain.tokens == utf8(["the", "cat"]))
    #expect(plain.unknownID == nil && plain.endOfSentenceID == nil)
  }

  @Test(
    "A list with a token twice, an empty line or no line is refused",
    arguments: [
      ("twice", ": line 4: expected one new token a line; found \"cat\" again"),
      ("empty-line", ": line 2: expected one new token a line; found an empty line"),
      ("empty", ": expected one token a line; found an empty file"),
    ])
  func invalidLists(name: String, expected: String) {
    let path = TextFixtures.path("lists/\(name).txt")
    expectError(
      """
      \(path)\(expected)
        fix: \(name == "empty-line" ? "remove the empty line" : "list each token once, in the order of its id")
      """
    ) { _ = try Vocabulary(listedIn: path) }
  }

  @Test("A long token is cut in the message")
  func longToken() throws {
    try withTemporaryFolder { folder in
      let (path, token) = ("\(folder)/list", String(repeating: "x", count: 5000))
      try "\(token)\n\(token)\n".write(toFile: path, atomically: false, encoding: .utf8)
      expectError(
        """
        \(path): line 2: expected one new token a line; found "\(token.prefix(199))... (4808 more)
          fix: list each token once, in the order of its id
        """
      ) { _ = try Vocabulary(listedIn: path) }
    }
  }

  @Test("A list that is not UTF-8 is refused with the line")
  func invalidUTF8OfList() {
    let path = TextFixtures.path("lists/invalid.txt")
    expectError(
      """
      \(path): line 2: expected UTF-8; found other bytes
        fix: convert the text, for example with `iconv -f LATIN1 -t UTF-8`
      """
    ) { _ = try Vocabulary(listedIn: path) }
  }

  // MARK: - Look-ups

  @Test("The first of equal tokens is found, compared byte for byte")
  func equalTokens() {
    let vocabulary = Vocabulary(
      tokens: utf8(["a", "b", "a", "", "b", "", "é", "e\u{301}"]), unit: .word)
    #expect(vocabulary.id(of: "a") == 0)
    #expect(vocabulary.id(of: "b") == 1)
    #expect(vocabulary.id(of: "") == 3)
    // Bytes count, not characters: the two are canonically equivalent.
    #expect(vocabulary.id(of: "é") == 6)
    #expect(vocabulary.id(of: "e\u{301}") == 7)
    #expect(vocabulary.id(of: "c") == nil)
  }

  @Test("An empty vocabulary finds no token")
  func emptyVocabulary() {
    let vocabulary = Vocabulary(tokens: [[UInt8]](), unit: .word)
    #expect(vocabulary.count == 0)
    #expect(vocabulary.id(of: "") == nil && vocabulary.id(of: "a") == nil)
  }

  @Test("Each of 100,000 tokens is found, and missing ones are not")
  func manyTokens() {
    var generator = SeededGenerator(seed: 11)
    var first: [[UInt8]: Int] = [:]
    var tokens: [[UInt8]] = []
    for id in 0..<100_000 {
      // Short tokens of few letters, so that thousands come twice.
      let length = Int.random(in: 0...9, using: &generator)
      let token = (0..<length).map { _ in UInt8.random(in: 0x61...0x68, using: &generator) }
      tokens.append(token)
      if first[token] == nil { first[token] = id }
    }
    #expect((40_000..<99_000).contains(first.count))
    let vocabulary = Vocabulary(tokens: tokens, unit: .word)
    var wrong = 0
    for (id, token) in tokens.enumerated() {
      let found = token.withUnsafeBytes { vocabulary.id(of: $0) }
      if found != first[token] || Array(vocabulary[id]) != token { wrong += 1 }
      // One letter that no token has.
      let missing = token + [0x7A]
      if missing.withUnsafeBytes({ vocabulary.id(of: $0) }) != nil { wrong += 1 }
    }
    #expect(wrong == 0)
  }
}
