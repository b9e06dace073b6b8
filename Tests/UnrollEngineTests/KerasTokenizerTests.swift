// The Tokenizer of Keras in pickles, plain and compressed.

import Foundation
import TestSupport
import Testing

@testable import UnrollInterchange
@testable import UnrollTokenization

@Suite("Pickled Tokenizers of Keras") struct KerasTokenizerTests {
  private struct Expected: Decodable {
    let lines: [String]
    let ids: [String: [[Int32]?]]
  }

  private func path(_ name: String) -> String { Fixtures.path("words/\(name)") }

  @Test(
    "Every form of a pickled Tokenizer gives the ids of Keras",
    arguments: [
      "keras.pkl", "keras-protocol2.pkl", "keras-protocol0.pkl", "keras-inside.pkl",
      "keras.joblib", "keras-old.joblib", "keras-zlib.joblib", "keras-gzip.joblib", "keras-few.pkl",
      "keras-split.pkl",
    ])
  func idsAreThoseOfKeras(name: String) throws {
    let data = try Data(contentsOf: URL(filePath: path("expected.json")))
    let fixtures = try JSONDecoder().decode(Expected.self, from: data)
    let definition = try TokenizerDefinition(contentsOf: path(name))
    #expect(definition.format == "keras")
    let (kind, vocabulary) = try definition.tokens()
    var tokenizer = Tokenizer(kind: kind, sentenceStart: .none, appendsEndOfSentence: false)
    tokenizer.definition = definition
    let encoder = try Encoder(vocabulary: vocabulary, tokenizer: tokenizer, path: name)
    for (text, ids) in zip(fixtures.lines, try #require(fixtures.ids[name])) {
      let line = TextLine(bytes: Array(text.utf8), terminatorCount: 0, number: 1)
      if let ids {
        #expect(try encoder.encode(line, path: name).ids == ids, "\(text)")
      } else {
        let error = #expect(throws: TextError.self) { try encoder.encode(line, path: name) }
        #expect(error?.expected == "words of the vocabulary", "\(text)")
      }
    }
  }

  @Test(
    "Unsupported compressions of joblib are named with the Python line that removes them",
    arguments: ["bz2", "xz", "lzma"])
  func otherCompressions(name: String) throws {
    let file = path("keras-\(name).joblib")
    let error = #expect(throws: TextError.self) { try TokenizerDefinition(contentsOf: file) }
    #expect(error?.found == "compression \(name)")
    #expect(error?.fix.contains("joblib.dump(joblib.load(\"\(file)\"), \"plain.joblib\")") == true)
    #expect(throws: TextError.self) { try Vocabulary(contentsOf: file) }
  }

  @Test("A Keras Tokenizer with a custom analyzer is refused by that setting")
  func analyzer() throws {
    let error = #expect(throws: TextError.self) {
      try TokenizerDefinition(contentsOf: path("keras-analyzer.pkl"))
    }
    #expect(error?.expected.hasPrefix("Tokenizer.analyzer") == true)
  }

  @Test("A num_words that leaves no word is refused by that setting")
  func noWords() throws {
    var text = try String(contentsOfFile: path("keras.json"), encoding: .utf8)
    text.replace(/"num_words": (null|\d+)/, with: #""num_words": 1"#)
    #expect(text.contains(#""num_words": 1,"#))
    let definition = try TokenizerDefinition(Array(text.utf8))
    let error = #expect(throws: DefinitionError.self) { try definition.tokenizer(nil) }
    #expect(error?.place == "config.num_words")
    #expect(error?.expected == "more than 1, the smallest id of word_index")
    #expect(error?.found == "1, by which Keras leaves out every word")
  }

  @Test("The settings of a pickle and of to_json() are the same")
  func settingsAreTheSame() throws {
    let pickled = try KerasTokenizer(definition: TokenizerDefinition(contentsOf: path("keras.pkl")))
    let written = try KerasTokenizer(
      definition: TokenizerDefinition(contentsOf: path("keras.json")))
    #expect(Set(pickled.words) == Set(written.words) && pickled.summary == written.summary)
    #expect(try TokenizerDefinition.kerasSummary(of: path("wordlevel.json")) == nil)
  }
}
