// Files of states against PyTorch's hidden and cell states.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollNeural

@testable import UnrollEngine

@Suite("Files of states (--states)") struct StateFileTests {
  private struct Reference: Decodable {
    let lines: Int
    /// By model and convention, then by the name of the array, the numbers after each token.
    let states: [String: [String: [[Double]]]]

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: AnyKey.self)
      lines = try container.decode(Int.self, forKey: AnyKey("lines"))
      states = try Dictionary(
        uniqueKeysWithValues: container.allKeys.filter { $0.stringValue.contains(" ") }.map {
          ($0.stringValue, try container.decode([String: [[Double]]].self, forKey: $0))
        })
    }
  }

  private struct AnyKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { nil }
  }

  /// Returns the arrays of a file of states as the producers of its format read them.
  private func states(
    _ model: LanguageModel, _ text: String, _ level: StateLevel, carries: Bool = false,
    layers: [Int]? = nil, form: String = "npz"
  ) throws -> [String: [[Float]]] {
    try withTemporaryFolder { folder in
      let path = "\(folder)/states.\(form)"
      let file = try StateFile(
        path: path, of: model, layers: layers, level: level, carriesState: carries)
      var settings = ScoreSettings()
      settings.carriesState = carries
      let source = "\(folder)/text.txt"
      try Data(text.utf8).write(to: URL(filePath: source))
      try model.score(text: source, settings) { sentence, _ in try file.add(sentence) }
      try file.finish()
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 2)
      return try StoredArrays(path).rows
    }
  }

  private static func text(lines: Int? = nil) throws -> String {
    let all = try String(contentsOfFile: ScoringFixture.text, encoding: .utf8)
      .split(separator: "\n", omittingEmptySubsequences: false)
    return all.prefix(lines ?? all.count - 1).map { $0 + "\n" }.joined()
  }

  @Test(
    "States after each token equal PyTorch's, of every layer, line by line and in one stream",
    arguments: ["lstm", "gru"], [false, true])
  func parity(name: String, carries: Bool) throws {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("scoring/states.json")))
    let reference = try JSONDecoder().decode(Reference.self, from: data)
    let expected = try #require(reference.states["\(name) \(carries ? "stream" : "lines")"])
    let model = try ScoringFixture.model(name)
    let found = try states(model, Self.text(lines: reference.lines), .token, carries: carries)
    #expect(Set(found.keys) == Set(expected.keys).union(["sentid", "tokenpos"]))
    #expect(expected.count == (name == "lstm" ? 4 : 2))
    for (array, rows) in expected {
      let own = try #require(found[array])
      #expect(own.count == rows.count)
      for (row, numbers) in zip(own, rows) {
        #expect(row.count == numbers.count)
        for (value, number) in zip(row, numbers) {
          #expect(abs(Double(value) - number) < 2e-6, "\(array)")
        }
      }
    }
  }

  @Test("A word has the state after its last token, a line that after its last one")
  func aggregation() throws {
    var options = ConversionOptions()
    options.vocabulary = .corpus(Fixtures.path("characters"))
    options.tokenizer = .kind(.character, space: "_")
    let model = try LanguageModel(
      convert(Fixtures.path("characters/model.pt"), options: options).checkpoint, path: "characters"
    )
    let text = "We are\n\nI\n"
    let tokens = try states(model, text, .token, layers: [1])
    let words = try states(model, text, .word, layers: [1])
    let lines = try states(model, text, .sentence, layers: [1])
    #expect(Set(tokens.keys) == ["layers/01/h", "layers/01/c", "sentid", "tokenpos"])
    #expect(tokens["sentid"] == [1, 1, 1, 1, 1, 1, 1, 2, 3, 3].map { [$0] })
    #expect(words["sentid"] == [[1], [1], [3]] && words["sentpos"] == [[1], [2], [1]])
    #expect(lines["sentid"] == [[1], [2], [3]] && lines["sentpos"] == nil)
    for array in ["layers/01/h", "layers/01/c"] {
      let all = try #require(tokens[array])
      #expect(words[array] == [1, 5, 8].map { all[$0] })
      #expect(lines[array] == [6, 7, 9].map { all[$0] })
    }
  }

  @Test("A word that is left out of the text has a row of NaN")
  func leftOutWords() throws {
    var score = try #require(try scores("the cat", .small()).first)
    score = SentenceScore(
      line: 1, tokens: Array(score.tokens.dropFirst()), ids: Array(score.ids.dropFirst()),
      words: score.words, logProbability: nil, knownLogProbability: nil, leftOutCount: 1)
    try withTemporaryFolder { folder in
      let path = "\(folder)/states.npz"
      let file = try StateFile(
        path: path, of: LanguageModel(.small(), path: "small"), level: .word)
      try file.add(score)
      try file.finish()
      let rows = try #require(try StoredArrays(path).rows["layers/00/h"])
      #expect(rows.count == 2 && rows[0].allSatisfy(\.isNaN) && rows[1].allSatisfy { !$0.isNaN })
    }
  }

  private func scores(_ text: String, _ checkpoint: Checkpoint) throws -> [SentenceScore] {
    [try LanguageModel(checkpoint, path: "small").score(sentence: text)]
  }

  @Test("HDF5 and .npz hold the same numbers, with any number of threads and lines at once")
  func forms() throws {
    let model = try ScoringFixture.model("lstm")
    let before = Threads.count
    defer { Threads.count = before }
    // More lines than are run side by side.
    let text = try Self.text()
    let first = try states(model, text, .token)
    for count in [1, 3] {
      Threads.count = count
      #expect(try states(model, text, .token, form: "h5") == first)
    }
    #expect(first["sentid"]?.count == 768)
    let lines = text.split(separator: "\n").map { "\($0)\n" }
    let alone = try states(model, lines[70], .token)["layers/01/c"]
    let rows = try #require(first["sentid"]).indices.filter { first["sentid"]?[$0] == [71] }
    #expect(alone == rows.compactMap { first["layers/01/c"]?[$0] })
  }

  @Test("A line of any length is written in pieces whose states go on")
  func longLines() throws {
    let model = try LanguageModel(.small(), path: "small")
    let ids = (0..<300).map { Int32(($0 * 7) % 3) }
    var run = StateRun(model, layers: [0, 1], carriesState: false, tokenLimit: 64)
    var pieces: [Range<Int>] = []
    var cut: [Float] = []
    try run.states(ofSentences: [ids]) { _, tokens, states in
      pieces.append(tokens)
      cut += states[3]
    }
    var whole = StateRun(model, layers: [0, 1], carriesState: false)
    try whole.states(ofSentences: [ids]) { _, tokens, states in
      #expect(tokens == 0..<300 && states[3] == cut)
    }
    #expect(pieces == [0..<64, 64..<128, 128..<192, 192..<256, 256..<300])
  }

  @Test("Other names and layers are refused with a next step")
  func refusals() throws {
    let model = try LanguageModel(.small(), path: "small")
    let name = #expect(throws: EngineError.self) {
      _ = try StateFile(path: "states.csv", of: model, level: .token)
    }
    #expect(name?.description.contains("ends in .h5, .hdf5 or .npz") == true)
    let layer = #expect(throws: EngineError.self) {
      _ = try StateFile(path: "states.h5", of: model, layers: [2], level: .token)
    }
    #expect(layer?.description.contains("layers from 0 to 1; found layer 2") == true)
  }
}
