// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Text from a model: PyTorch's where nothing is drawn, the model's own distribution where something is.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollNeural
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine

@Suite("Generated text") struct GenerateTests {
  private struct Greedy: Decodable {
    let prompt: String
    let ids: [Int32]
  }

  @Test("Greedy generation gives the tokens of PyTorch")
  func greedyTokens() throws {
    let expected = try JSONDecoder().decode(
      Greedy.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("characters/greedy.json"))))
    let model = try LanguageModel(
      convert(
        Fixtures.path("characters/model.pt"),
        options: ConversionOptions(vocabulary: .corpus(Fixtures.path("characters")))
      ).checkpoint, path: "")
    var settings = GenerationSettings()
    (settings.temperature, settings.length) = (0, expected.ids.count)
    for samples in [1, 3] {
      let found = try model.generate(after: expected.prompt, samples: samples, settings)
      #expect(found.allSatisfy { $0.ids == expected.ids })
    }
  }

  private static let model = Result { try LanguageModel(.small(), path: "small") }

  /// The probabilities of the first token after a prompt, `[V]`.
  private func distribution(_ temperature: Double = 1) throws -> [Double] {
    let model = try Self.model.get()
    var state = model.network.zeroState(columns: 1)
    _ = try model.network.logDistributions(inputs: [3, 0], state: &state)
    let row = try model.network.logDistributions(inputs: [1], state: &state)
    let weights = row.map { exp(Double($0) / temperature) }
    return weights.map { $0 / weights.reduce(0, +) }
  }

  /// The frequency of each token as the first one in many samples.
  private func frequencies(
    _ settings: GenerationSettings, samples: Int = 4000
  ) throws -> [Double] {
    var settings = settings
    settings.length = 1
    var counts = [Double](repeating: 0, count: 11)
    for sample in try Self.model.get().generate(after: "the cat", samples: samples, settings) {
      counts[Int(sample.ids[0])] += 1 / Double(samples)
    }
    return counts
  }

  /// Four standard errors of a share.
  private func margin(_ share: Double, _ samples: Double = 4000) -> Double {
    4 * (share * (1 - share) / samples).squareRoot() + 1e-12
  }

  @Test(
    "Sampled tokens have the frequencies of the distribution at the temperature",
    arguments: [0.2, 1, 2])
  func sampledFrequencies(temperature: Double) throws {
    var settings = GenerationSettings()
    settings.temperature = temperature
    for (found, share) in zip(try frequencies(settings), try distribution(temperature)) {
      #expect(abs(found - share) < margin(share))
    }
  }

  @Test("Top-k, top-p and excluded unknown words renormalize the distribution")
  func truncatedSampling() throws {
    let shares = try distribution()
    let order = shares.indices.sorted { shares[$0] > shares[$1] }
    func check(_ settings: GenerationSettings, _ kept: Set<Int>) throws {
      let total = kept.reduce(0) { $0 + shares[$1] }
      for (id, found) in try frequencies(settings).enumerated() {
        let share = kept.contains(id) ? shares[id] / total : 0
        #expect(abs(found - share) < margin(share))
      }
    }
    var settings = GenerationSettings()
    settings.topK = 3
    try check(settings, Set(order[..<3]))
    settings.topK = nil
    var sum = 0.0
    let nucleus = order.prefix { id in
      defer { sum += shares[id] }
      return sum < 0.5
    }
    settings.topP = 0.5
    try check(settings, Set(nucleus))
    settings.topP = 1
    try check(settings, Set(order))
    settings.excludesUnknown = true
    try check(settings, Set(order).subtracting([10]))
  }

  @Test("A shortlist renormalizes the distribution, and an empty or invalid one is refused")
  func shortlists() throws {
    let list: [Int32] = [1, 3, 4, 10]
    let model = try LanguageModel(.small(), path: "small", shortlist: list)
    let shares = try distribution()
    let total = list.reduce(0) { $0 + shares[Int($1)] }
    var state = model.network.zeroState(columns: 1)
    _ = try model.network.logDistributions(inputs: [3, 0], state: &state)
    var after = state
    let row = try model.network.logDistributions(inputs: [1], state: &after)
    for (token, found) in zip(list, row) {
      #expect(abs(exp(Double(found)) - shares[Int(token)] / total) < 1e-6)
    }
    let targets = try model.network.logProbabilities(ofTargets: [4], inputs: [1], state: &state)
    #expect(targets == [row[2]])
    after = state
    let other = try model.network.logProbabilities(ofTargets: [5], inputs: [1], state: &after)
    #expect(other == [-.infinity])
    var settings = GenerationSettings()
    (settings.length, settings.excludesUnknown) = (200, true)
    let sample = try model.generate(after: "the cat", settings)[0]
    #expect(Set(sample.ids) == [1, 3, 4])
    (settings.length, settings.temperature) = (1, 0)
    let best = try model.generate(after: "the cat", settings)[0]
    #expect(best.ids == [[1, 3, 4].max { shares[$0] < shares[$1] }.map { Int32($0) }])
    let unknown = try LanguageModel(.small(), path: "small", shortlist: [10])
    #expect(throws: TextError.self) { try unknown.generate(settings) }
    #expect(throws: NeuralError.self) { try LanguageModel(.small(), path: "", shortlist: []) }
    #expect(throws: NeuralError.self) { try LanguageModel(.small(), path: "", shortlist: [11]) }
  }

  @Test("Outliers of int8 rows are noted")
  func int8Notes() throws {
    var checkpoint = Checkpoint.small()
    #expect(LanguageModel.precisionNotes(for: checkpoint, in: .int8).isEmpty)
    let weight = try #require(checkpoint.parameters[.outputWeight])
    var values = try #require(weight.floats())
    let width = weight.shape.dimensions[1]
    for row in stride(from: 0, to: values.count, by: width) { values[row] = 1000 }
    checkpoint.parameters[.outputWeight] = Tensor(values, shape: weight.shape)
    let notes = LanguageModel.precisionNotes(for: checkpoint, in: .int8)
    #expect(notes.map(\.place) == [ParameterPath.outputWeight.description])
    #expect(notes.first?.message.contains("in 11 of 11 rows") == true)
    #expect(LanguageModel.precisionNotes(for: checkpoint, in: .bfloat16).isEmpty)
  }

  @Test("A sample depends on its seed and number, not on the samples beside it")
  func independentSamples() throws {
    let model = try Self.model.get()
    var settings = GenerationSettings()
    settings.stopsAtEndOfSentence = true
    let many = try model.generate(samples: 20, settings)
    let few = try model.generate(samples: 3, settings)
    #expect(few.map(\.ids) == many.prefix(3).map(\.ids))
    #expect(Set(many.map(\.ids)).count > 15)
    for sample in many {
      #expect(sample.isEnded == (sample.ids.last == 3))
      #expect(!sample.ids.dropLast().contains(3) && sample.ids.count <= 100)
      let logProbability = try model.tokenLogProbabilities(ofSentence: sample.ids)
        .reduce(0.0) { $0 + Double($1) }
      #expect(abs(sample.logProbability - logProbability) < 1e-4)
    }
    settings.seed = 2
    #expect(try model.generate(samples: 3, settings).map(\.ids) != few.map(\.ids))
    var calls = 0
    let stopped = try model.generate { _, _ in
      calls += 1
      return calls < 5
    }
    #expect(stopped[0].ids.count == 5)
  }

  @Test("A prompt is encoded like a text, and unknown words or a missing start are refused")
  func encodedPrompts() throws {
    let model = try Self.model.get()
    var settings = GenerationSettings()
    (settings.temperature, settings.length) = (0, 1)
    let prompts: [(String, [Int32])] = [
      ("", [3]), ("the cat", [3, 0, 1]), ("the\n", [3, 0, 3]), ("\nthe", [3, 3, 0]),
    ]
    for (prompt, ids) in prompts {
      var state = model.network.zeroState(columns: 1)
      let rows = try model.network.logDistributions(inputs: ids, state: &state).suffix(11)
      let best = rows.indices.max { rows[$0] < rows[$1] }
      let found = try model.generate(after: prompt, settings)[0]
      #expect(best.map { Int32($0 - rows.startIndex) } == found.ids[0], "\(prompt)")
    }
    var checkpoint = Checkpoint.small(unknown: false)
    let strict = try LanguageModel(checkpoint, path: "small")
    #expect(throws: TextError.self) { try strict.generate(after: "unseen") }
    checkpoint.tokenizer.sentenceStart = .none
    let startless = try LanguageModel(checkpoint, path: "small")
    #expect(throws: TextError.self) { try startless.generate() }
    #expect(try startless.generate(after: "the").first?.ids.count == 100)
  }

  @Test(
    "Streamed text equals the text decoded at once, for every tokenizer",
    arguments: [
      "gpt2.json", "llama2.json", "bert.json", "sp-unigram.model", "sp-bytes.model", "characters",
      "words",
    ])
  func streamedText(name: String) throws {
    let encoder: Encoder
    var vocabulary = Vocabulary(
      tokens: ["the", "cat", "\u{FC}", "日", "<eos>"].map { Array($0.utf8) }, unit: .word)
    vocabulary.endOfSentenceID = 4
    switch name {
    case "words":
      encoder = try Encoder(vocabulary: vocabulary, tokenizer: Tokenizer(), path: "")
    case "characters":
      encoder = try Encoder(
        vocabulary: vocabulary, tokenizer: Tokenizer(kind: .character), path: "")
    default:
      let path = Fixtures.path("tokenizers/\(name)")
      guard FileManager.default.fileExists(atPath: path) else {
        Issue.record("no \(path)")
        return
      }
      let (tokenizer, tokens) = try definedTokens(path, nil)
      encoder = try Encoder(vocabulary: tokens, tokenizer: tokenizer, path: "")
    }
    var generator = SeededGenerator(seed: 8)
    let ids = (0..<400).map { _ in
      Int32.random(in: 0..<Int32(encoder.vocabulary.count), using: &generator)
    }
    var stream = TextStream(encoder)
    var text: [UInt8] = []
    for id in ids { text += stream.add(id) }
    let whole = encoder.text(of: ids)
    // The last characters may wait for more.
    let isBeginning = whole.starts(with: text)
    #expect(isBeginning && whole.count - text.count < 40)
    let isWhole = text + stream.finish() == whole
    #expect(isWhole)
  }
}
