// Unknown words of a Keras Tokenizer without oov_token: left out, as Keras leaves them out.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTokenization

@testable import UnrollEngine

/// The file that `scripts/make/dropping-fixtures` wrote.
private struct DroppingFixture: Decodable {
  struct Model: Decodable {
    let lines: [[Int32]]
    let text: [Int32]
    let dropped: Int
    let lineLogProbabilities: [[Double]]
    let textLogProbabilities: [Double]
  }

  let models: [String: Model]

  static func read(_ name: String) throws -> Model {
    let path = Fixtures.path("words/dropping.json")
    let all = try JSONDecoder().decode(Self.self, from: Data(contentsOf: URL(filePath: path)))
    return try #require(all.models[name])
  }
}

@Suite("Unknown words that Keras leaves out") struct DroppingTests {
  private static let text = Fixtures.path("words/dropping.txt")
  private static let names = ["words", "characters"]

  private func checkpoint(_ name: String) throws -> Checkpoint {
    var options = ConversionOptions()
    let file = name == "words" ? "keras.json" : "dropping-characters.json"
    options.tokenizer = TokenizerSource(Fixtures.path("words/\(file)"))
    return try convert(Fixtures.path("words/dropping-\(name).keras"), options: options).checkpoint
  }

  private func model(_ name: String) throws -> LanguageModel {
    var model = try LanguageModel(checkpoint(name), path: name)
    try model.leaveOutUnknown()
    return model
  }

  @Test("Ids are those of texts_to_sequences, line by line", arguments: names)
  func idsAreThoseOfKeras(name: String) throws {
    let expected = try DroppingFixture.read(name)
    let encoder = try model(name).encoder
    var reader = try LineReader(path: Self.text, for: encoder.tokenizer)
    var lines: [[Int32]] = []
    var leftOut = 0
    while let line = try reader.next() {
      let encoded = try encoder.encode(line, path: Self.text)
      #expect(encoded.unknown.isEmpty && encoded.begins.count == encoded.ids.count)
      lines.append(encoded.ids)
      leftOut += encoded.leftOut.count
    }
    #expect(lines == expected.lines && Array(lines.joined()) == expected.text)
    #expect(leftOut == expected.dropped)
  }

  @Test("Perplexities are those of Keras's model on these ids", arguments: names)
  func perplexitiesAreThoseOfKeras(name: String) throws {
    let expected = try DroppingFixture.read(name)
    let model = try model(name)
    func mean(_ values: [Double]) -> Double { -values.reduce(0, +) / Double(values.count) }
    let stream = try model.perplexity(ofText: Self.text, protocol: .stream)
    #expect(abs(stream.nll - mean(expected.textLogProbabilities)) < 2e-6)
    #expect(stream.tokens == expected.text.count && stream.predictions == expected.text.count - 1)
    #expect(stream.leftOut == expected.dropped && stream.unknown == 0)
    let lines = try model.perplexity(ofText: Self.text, protocol: .sentence)
    #expect(abs(lines.nll - mean(Array(expected.lineLogProbabilities.joined()))) < 2e-6)
  }

  @Test("Words that are left out do not count in any divisor")
  func divisorsAreOfTheRest() throws {
    // Of 28 words the first is not predicted; zebra, yak, (quietly) and zebra, and the line of three unknown
    // words, are left out.
    let model = try model("words")
    let result = try model.perplexity(ofText: Self.text, protocol: .stream)
    #expect(result.words == 20)
    let size = try Data(contentsOf: URL(filePath: Self.text)).count
    #expect(result.bytes < size - "zebrayakunknownwordsalonequietlyzebrazebra".count)
  }

  @Test("A word has the probability of its token, and a word that is left out has none")
  func wordsHaveTheirOwnTokens() throws {
    let expected = try DroppingFixture.read("words")
    let model = try model("words")
    var scores: [SentenceScore] = []
    try model.score(text: Self.text) { score, _ in scores.append(score) }
    #expect(scores.map(\.leftOutCount) == [2, 3, 0, 1, 1, 1])
    // "the dog - (quietly) - sat" and "dog, cat; and the mat-zebra!"
    let places: [Int: [Int?]] = [3: [nil, 0, nil, nil, nil, 1], 4: [nil, 0, 1, 2, nil]]
    for (line, words) in places {
      for (word, place) in zip(scores[line].words, words) {
        let own = place.map { -expected.lineLogProbabilities[line][$0] }
        #expect((word.surprisal == nil) == (own == nil), "\(word.word)")
        if let own, let found = word.surprisal {
          #expect(abs(found - own) < 1e-5, "\(word.word)")
        }
      }
    }
    #expect(scores[3].words.map(\.isUnknown) == [false, false, false, true, false, false])
    #expect(scores[4].words.map(\.isUnknown) == [false, false, false, false, true])
  }

  @Test("Without --unknown drop a text with unknown words is refused with that option")
  func refusedWithoutTheOption() throws {
    let model = try LanguageModel(checkpoint("words"), path: "words")
    let error = #expect(throws: TextError.self) {
      try model.perplexity(ofText: Self.text, protocol: .stream)
    }
    #expect(error?.found.contains("zebra") == true && error?.fix.contains("--unknown drop") == true)
  }

  @Test("A model with a token for unknown text cannot leave it out")
  func othersAreRefused() throws {
    for name in ["keras-oov.json", "wordlevel.json"] {
      let bytes = try Data(contentsOf: URL(filePath: Fixtures.path("words/\(name)")))
      let definition = try TokenizerDefinition([UInt8](bytes))
      let (kind, vocabulary) = try definition.tokens()
      var tokenizer = Tokenizer(kind: kind, sentenceStart: .none, appendsEndOfSentence: false)
      tokenizer.definition = definition
      var encoder = try Encoder(vocabulary: vocabulary, tokenizer: tokenizer, path: name)
      #expect(throws: TextError.self, "\(name)") { try encoder.leaveOutUnknown(path: name) }
    }
  }

  @Test("The plausibility check of a conversion leaves unknown words out as Keras does")
  func checksLeaveWordsOut() throws {
    let expected = try DroppingFixture.read("words")
    let check = try PlausibilityCheck(
      checkpoint("words"), text: Self.text, corpus: [], areGatesAssumed: false)
    #expect(check.refusedLines == 0 && check.unknownCount == expected.dropped)
    #expect(check.tokenCount == expected.text.count + expected.dropped)
  }
}
