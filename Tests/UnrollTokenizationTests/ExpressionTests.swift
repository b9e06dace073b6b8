// Regular expressions of tokenizers: cut as the library tokenizers cuts, or refused by the construct.

import Foundation
import TestSupport
import Testing

@testable import UnrollTokenization

/// The file that `scripts/make/expression-fixtures` wrote.
private struct ExpressionFixtures: Decodable {
  struct Case: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let expression: String
    let definition: String
    let ids: [[Int32]]

    var testDescription: String { name }
  }

  let lines: [String]
  let expressions: [Case]

  static func read() throws -> ExpressionFixtures {
    let path = Fixtures.path("expressions/expressions.json")
    return try JSONDecoder().decode(
      ExpressionFixtures.self, from: Data(contentsOf: URL(filePath: path)))
  }
}

@Suite("Regular expressions of tokenizers") struct ExpressionTests {
  @Test(
    "Texts are cut as the Python library cuts them",
    arguments: try ExpressionFixtures.read().expressions)
  fileprivate func idsAreThoseOfPython(of item: ExpressionFixtures.Case) throws {
    let definition = try TokenizerDefinition(Array(item.definition.utf8))
    let (kind, vocabulary) = try definition.tokens()
    #expect(kind == .wordlevel)
    var tokenizer = Tokenizer(kind: kind, sentenceStart: .none, appendsEndOfSentence: false)
    tokenizer.definition = definition
    let encoder = try Encoder(vocabulary: vocabulary, tokenizer: tokenizer, path: item.name)
    for (text, ids) in zip(try ExpressionFixtures.read().lines, item.ids) {
      let line = TextLine(bytes: Array(text.utf8), terminatorCount: 0, number: 1)
      let encoded = try encoder.encode(line, path: item.name)
      #expect(encoded.ids == ids, "\(text.debugDescription)")
      #expect(encoded.ends.last ?? 0 == text.utf8.count)
    }
  }

  @Test("At least 35 expressions are tested")
  func fixturesAreComplete() throws {
    #expect(try ExpressionFixtures.read().expressions.count >= 35)
  }

  @Test(
    "An expression that may match otherwise in Oniguruma is refused by its construct",
    arguments: [
      (#"\p{Han}+"#, #"\p{Han}"#), (#"\p{C}"#, #"\p{C}"#), (#"\bword"#, #"\b"#),
      (#"(\w)\1"#, #"\1"#), ("(?<name>a)", "the group (?<na"), ("(?x: a b)", "the group (?x: "),
      ("(?i:straße)", "(?i:) of other texts than ASCII"), ("(?i:ss|x)", "(?i:ss)"),
      ("(?i:[^a])", "[^...] in (?i:)"), ("[[:alpha:]]", "[: :]"),
      ("a*", "a match of the empty text"),
      ("(?:a|b*)+c", "a quantifier of a part that matches the empty text"),
      ("a+*", "a quantifier of a quantifier"), ("a{3}?", "{n}?"), ("a{2000}", "{2000}"),
      ("(?<=a+)b", "a look-behind of variable width"), ("(a", "a group without an end"),
      ("[a", "a set without an end"), ("a)", "a closing parenthesis"),
      ("+a", "the quantifier + of nothing"),
      ("[z-a]", "a range in a set"), ("\\", "a backslash at the end"),
    ])
  func constructsAreNamed(expression: String, construct: String) {
    let error = #expect(throws: ExpressionError.self) { try TextPattern(regex: expression) }
    #expect(error?.construct == construct)
  }

  @Test("An expression that takes too many steps is an error, not a long wait")
  func stepsAreLimited() throws {
    let model = #"{"type": "WordLevel", "vocab": {"a": 0, "?": 1}, "unk_token": "?"}"#
    let definition = try TokenizerDefinition(
      Array(
        #"{"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?:a|a)+b"}}, "model": \#(model)}"#
          .utf8))
    let (kind, vocabulary) = try definition.tokens()
    var tokenizer = Tokenizer(kind: kind, sentenceStart: .none, appendsEndOfSentence: false)
    tokenizer.definition = definition
    let encoder = try Encoder(vocabulary: vocabulary, tokenizer: tokenizer, path: "model")
    func encode(_ count: Int) throws(TextError) -> EncodedLine {
      let bytes = [UInt8](repeating: UInt8(ascii: "a"), count: count)
      return try encoder.encode(
        TextLine(bytes: bytes, terminatorCount: 0, number: 7), path: "text")
    }
    #expect(try encode(5).ids == [1])
    let error = #expect(throws: TextError.self) { try encode(60) }
    #expect(error?.line == 7 && error?.found == "a line of 60 bytes that takes too many")
  }
}
