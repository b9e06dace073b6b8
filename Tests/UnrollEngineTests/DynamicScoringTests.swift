// Scores of a model that learns from each line, against PyTorch.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollNeural
import UnrollTensors

@testable import UnrollEngine

@Suite("Scores of a model that learns from each line (--dynamic)") struct DynamicScoringTests {
  private struct Reference: Decodable {
    struct Model: Decodable {
      let rate: Double
      let sums: [Double]
      let last: [Double]
      let lastEntropies: [Double]
      let decoderBias: [Double]
      let weightHh: [Double]
    }
    let lstm: Model
    let gru: Model
  }

  private static let reference = Result {
    try ScoringFixture.decoded("dynamic.json", as: Reference.self)
  }

  private func scores(
    _ dynamic: inout DynamicScoring, _ settings: ScoreSettings = ScoreSettings()
  ) throws -> [SentenceScore] {
    var scores: [SentenceScore] = []
    try dynamic.score(text: ScoringFixture.text, settings) { sentence, _ in
      scores.append(sentence)
    }
    return scores
  }

  @Test(
    "Scores, entropies and the adapted weights equal PyTorch's", arguments: ["lstm", "gru"])
  func parity(name: String) throws {
    let references = try Self.reference.get()
    let expected = name == "lstm" ? references.lstm : references.gru
    let checkpoint = try ScoringFixture.checkpoint(name)
    var dynamic = try DynamicScoring(checkpoint, path: name, learningRate: expected.rate)
    let found = try scores(&dynamic)
    #expect(found.count == 80 && expected.sums.count == 80)
    for (score, sum) in zip(found, expected.sums) {
      #expect(abs(try #require(score.logProbability) - sum) < 2e-5 * max(1, abs(sum)))
    }
    let last = try #require(found.last).tokens
    #expect(last.count == expected.last.count)
    for (index, token) in last.enumerated() {
      #expect(abs(try #require(token.logProbability) - expected.last[index]) < 2e-5)
      #expect(abs(try #require(token.entropy) - expected.lastEntropies[index]) < 2e-5)
    }
    let adapted = try dynamic.adapted(toText: ScoringFixture.text)
    for (path, numbers) in [
      (ParameterPath.outputBias, expected.decoderBias),
      (.layer(1, .weightHH), expected.weightHh),
    ] {
      let own = try #require(adapted.parameters[path]?.floats())
      for (value, number) in zip(own, numbers) { #expect(abs(Double(value) - number) < 2e-5) }
    }
    #expect(dynamic.lineCount == 80)
    let entry = try #require(adapted.provenance.last)
    #expect(entry.operation == "adapt" && entry.arguments.hasSuffix("\nlines=80"))
    #expect(entry.inputs.hasSuffix(" text.txt"))
  }

  @Test("The first line is scored by the model as it is, the others by another")
  func firstLine() throws {
    let checkpoint = try ScoringFixture.checkpoint("lstm")
    var dynamic = try DynamicScoring(checkpoint, path: "lstm", learningRate: 0.5)
    var settings = ScoreSettings()
    settings.guesses = 1
    let found = try scores(&dynamic, settings)
    var plain: [SentenceScore] = []
    let model = try LanguageModel(checkpoint, path: "lstm")
    try model.score(text: ScoringFixture.text, settings) { sentence, _ in plain.append(sentence) }
    #expect(found[0].tokens.map(\.logProbability) == plain[0].tokens.map(\.logProbability))
    #expect(found[0].tokens.map(\.guesses) == plain[0].tokens.map(\.guesses))
    #expect(found[1].tokens.map(\.logProbability) != plain[1].tokens.map(\.logProbability))
  }

  @Test("Scores are the same with any number of threads")
  func threads() throws {
    let before = Threads.count
    defer { Threads.count = before }
    let found = try [1, 3].map { count in
      Threads.count = count
      var dynamic = try DynamicScoring(
        ScoringFixture.checkpoint("lstm"), path: "lstm", learningRate: 0.5)
      return try scores(&dynamic).map(\.logProbability)
    }
    #expect(found[0] == found[1])
  }

  @Test("A learning rate that is too high ends with the line and advice")
  func divergence() throws {
    var dynamic = try DynamicScoring(
      ScoringFixture.checkpoint("lstm"), path: "lstm", learningRate: 1e38)
    let error = #expect(throws: AdaptationDiverged.self) { try scores(&dynamic) }
    #expect((2...5).contains(error?.line ?? 0))
    #expect(error?.description.contains("give a learning rate below 1e+38") == true)
  }
}
