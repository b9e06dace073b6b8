// Tokenizers of other programs whose tokens are whole words or characters.

import Foundation
import TestSupport
import Testing

@testable import UnrollTokenization

/// The ids that `scripts/make/words-fixtures` noted.
struct WordFixtures: Decodable {
  let lines: [String]
  /// For each file and line the ids; `nil` where Keras leaves out a word.
  let ids: [String: [[Int32]?]]

  static func read() throws -> WordFixtures {
    let path = Fixtures.path("words/expected.json")
    return try JSONDecoder().decode(WordFixtures.self, from: Data(contentsOf: URL(filePath: path)))
  }

  /// The encoder of a definition, with the tokens that the definition has.
  static func encoder(_ definition: TokenizerDefinition) throws -> Encoder {
    let (kind, vocabulary) = try definition.tokens()
    var tokenizer = Tokenizer(kind: kind, sentenceStart: .none, appendsEndOfSentence: false)
    tokenizer.definition = definition
    return try Encoder(vocabulary: vocabulary, tokenizer: tokenizer, path: "model")
  }

  /// Compares the ids of all lines with those of the program.
  static func check(_ encoder: Encoder, against name: String) throws {
    let fixtures = try read()
    let expected = try #require(fixtures.ids[name])
    for (text, ids) in zip(fixtures.lines, expected) {
      let line = TextLine(bytes: Array(text.utf8), terminatorCount: 0, number: 1)
      if let ids {
        let encoded = try encoder.encode(line, path: name)
        #expect(encoded.ids == ids, "\(text)")
        #expect(encoded.ids.isEmpty || encoded.ends.last == text.utf8.count, "\(text)")
      } else {
        #expect(throws: TextError.self, "\(text)") { try encoder.encode(line, path: name) }
      }
    }
  }
}

@Suite("Tokenizers of whole words and of characters") struct WordTokenizerTests {
  private func definition(_ name: String) throws -> TokenizerDefinition {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("words/\(name)")))
    return try TokenizerDefinition([UInt8](data))
  }

  @Test(
    "Ids equal those of the program that the tokenizer is from",
    arguments: [
      "wordlevel.json", "wordlevel-split.json", "wordlevel-bert.json", "sp-word.model",
      "sp-word-suffix.model", "sp-word-bytes.model", "sp-char.model", "sp-char-bytes.model",
      "keras.json", "keras-twice.json", "keras-oov.json", "keras-characters.json",
    ])
  func idsAreThoseOfTheProgram(name: String) throws {
    try WordFixtures.check(try WordFixtures.encoder(try definition(name)), against: name)
  }

  @Test("Row 0 of a Tokenizer of Keras is padding, and words from num_words on have no row")
  func rowsOfKeras() throws {
    let vocabulary = try definition("keras-oov.json").tokens().vocabulary
    #expect(
      vocabulary.count == 12 && vocabulary.paddingID == 0 && vocabulary.text(of: 0) == "<pad>")
    #expect(vocabulary.unknownID == 1 && vocabulary.text(of: 1) == "<OOV>")
    #expect(vocabulary.unit == .word && !vocabulary.standsForText(0))
    #expect(try definition("keras-characters.json").tokens().vocabulary.unit == .character)
  }

  @Test(
    "Settings of Keras that are missing or of another form are refused by name",
    arguments: [
      (#""filters": "!", "#, "", "config.filters"),
      (#""lower": true"#, #""lower": 1"#, "config.lower"),
      (#""split": " ""#, #""split": """#, "config.split"),
      (#""num_words": null"#, #""num_words": -1"#, "config.num_words"),
      (#""oov_token": null"#, #""oov_token": "?""#, "config.oov_token"),
      (#"{\"a\": 1, \"b\": 2}"#, #"{\"a\": 1, \"b\": 1}"#, "config.word_index"),
      (#"{\"a\": 1, \"b\": 2}"#, #"{\"a\": 1, \"b\": 99999999}"#, "config.word_index"),
      (#"{\"a\": 1, \"b\": 2}"#, #"[]"#, "config.word_index"),
    ])
  func otherSettings(setting: String, other: String, place: String) throws {
    let valid =
      #"{"class_name": "Tokenizer", "config": {"num_words": null, "filters": "!", "lower": true, "split": " ", "#
      + #""char_level": false, "oov_token": null, "word_index": "{\"a\": 1, \"b\": 2}"}}"#
    let encoder = try WordFixtures.encoder(TokenizerDefinition(Array(valid.utf8)))
    #expect(try encoder.ids(ofLines: Array("B!A\nb\n".utf8)) == [2, 1, 2])
    #expect(valid.contains(setting))
    let changed = valid.replacing(setting, with: other)
    let error = #expect(throws: DefinitionError.self) {
      try WordFixtures.encoder(TokenizerDefinition(Array(changed.utf8)))
    }
    #expect(error?.place == place)
  }

  @Test("Tokenizers that split at white space need no boundary, and others are marked by kind")
  func boundaries() throws {
    func marking(_ name: String) throws -> WordBoundaries.Marking {
      try WordFixtures.encoder(try definition(name)).wordBoundaries.marking
    }
    #expect(try marking("wordlevel-split.json") == .words)
    #expect(try marking("keras.json") == .words)
    #expect(try marking("wordlevel.json") == .none)
    #expect(try marking("sp-word.model") == .prefixes)
    #expect(try marking("sp-char.model") == .separators)
    #expect(try marking("keras-characters.json") == .separators)
  }
}
