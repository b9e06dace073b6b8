// Tokenizers of the Python libraries: the same ids and the same texts as these give.

import Foundation
import TestSupport
import Testing

@testable import UnrollTokenization

/// The output of `scripts/make/tokenizer-fixtures`: for each definition and text the ids and their text.
struct TokenizerFixtures: Decodable {
  struct Expected: Decodable {
    let ids: String
    let text: String
  }

  let tokenizers: [String: [String: Expected]]

  init() throws {
    let data = try Data(contentsOf: URL(filePath: Self.path("expected.json")))
    self = try JSONDecoder().decode(TokenizerFixtures.self, from: data)
  }

  static func path(_ name: String) -> String { Fixtures.path("tokenizers/\(name)") }

  static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(filePath: path(name))))
  }

  /// The encoder of a definition, with the tokens that the definition has.
  static func encoder(_ name: String) throws -> Encoder {
    let definition = try TokenizerDefinition(bytes(name))
    let list =
      name == "gpt2-merges.txt"
      ? try Vocabulary(text: path("gpt2-vocab.json"), format: .json) : nil
    let (kind, vocabulary) = try definition.tokens(list)
    var tokenizer = Tokenizer(kind: kind, sentenceStart: .none, appendsEndOfSentence: false)
    tokenizer.definition = definition
    return try Encoder(vocabulary: vocabulary, tokenizer: tokenizer, path: name)
  }
}

@Suite("Tokenizer files of other programs") struct DefinitionTests {
  private static let names = [
    "bert.json", "bert_cased.json", "charsmap.json", "classic.json", "gpt2-merges.txt",
    "gpt2.json", "llama2.json", "llama3.json", "roberta.json", "sp-bpe.model", "sp-bytes.model",
    "sp-suffix.model", "sp-unigram.model", "steps.json", "unigram.json",
  ]

  @Test("Every tokenizer fixture is tested")
  func everyFixture() throws {
    #expect(try TokenizerFixtures().tokenizers.keys.sorted() == Self.names)
  }

  @Test("Ids and decoded texts equal those of the Python libraries", arguments: names)
  func idsAndTextsOfPython(name: String) throws {
    let encoder = try TokenizerFixtures.encoder(name)
    for (text, expected) in try TokenizerFixtures().tokenizers[name] ?? [:] {
      let bytes = try TokenizerFixtures.bytes("texts/\(text)")
      let line = TextLine(bytes: bytes, terminatorCount: 0, number: 1)
      let encoded = try encoder.encode(line, path: text)
      let ids = encoded.ids.map(String.init).joined(separator: " ")
      #expect(ids == expected.ids, "\(text)")
      let back = String(decoding: encoder.text(of: encoded.ids), as: UTF8.self)
      #expect(Array(back.utf8) == Array(expected.text.utf8), "\(text)")
      #expect(zip(encoded.ends, encoded.ends.dropFirst()).allSatisfy { $0 <= $1 }, "\(text)")
      #expect(encoded.ends.last ?? bytes.count == bytes.count, "\(text)")
    }
  }
}
