// Tokenizers whose tokens are characters, bytes, or the longest of a list; and their way back.

import Foundation
import TestSupport
import Testing

@testable import UnrollTokenization

@Suite("Tokenizers of characters, bytes and longest tokens") struct CharacterTests {
  private func vocabulary(_ tokens: [String], unit: TokenUnit) -> Vocabulary {
    var vocabulary = Vocabulary(tokens: utf8(tokens), unit: unit)
    vocabulary.unknownID = tokens.firstIndex(of: "<unk>")
    vocabulary.endOfSentenceID = tokens.firstIndex(of: "<eos>")
    vocabulary.beginningOfSentenceID = tokens.firstIndex(of: "<bos>")
    return vocabulary
  }

  private func line(_ text: String) -> TextLine {
    TextLine(bytes: Array(text.utf8), terminatorCount: 1, number: 1)
  }

  private func text(_ ids: [Int32], _ encoder: Encoder) -> String {
    String(decoding: encoder.text(of: ids), as: UTF8.self)
  }

  // MARK: - Characters

  @Test("The character tokenizer encodes Unicode scalars and returns the text")
  func characterTokens() throws {
    let encoder = try Encoder(
      vocabulary: vocabulary(
        ["<unk>", "<eos>", "a", " ", "e", "\u{301}", "é", "😀"], unit: .character),
      tokenizer: Tokenizer(kind: .character), path: "m")
    let encoded = try encoder.encode(line("a e\u{301}é\t😀"), path: "-")
    #expect(encoded.ids == [2, 3, 4, 5, 6, 0, 7, 1])
    #expect(encoded.byteCounts == [1, 1, 1, 2, 2, 1, 4, 1])
    #expect(encoded.unknown == [5])
    #expect(Array(encoder.text(of: encoded.ids)) == Array("a e\u{301}é<unk>😀\n".utf8))
  }

  @Test("A token for the space encodes plain text and decodes to it")
  func tokenForSpace() throws {
    let encoder = try Encoder(
      vocabulary: vocabulary(["W", "e", "_", "<unk>", "a", "r", "<eos>"], unit: .character),
      tokenizer: Tokenizer(kind: .character, space: "_"), path: "m")
    let encoded = try encoder.encode(line("We are"), path: "-")
    #expect(encoded.ids == [0, 1, 2, 4, 5, 1, 6])
    #expect(text(encoded.ids, encoder) == "We are\n")
    // The sign itself is a character that the vocabulary lacks.
    let sign = try encoder.encode(line("a_"), path: "-")
    #expect(sign.ids == [4, 3, 6] && sign.unknown == [1])
  }

  @Test("A token for the space can be longer than a character")
  func longTokenForSpace() throws {
    let encoder = try Encoder(
      vocabulary: vocabulary(["a", "<space>", " "], unit: .character),
      tokenizer: Tokenizer(
        kind: .character, sentenceStart: .none, appendsEndOfSentence: false, space: "<space>"),
      path: "m")
    let encoded = try encoder.encode(line("a a"), path: "-")
    #expect(encoded.ids == [0, 1, 0] && encoded.byteCounts == [1, 1, 2])
    #expect(text(encoded.ids, encoder) == "a a")
  }

  @Test("Unknown characters are refused if there is no unknown token")
  func unknownCharacters() throws {
    let encoder = try Encoder(
      vocabulary: vocabulary(["a", "<eos>"], unit: .character),
      tokenizer: Tokenizer(kind: .character), path: "m")
    expectError(
      """
      t: line 1: expected text of the vocabulary; found "b", and the vocabulary has no token for \
      unknown text
        fix: check that the text was prepared as the model's training text was, or leave such text out: --unknown drop of evaluate, score and tokenize
      """
    ) { _ = try encoder.encode(line("ab"), path: "t") }
    #expect(encoder.missingWords(in: line("abca")) == ["b", "c"])
    var leaving = encoder
    try leaving.leaveOutUnknown(path: "m")
    let left = try leaving.encode(line("abca"), path: "t")
    #expect(left.ids.prefix(2) == [0, 0] && left.leftOut == [1..<2, 2..<3])
  }

  // MARK: - Bytes

  @Test("The byte tokenizer encodes and decodes every byte")
  func byteTokens() throws {
    let encoder = try Encoder(
      vocabulary: Vocabulary(tokens: (UInt8.min...UInt8.max).map { [$0] }, unit: .byte),
      tokenizer: Tokenizer(kind: .byte, sentenceStart: .none, appendsEndOfSentence: false),
      path: "m")
    let bytes = [UInt8](UInt8.min...UInt8.max) + [0x0D, 0x0A, 0xFF, 0x0A, 0x0A, 0xC3]
    try withText(bytes) { path in
      var reader = try LineReader(path: path, lineEnds: encoder.tokenizer.lineEnds)
      var ids: [Int32] = []
      while let line = try reader.next() { ids += try encoder.encode(line, path: path).ids }
      #expect(ids == bytes.map(Int32.init))
      #expect(encoder.text(of: ids) == bytes)
    }
  }

  // MARK: - The longest token

  @Test("The greedy tokenizer takes the longest token that matches")
  func longestTokens() throws {
    let tokens = ["<unk>", "<eos>", "C", "Cl", "(", ")", "=", "O", "[nH]", "c", "c1", "[", "é"]
    let encoder = try Encoder(
      vocabulary: vocabulary(tokens, unit: .subword), tokenizer: Tokenizer(kind: .greedy),
      path: "m")
    let encoded = try encoder.encode(line("CCl(=O)c1[nH][n😀é<eos>"), path: "-")
    let pieces = encoded.ids.map { encoder.vocabulary.text(of: Int($0)) }
    #expect(
      pieces
        == ["C", "Cl", "(", "=", "O", ")", "c1", "[nH]", "[", "<unk>", "<unk>", "é"]
        + [String](repeating: "<unk>", count: 5) + ["<eos>"])
    #expect(encoded.byteCounts.reduce(0, +) == "CCl(=O)c1[nH][n😀é<eos>".utf8.count + 1)
    #expect(text(try encoder.encode(line("CCl(=O)"), path: "-").ids, encoder) == "CCl(=O)\n")
  }

  /// Against the definition: the longest of all tokens that the text starts with.
  @Test("The trie finds the longest token that a search of all tokens finds")
  func tokenTrie() {
    var generator = SeededGenerator(seed: 7)
    func string(_ limit: Int) -> [UInt8] {
      (0..<Int.random(in: 1...limit, using: &generator)).map { _ in
        UInt8.random(in: 0x61...0x63, using: &generator)
      }
    }
    let tokens = (0..<60).map { _ in string(6) }
    let trie = TokenTrie(Vocabulary(tokens: tokens, unit: .subword))
    for _ in 0..<200 {
      let text = string(12)
      let expected = tokens.filter { text.starts(with: $0) }.max { $0.count < $1.count }
      let found = text.withUnsafeBytes { trie.longestPrefix(of: $0, at: 0) }
      #expect(found.map { tokens[Int($0.id)] } == expected)
      #expect(found?.end == expected?.count)
    }
  }

  // MARK: - Words, and starts of sentences

  @Test("Decoded words are joined by spaces and line ends")
  func joinedWords() throws {
    let encoder = try Encoder(
      vocabulary: vocabulary(["a", "<eos>", "<unk>", "b"], unit: .word), tokenizer: Tokenizer(),
      path: "m")
    #expect(text([0, 3, 1, 1, 2, 1, 0, 9, -1], encoder) == "a b\n\n<unk>\na")
  }

  @Test("A missing beginning-of-sentence token is refused with the option that names one")
  func missingStart() {
    expectError(
      """
      m: expected a beginning-of-sentence token in the vocabulary; found none
        fix: convert again and name it: --bos TOKEN; or give a vocabulary that has the token <bos>
      """
    ) {
      _ = try Encoder(
        vocabulary: vocabulary(["a", "<eos>"], unit: .word),
        tokenizer: Tokenizer(sentenceStart: .bos), path: "m")
    }
  }

  @Test("Invalid UTF-8 is decoded into the scalars that Swift gives")
  func decodedScalars() {
    var generator = SeededGenerator(seed: 11)
    let leads: [UInt8] = [
      0x41, 0x80, 0xBF, 0xC1, 0xC3, 0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF3, 0xF4, 0xF5,
    ]
    for _ in 0..<5000 {
      let bytes = (0..<6).map { _ in
        Bool.random(using: &generator)
          ? leads[Int.random(in: 0..<leads.count, using: &generator)]
          : UInt8.random(in: 0x80...0xBF, using: &generator)
      }
      var scalars: [UInt32] = []
      bytes.withUnsafeBytes { bytes in
        var index = 0
        while index < bytes.count {
          let (scalar, count) = decodeScalar(bytes, at: index)
          scalars.append(scalar)
          index += count
        }
      }
      #expect(scalars == String(decoding: bytes, as: UTF8.self).unicodeScalars.map(\.value))
    }
  }

  @Test("A model that takes plain text says so of a text with its sign for the space")
  func signForSpace() throws {
    let encoder = try Encoder(
      vocabulary: vocabulary(["a", "_", "<eos>"], unit: .character),
      tokenizer: Tokenizer(kind: .character, space: "_"), path: "m")
    #expect(try encoder.encode(line("a a"), path: "t").ids == [0, 1, 0, 2])
    let error = #expect(throws: TextError.self) { try encoder.encode(line("a_a"), path: "t") }
    #expect(error?.fix == "give plain text: _ stands for a space in this model's vocabulary")
  }
}
