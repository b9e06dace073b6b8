// Models with every kind of tokenizer: kept in the file, checked on load, evaluated and scored.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollEngine
@testable import UnrollTokenization

@Suite("Tokenizers in checkpoints") struct TokenizerTests {
  private static let definitions = ["bert.json", "llama3.json", "sp-unigram.model", "sp-bpe.model"]

  /// A small model whose tokens are those of a definition.
  private func model(_ name: String) throws -> Checkpoint {
    let (tokenizer, vocabulary) = try definedTokens(Fixtures.path("tokenizers/\(name)"))
    var model = Checkpoint.small()
    model.architecture.vocabularySize = vocabulary.count
    var generator = SeededGenerator(seed: 9)
    for (path, shape) in model.architecture.parameters {
      let values = (0..<(shape.elementCount ?? 0)).map { _ in generator.number(0.5) }
      model.parameters[path] = Tensor(values, shape: shape)
    }
    (model.vocabulary, model.tokenizer) = (vocabulary, tokenizer)
    let encoder = try LanguageModel.encoder(of: model, path: name)
    let text = Array("The cat sat\n\nKatze 猫\n".utf8)
    model.tokenizer.probe = TokenizerProbe(
      text: text, ids: try encoder.ids(ofLines: text).map { UInt32(bitPattern: $0) })
    return model
  }

  @Test(
    "A tokenizer definition is stored byte for byte and checked against its probe",
    arguments: definitions)
  func storedDefinitions(name: String) throws {
    try withTemporaryFolder { folder in
      var model = try model(name)
      try model.write(to: "\(folder)/a.h5")
      #expect(try Examination(of: "\(folder)/a.h5", upTo: .bytes).worstLevel != .error)
      let read = try Checkpoint(contentsOf: "\(folder)/a.h5")
      let original = try Data(contentsOf: URL(filePath: Fixtures.path("tokenizers/\(name)")))
      #expect(read.tokenizer.definition?.bytes == [UInt8](original))
      #expect(read.tokenizer == model.tokenizer)
      model.tokenizer.probe?.ids[1] += 1
      #expect(throws: (any Error).self) { try model.write(to: "\(folder)/b.h5") }
    }
  }

  @Test(
    "Models with every tokenizer are evaluated, and their words are scored",
    arguments: definitions)
  func evaluatedTexts(name: String) throws {
    try withTemporaryFolder { folder in
      let text = "The cat sat on it\nthe mat, and\n"
      let path = "\(folder)/text.txt"
      try Data(text.utf8).write(to: URL(filePath: path))
      let language = try LanguageModel(try model(name), path: name)
      let result = try language.perplexity(ofText: path, protocol: .stream)
      #expect(result.predictions == result.tokens - 1 && result.nll > 0)
      // The first token is not predicted; no word ends in it.
      #expect((7...8).contains(result.words) && result.bytes < text.utf8.count)
      var words: [WordScore] = []
      try language.score(text: path) { sentence, _ in words += sentence.words }
      #expect(words.map(\.word) == text.split { " \n".contains($0) }.map(String.init))
      // If a sentence has no start token, its first word has no score.
      #expect(words[0].surprisal == nil && words[2].surprisal.map { $0 > 0 } == true)
    }
  }

  @Test("A character model with a token for the space reads plain text")
  func plainTextOfCharacters() throws {
    var options = ConversionOptions(vocabulary: .corpus(Fixtures.path("characters")))
    options.tokenizer = .kind(.character, space: "_")
    let model = try convert(Fixtures.path("characters/model.pt"), options: options).checkpoint
    #expect(model.tokenizer == Tokenizer(kind: .character, space: "_").with(model.tokenizer.probe))
    let plain = try LanguageModel(model, path: "")
    let spaced = try LanguageModel(
      convert(
        Fixtures.path("characters/model.pt"),
        options: ConversionOptions(vocabulary: .corpus(Fixtures.path("characters")))
      ).checkpoint, path: "")
    func encode(_ text: String, _ model: LanguageModel) throws -> [Int32] {
      try model.encoder.encode(
        TextLine(bytes: Array(text.utf8), terminatorCount: 1, number: 1), path: ""
      ).ids
    }
    let ids = try encode("We are poor", plain)
    #expect(try ids == encode("W e _ a r e _ p o o r", spaced))
    #expect(plain.encoder.text(of: ids) == Array("We are poor\n".utf8))
  }
}

extension Tokenizer {
  fileprivate func with(_ probe: TokenizerProbe?) -> Tokenizer {
    var tokenizer = self
    tokenizer.probe = probe
    return tokenizer
  }
}
