// Figures of an evaluation by groups, against PyTorch and NumPy in double precision.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollNeural

@testable import UnrollEngine

@Suite("Figures of an evaluation by groups (--details, --baseline)") struct DetailTests {
  private struct Reference: Decodable {
    struct Group: Decodable {
      let words: Int
      let predictions: Int
      let nll: Double
      let hits: [Int]
    }
    struct Details: Decodable {
      let all: [String: Group]
      let frequency: [String: Group]
      let position: [String: Group]
      let length: [String: Group]
      /// Predictions, sum of probabilities and hits of each bin.
      let calibration: [[Double]]
      let calibrationError: Double
    }
    struct Comparison: Decodable {
      let nll: [Double]
      let divergence: Double
      let predictions: Int
    }
    struct Figures: Decodable {
      let vocabulary: Details
      let text: Details
      let baseline: Comparison
    }
    let sentence: Figures
    let stream: Figures

    subscript(_ protocol: PerplexityProtocol) -> Figures {
      `protocol` == .stream ? stream : sentence
    }
  }

  private static let reference = Result {
    try ScoringFixture.decoded("details.json", as: Reference.self)
  }

  private func expect(
    _ groups: [PredictionGroup], toBe expected: [String: Reference.Group], _ name: String
  ) throws {
    #expect(Set(groups.map(\.name)) == Set(expected.keys), "\(name)")
    for group in groups {
      let own = try #require(expected[group.name])
      #expect(
        group.words == own.words && group.predictions == own.predictions && group.hits == own.hits,
        "\(name) \(group.name)")
      #expect(abs(group.totalNLL / own.nll - 1) < 1e-6, "\(name) \(group.name)")
    }
  }

  @Test(
    "Groups, top-k accuracy and calibration equal those of PyTorch's distributions",
    arguments: [PerplexityProtocol.sentence, .stream], [true, false])
  func groups(_ protocol: PerplexityProtocol, hasCounts: Bool) throws {
    var checkpoint = try ScoringFixture.checkpoint("lstm")
    if !hasCounts { checkpoint.vocabulary.counts = nil }
    let result = try LanguageModel(checkpoint, path: "lstm").perplexity(
      ofText: ScoringFixture.text, protocol: `protocol`, withDetails: true)
    let details = try #require(result.details)
    let expected = try Self.reference.get()[`protocol`]
    let own = hasCounts ? expected.vocabulary : expected.text
    #expect(details.frequencySource == (hasCounts ? .vocabulary : .text))
    #expect(details.all.totalNLL == result.totalNLL)
    try expect([details.all], toBe: own.all, "all")
    try expect(details.byFrequency, toBe: own.frequency, "frequency")
    try expect(details.byPosition, toBe: own.position, "position")
    try expect(details.byLength, toBe: own.length, "length")
    for (bin, numbers) in zip(details.calibration, own.calibration) {
      #expect(bin.predictions == Int(numbers[0]) && bin.hits == Int(numbers[2]))
      #expect(abs((bin.confidence ?? 0) - numbers[1] / max(1, numbers[0])) < 1e-6)
    }
    #expect(details.calibration.count == 10 && own.calibration.count == 10)
    #expect(abs(details.calibrationError - own.calibrationError) < 1e-6)
  }

  @Test("Details are the same with any number of threads, and leave the perplexity as it is")
  func threads() throws {
    let model = try ScoringFixture.model("lstm")
    let before = Threads.count
    defer { Threads.count = before }
    for name in [PerplexityProtocol.columns, .sentence, .stream, .kenlm] {
      let plain = try model.perplexity(ofText: ScoringFixture.text, protocol: name)
      let found = try [1, 3].map { count in
        Threads.count = count
        return try model.perplexity(
          ofText: ScoringFixture.text, protocol: name, withDetails: true)
      }
      #expect(plain.details == nil)
      #expect(found.map(\.totalNLL) == [plain.totalNLL, plain.totalNLL])
      #expect(found[0].details?.byFrequency == found[1].details?.byFrequency)
      #expect(found[0].details?.byPosition == found[1].details?.byPosition)
      #expect(found[0].details?.calibration == found[1].details?.calibration)
    }
  }

  @Test("Tokens of characters belong to the word that they begin in")
  func charactersOfWords() throws {
    var options = ConversionOptions()
    options.vocabulary = .corpus(Fixtures.path("characters"))
    options.tokenizer = .kind(.character, space: "_")
    let model = try LanguageModel(
      convert(Fixtures.path("characters/model.pt"), options: options).checkpoint, path: "characters"
    )
    try withTemporaryFolder { folder in
      let path = "\(folder)/text.txt"
      try Data("We are\nWe\n".utf8).write(to: URL(filePath: path))
      let details = try #require(
        try model.perplexity(ofText: path, protocol: .sentence, withDetails: true).details)
      // The space belongs to the word behind it.
      #expect(details.byLength.map(\.name) == ["2", "3", "line end"])
      #expect(details.byLength.map(\.words) == [2, 1, 0])
      #expect(details.byLength.map(\.predictions) == [4, 4, 2])
      #expect(details.byPosition.map(\.predictions) == [4, 4, 2])
      #expect(details.frequencySource == .text)
      #expect(details.byFrequency.map(\.name) == ["1", "2-9", "line end"])
      #expect(details.byFrequency.map(\.words) == [1, 2, 0])
    }
  }

  @Test("Bands of numbers have names and limits")
  func bands() {
    #expect(
      NumberBands.counts.names.prefix(5) == ["0", "1", "2-9", "10-99", "100-999"])
    #expect(NumberBands.lengths.names.suffix(3) == ["9", "10-14", "15+"])
    #expect(
      [1, 5, 6, 10, 11, 50, 51, 9999].map(NumberBands.positions.band) == [
        0, 4, 5, 5, 6, 7, 8, 8,
      ])
  }

  @Test(
    "Losses beside a baseline and the divergence from it equal PyTorch's",
    arguments: [PerplexityProtocol.sentence, .stream])
  func baseline(_ protocol: PerplexityProtocol) throws {
    let models = try [ScoringFixture.model("gru"), ScoringFixture.model("lstm")]
    let found = try TextDifference(
      models, onText: ScoringFixture.text, carriesState: `protocol` == .stream
    ) { _ in }
    let expected = try Self.reference.get()[`protocol`].baseline
    #expect(found.predictions == expected.predictions)
    #expect(abs(found.divergence / expected.divergence - 1) < 1e-5)
    for (nll, own) in zip(found.nll, expected.nll) { #expect(abs(nll / own - 1) < 1e-6) }
    for (model, nll) in zip(models, found.nll) {
      let own = try model.perplexity(ofText: ScoringFixture.text, protocol: `protocol`)
      #expect(own.predictions == found.predictions && abs(own.nll / nll - 1) < 1e-12)
    }
    let interval = try #require(found.interval(resamples: 500, seed: 3))
    #expect(interval == found.interval(resamples: 500, seed: 3))
    #expect(interval != found.interval(resamples: 500, seed: 4))
    #expect(interval.contains(found.nllDifference) && interval.lowerBound > 0)
    #expect(abs(found.perplexityRatio - exp(expected.nll[1] - expected.nll[0])) < 1e-6)
  }
}
