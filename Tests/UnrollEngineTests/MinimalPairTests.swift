// Minimal pairs: what is compared, what is counted, and what is refused.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTokenization

@testable import UnrollEngine

@Suite("Minimal pairs") struct MinimalPairTests {
  private func scores(
    of content: String, _ model: LanguageModel, _ settings: PairSettings = PairSettings()
  ) throws -> [PairScore] {
    try withTemporaryFolder { folder in
      let path = "\(folder)/pairs"
      try Data(content.utf8).write(to: URL(filePath: path))
      var scores: [PairScore] = []
      try model.score(pairs: path, settings) { score, _ in scores.append(score) }
      return scores
    }
  }

  private func model() throws -> LanguageModel {
    try LanguageModel(.small(), path: "small")
  }

  @Test("A pair has the scores of its sentences, from JSON lines and from a table")
  func scoresAreThoseOfSentences() throws {
    let model = try model()
    let json = #"{"sentence_good": "the cat sat", "sentence_bad": "sat cat", "UID": "order"}"#
    let table = "bad\tgood\tphenomenon\nsat cat\tthe cat sat\torder\n"
    for content in [json, table] {
      let found = try scores(of: content, model)
      try #require(found.count == 1)
      #expect(found[0].pair.group == "order")
      #expect(found[0].good == (try model.score(sentence: "the cat sat").logProbability))
      #expect(found[0].bad == (try model.score(sentence: "sat cat").logProbability))
    }
  }

  @Test("Parts that differ have the sum of the surprisals of their words")
  func differencesAreSums() throws {
    let model = try model()
    var settings = PairSettings()
    settings.part = .difference
    let found = try scores(
      of: "good\tbad\nthe cat sat on\tthe a sat on\nthe cat sat\tthe sat\n", model, settings)
    func surprisal(_ sentence: String, _ words: Range<Int>) throws -> Double {
      -(try model.score(sentence: sentence).words[words].compactMap(\.surprisal).reduce(0, +))
    }
    #expect(found[0].good == (try surprisal("the cat sat on", 1..<2)))
    #expect(found[0].bad == (try surprisal("the a sat on", 1..<2)))
    // The second sentence lacks a word: the one after it is compared, too.
    #expect(found[1].good == (try surprisal("the cat sat", 1..<3)))
    #expect(found[1].bad == (try surprisal("the sat", 1..<2)))
  }

  @Test(
    "The part that differs lies between the words that both sentences share",
    arguments: [
      ("a b c", "a x c", 1, 1), ("a b", "a b", 2, 0), ("a a b", "a b", 1, 0), ("a", "b", 0, 0),
      ("a b c", "c b a", 0, 0), ("a b c d", "a c d", 1, 1), ("a b", "a", 1, 0),
    ])
  func differingParts(first: String, second: String, before: Int, after: Int) {
    let words = [first, second].map { $0.split(separator: " ").map(String.init) }
    let found = LanguageModel.differingPart(words[0], words[1])
    #expect(found.before == before && found.after == after, "\(found)")
  }

  @Test("The interval of an accuracy is Wilson's")
  func intervals() throws {
    var accuracy = PairAccuracy()
    #expect(accuracy.share == nil && accuracy.interval == nil)
    let pair = MinimalPair(line: 1, group: nil, good: "", bad: "")
    for index in 0..<10 {
      accuracy.add(PairScore(pair: pair, good: index < 7 ? -1 : -3, bad: -2))
    }
    accuracy.add(PairScore(pair: pair, good: nil, bad: -2))
    #expect(accuracy.share == 0.7 && accuracy.pairs == 10 && accuracy.unscored == 1)
    let interval = try #require(accuracy.interval)
    // scipy.stats.binomtest(7, 10).proportion_ci(method="wilson") of SciPy 1.17.1.
    #expect(abs(interval.lowerBound - 0.39677814746114526) < 1e-9)
    #expect(abs(interval.upperBound - 0.892208732593699) < 1e-9)
  }

  @Test(
    "A file without pairs is refused with the line",
    arguments: [
      ("good\tbad\nthe\n", "line 2: expected 2 columns"),
      ("{\"a\": 1}\n", "line 1: expected the fields"),
      ("{\"good\": \"the\", \"bad\": \"cat\"}\nthe\n", "line 2: expected a JSON object"),
      ("the cat\nsat on\n", "line 2: expected the fields sentence_good"),
    ])
  func refusals(content: String, message: String) throws {
    let model = try model()
    let error = #expect(throws: TextError.self) { try scores(of: content, model) }
    #expect(error?.description.contains(message) == true, "\(String(describing: error))")
  }
}
