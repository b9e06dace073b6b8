// Tokens: ids, byte counts, unknown words, and lines that are no UTF-8.

import Foundation
import TestSupport
import Testing

@testable import UnrollTokenization

@Suite("Encoding of lines") struct EncoderTests {
  /// An encoder with every word of every fixture in the vocabulary, but for those left out.
  private func encoder(without missing: Set<String> = [], unknown: Bool = false) throws -> Encoder {
    let all = try TextFixtures().texts.sorted { $0.key < $1.key }.flatMap { $0.value.joined() }
    var known: Set<[UInt8]> = []
    var tokens = utf8(all.filter { !missing.contains($0) }).filter { known.insert($0).inserted }
    tokens += utf8(["<unk>", "<eos>"])
    var vocabulary = Vocabulary(tokens: tokens, unit: .word)
    vocabulary.endOfSentenceID = tokens.count - 1
    vocabulary.unknownID = unknown ? tokens.count - 2 : nil
    return try Encoder(vocabulary: vocabulary, tokenizer: Tokenizer(), path: "model.h5")
  }

  @Test("A line is encoded as its words and the end-of-sentence token")
  func idsOfLines() throws {
    let (fixtures, encoder) = (try TextFixtures(), try encoder())
    for (name, expected) in fixtures.texts.sorted(by: { $0.key < $1.key }) {
      let path = TextFixtures.path(name)
      for (line, words) in zip(try lines(of: path), expected) {
        let encoded = try encoder.encode(line, path: path)
        let tokens = encoded.ids.map { Array(encoder.vocabulary[Int($0)]) }
        #expect(tokens == utf8(words + ["<eos>"]), "\(name), line \(line.number)")
        #expect(line.words.map { Array(line.bytes[$0]) } == utf8(words))
        #expect(encoded.unknown == [])
      }
    }
  }

  @Test("An unused row of the vocabulary is not a word")
  func unusedRows() throws {
    var vocabulary = Vocabulary(tokens: utf8(["a", "pad", "<unk>", "<eos>"]), unit: .word)
    (vocabulary.unknownID, vocabulary.endOfSentenceID) = (2, 3)
    func ids() throws -> [Int32] {
      let encoder = try Encoder(vocabulary: vocabulary, tokenizer: Tokenizer(), path: "model.h5")
      return try encoder.ids(ofLines: Array("a pad <unk>\n".utf8))
    }
    #expect(try ids() == [0, 1, 2, 3])
    vocabulary.kinds = [.normal, .unused, .unknown, .control]
    #expect(try ids() == [0, 2, 2, 3])
  }

  @Test("Byte counts of the tokens add up to the size of the file")
  func sumOfByteCounts() throws {
    let encoder = try encoder()
    for name in try TextFixtures().texts.keys.sorted() {
      let path = TextFixtures.path(name)
      var sum = 0
      for line in try lines(of: path) {
        let encoded = try encoder.encode(line, path: path)
        #expect(encoded.byteCounts.count == encoded.ids.count)
        #expect(encoded.byteCounts.allSatisfy { $0 >= 0 })
        sum += encoded.byteCounts.reduce(0, +)
      }
      let size = try Data(contentsOf: URL(filePath: path)).count
      #expect(sum == size, "\(name)")
    }
  }

  @Test("A token counts the bytes since the token before")
  func bytesOfTokens() throws {
    let line = TextLine(bytes: Array("  a  b ".utf8), terminatorCount: 2, number: 1)
    let encoded = try encoder().encode(line, path: "-")
    #expect(encoded.byteCounts == [3, 3, 3])
    #expect(line.words == [2..<3, 5..<6])
  }

  // MARK: - Unknown words

  @Test("An unknown word is refused if there is no unknown token")
  func unknownWordsWithoutToken() throws {
    let path = TextFixtures.path("mixed.txt")
    let encoder = try encoder(without: ["d"])
    expectError(
      """
      \(path): line 4: expected words of the vocabulary; found "d", and the vocabulary has no \
      token for unknown words
        fix: check that the text was prepared as the model's training text was, or leave such words out: --unknown drop of evaluate, score and tokenize
      """
    ) { for line in try lines(of: path) { _ = try encoder.encode(line, path: path) } }
  }

  @Test("An unknown word gets the unknown token and is marked")
  func unknownWordsWithToken() throws {
    let line = TextLine(bytes: Array("a d b d".utf8), terminatorCount: 1, number: 1)
    let encoder = try encoder(without: ["d"], unknown: true)
    let encoded = try encoder.encode(line, path: "-")
    #expect(encoded.unknown == [1, 3])
    #expect(encoded.unknownCount == 2)
    let tokens = encoded.ids.map { encoder.vocabulary.text(of: Int($0)) }
    #expect(tokens == ["a", "<unk>", "b", "<unk>", "<eos>"])
  }

  @Test("The unknown token in a text is not marked as unknown")
  func unknownTokenInText() throws {
    let line = TextLine(bytes: Array("<unk> <eos>".utf8), terminatorCount: 1, number: 1)
    #expect(try encoder(unknown: true).encode(line, path: "-").unknown == [])
  }

  @Test("Control characters of an unknown word are escaped in the message")
  func controlCharacters() throws {
    let line = TextLine(bytes: Array("\u{1B}[2J".utf8), terminatorCount: 1, number: 9)
    expectError(
      """
      -: line 9: expected words of the vocabulary; found "\\u{1b}[2J", and the vocabulary has no \
      token for unknown words
        fix: check that the text was prepared as the model's training text was, or leave such words out: --unknown drop of evaluate, score and tokenize
      """
    ) { _ = try encoder().encode(line, path: "-") }
  }

  // MARK: - Refusals

  @Test(
    "Bytes that are not UTF-8 are refused with the line",
    arguments: [
      ("invalid-byte.txt", 3), ("invalid-cut.txt", 2), ("invalid-surrogate.txt", 3),
      ("invalid-overlong.txt", 1), ("invalid-beyond.txt", 3),
    ])
  func invalidUTF8(name: String, line: Int) throws {
    let path = TextFixtures.path(name)
    let encoder = try encoder(unknown: true)
    expectError(
      """
      \(path): line \(line): expected UTF-8; found other bytes
        fix: convert the text, for example with `iconv -f LATIN1 -t UTF-8`
      """
    ) { for line in try lines(of: path) { _ = try encoder.encode(line, path: path) } }
  }

  @Test("A missing end-of-sentence token is refused with the option that names one")
  func missingEnd() {
    let vocabulary = Vocabulary(tokens: utf8(["a"]), unit: .word)
    expectError(
      """
      model.h5: expected an end-of-sentence token in the vocabulary; found none
        fix: convert again and name it: --eos TOKEN; or give a vocabulary that has the token <eos>
      """
    ) { _ = try Encoder(vocabulary: vocabulary, tokenizer: Tokenizer(), path: "model.h5") }
  }
}
