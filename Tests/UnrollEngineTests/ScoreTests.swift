// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Scores of tokens, words and sentences: their parts, their order, and that nothing else matters.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollNeural

@Suite("Scores of tokens, words and sentences") struct ScoreTests {
  private static let words = ["the", "cat", "sat", "on", "a", "mat", "dog"]

  /// Lines of seeded words, some of them blank.
  private static func lines(_ count: Int, seed: UInt64 = 4) -> [String] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in
      (0..<Int.random(in: 0...9, using: &generator)).map { _ in
        words.randomElement(using: &generator) ?? ""
      }.joined(separator: " ")
    }
  }

  private func scores(
    _ lines: [String], _ settings: ScoreSettings = ScoreSettings(), segmentation: String? = nil,
    model: LanguageModel? = nil
  ) throws -> [SentenceScore] {
    try withTemporaryFolder { folder in
      let path = "\(folder)/text.txt"
      try Data(lines.map { $0 + "\n" }.joined().utf8).write(to: URL(filePath: path))
      var settings = settings
      if let segmentation {
        settings.segmentation = "\(folder)/words.txt"
        try Data(segmentation.utf8).write(to: URL(filePath: "\(folder)/words.txt"))
      }
      var scores: [SentenceScore] = []
      let model = try model ?? LanguageModel(.small(), path: "small")
      try model.score(text: path, settings) { score, _ in scores.append(score) }
      return scores
    }
  }

  @Test("A sentence has the same scores bit for bit beside any others")
  func independentSentences() throws {
    let lines = Self.lines(70)
    let together = try scores(lines)
    #expect(together.map(\.line) == Array(1...70))
    let alone = try lines.map { try scores([$0])[0] }
    let reversed = try scores(lines.reversed()).reversed()
    for (a, (b, c)) in zip(together, zip(alone, reversed)) {
      #expect(a.tokens.map(\.logProbability) == b.tokens.map(\.logProbability))
      #expect(a.tokens.map(\.entropy) == b.tokens.map(\.entropy))
      #expect(a.tokens.map(\.entropy) == c.tokens.map(\.entropy))
      #expect(a.logProbability == b.logProbability && a.logProbability == c.logProbability)
    }
  }

  @Test("Entropies and their reductions are those of the distributions")
  func entropyOfDistributions() throws {
    let model = try LanguageModel(.small(), path: "small")
    let score = try scores(["the cat sat"], model: model)[0]
    let V = model.network.architecture.vocabularySize
    var state = model.network.zeroState(columns: 1)
    let inputs: [Int32] = [try #require(model.encoder.sentenceStartID), 0, 1, 2]
    let all = try model.network.logDistributions(inputs: inputs, state: &state)
    var entropies: [Double] = []
    for t in 0..<4 {
      let row = all[t * V..<(t + 1) * V].map(Double.init)
      entropies.append(row.reduce(0) { $0 - exp($1) * $1 })
      #expect(abs(try #require(score.tokens[t].entropy) - entropies[t]) < 1e-5)
    }
    #expect(score.words.map(\.entropy) == score.tokens.prefix(3).map(\.entropy))
    #expect(score.words[0].entropyReduction == nil)
    for t in 1..<3 {
      let expected = max(0, entropies[t - 1] - entropies[t])
      #expect(abs(try #require(score.words[t].entropyReduction) - expected) < 1e-5)
    }
  }

  @Test("Scores with carried states equal those of one stream")
  func carriedStates() throws {
    let lines = Self.lines(12)
    let model = try LanguageModel(.small(), path: "small")
    var settings = ScoreSettings()
    settings.carriesState = true
    let carried = try scores(lines, settings, model: model)
    let text = Array(lines.map { $0 + "\n" }.joined().utf8)
    let ids = try model.encoder.ids(ofLines: text)
    let whole = try model.predictions(ofSentences: [ids])[0]
    let tokens = carried.flatMap(\.tokens).map(\.logProbability)
    try #require(tokens.count == whole.logProbabilities.count)
    for (token, expected) in zip(tokens, whole.logProbabilities) {
      #expect(token == Double(expected))
    }
  }

  @Test("Surprisals of tokens are added up to words, of the text or of a given segmentation")
  func sumsOfTokens() throws {
    var options = ConversionOptions(vocabulary: .corpus(Fixtures.path("characters")))
    options.tokenizer = .kind(.character, space: "_")
    let checkpoint = try convert(Fixtures.path("characters/model.pt"), options: options).checkpoint
    let model = try LanguageModel(checkpoint, path: "")
    let line = "We are here"
    var sums = ScoreSettings()
    sums.boundary = .before
    let own = try scores([line], sums, model: model)[0]
    #expect(own.words.map(\.word) == ["We", "are", "here"])
    #expect(own.tokens.map(\.word) == [0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2, nil])
    let surprisal = own.tokens[2...5].reduce(0) { $0 - ($1.logProbability ?? 0) }
    #expect(abs(try #require(own.words[1].surprisal) - surprisal) < 1e-12)
    #expect(own.words[1].entropy == own.tokens[2].entropy)
    // Words of a person's own, some across white space, some inside words.
    let theirs = try scores([line], sums, segmentation: "We are\the\tre\n", model: model)[0]
    #expect(theirs.words.map(\.word) == ["We are", "he", "re"])
    let sum = own.words[0...1].compactMap(\.surprisal).reduce(0, +)
    #expect(abs(try #require(theirs.words[0].surprisal) - sum) < 1e-9)
    #expect(theirs.tokens.map(\.word) == [0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, nil])
  }

  @Test("--words gives the words of the output, their white space included")
  func wordsAreThoseOfTheFile() throws {
    let own = try scores(["the cat sat"], segmentation: "the cat\t s at\n")[0]
    #expect(own.words.map(\.word) == ["the cat", "s at"])
  }

  @Test("A normalized or lower-case text keeps the words as they were written")
  func preparedTextsKeepTheirWords() throws {
    let model = try LanguageModel(.small(), path: "small")
    let composed = try scores(["the ü cat"], model: model)[0]
    let written = ["The", "u\u{308}", "CAT"]
    var settings = ScoreSettings()
    settings.preparation.isLowercased = true
    settings.preparation.normalization = .nfc
    let prepared = try scores([written.joined(separator: " ")], settings, model: model)[0]
    #expect(prepared.words.map { Array($0.word.utf8) } == written.map { Array($0.utf8) })
    #expect(prepared.words.map(\.surprisal) == composed.words.map(\.surprisal))
    let plain = try scores([written.joined(separator: " ")], model: model)[0]
    #expect(plain.words.map(\.isUnknown) == [true, true, true])
    let own = try scores(
      [written.joined(separator: " ")], settings, segmentation: "The u\u{308}\tCAT\n", model: model
    )[0]
    #expect(
      own.words.map { Array($0.word.utf8) } == ["The u\u{308}", "CAT"].map { Array($0.utf8) })
  }

  @Test("A byte-order mark is no word, and zero-width characters stay")
  func byteOrderMark() throws {
    let marked = try scores(["\u{FEFF}the cat", "\u{FEFF}the", "ca\u{200D}t"])
    #expect(marked.map { $0.words.map(\.isUnknown) } == [[false, false], [true], [true]])
    #expect(Array(try #require(marked[0].words.first).word.utf8) == Array("the".utf8))
    #expect(marked[2].words[0].word.unicodeScalars.count == 4)
  }

  @Test("Unknown words have a score only on request, and a penalty counts once for each")
  func unknownWords() throws {
    let model = try LanguageModel(.small(), path: "small")
    let score = try scores(["the xyzzy sat plugh"], model: model)[0]
    let tokens = score.tokens.compactMap(\.logProbability)
    #expect(tokens.count == 5 && score.unknownCount == 2)
    #expect(score.logProbability(.undefined) == nil)
    func sum(_ values: [Double]) -> Double { values.reduce(0, +) }
    #expect(score.logProbability(.include) == sum(tokens))
    #expect(score.logProbability(.exclude) == sum([tokens[0], tokens[2], tokens[4]]))
    #expect(score.logProbability(.penalty(3)) == sum(tokens) - 6)
    #expect(score.words.map { $0.surprisal(.undefined) == nil } == [false, true, false, true])
    #expect(score.words.map { $0.surprisal(.exclude) == nil } == [false, true, false, true])
    #expect(score.words[1].surprisal(.include) == -tokens[1])
    #expect(score.words[1].surprisal(.penalty(3)) == 3 - tokens[1])
    #expect(score.words[0].surprisal(.penalty(3)) == -tokens[0])
    #expect(score.tokens[1].surprisal(.undefined) == nil)
    let known = try scores(["the cat"], model: model)[0]
    #expect(known.logProbability(.undefined) == known.logProbability)
  }

  @Test(
    "A segmentation that differs from the text is refused",
    arguments: ["the cat", "the dog sat\n", "the cat sat on\n", "the cat sat\nmore\n", ""])
  func otherSegmentations(segmentation: String) throws {
    #expect(throws: TextError.self) { try scores(["the cat sat"], segmentation: segmentation) }
  }
}
