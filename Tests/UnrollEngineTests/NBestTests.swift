// N-best lists: reading, choosing, word errors and tuning.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTokenization

@testable import UnrollEngine

@Suite("N-best lists") struct NBestTests {
  private func list(of content: String, _ unknown: UnknownWords = .undefined) throws -> NBestList {
    let model = try LanguageModel(.small(), path: "small")
    return try withTemporaryFolder { folder in
      let path = "\(folder)/list"
      try Data(content.utf8).write(to: URL(filePath: path))
      var list = NBestList()
      try model.score(nbest: path, unknown: unknown) { scored, _ in list.add(scored) }
      return list
    }
  }

  @Test(
    "The same list is read from JSON lines, from columns with and without a header, and Kaldi's lines",
    arguments: [
      """
      {"utt": "u1", "hyp": "the cat", "am": -1.5}
      {"utt": "u1", "hyp": "", "am": -2}
      """,
      "utt\tam\thyp\nu1\t-1.5\tthe cat\nu1\t-2\t", "u1\t-1.5\tthe cat\nu1\t-2\t\n",
      "u1-1 the cat\nu1-2\n",
    ])
  func forms(content: String) throws {
    let utterances = try list(of: content).utterances
    try #require(utterances.count == 1 && utterances[0].hypotheses.count == 2)
    #expect(utterances[0].name == "u1")
    #expect(utterances[0].hypotheses.map(\.hypothesis.text) == ["the cat", ""])
    let isKaldi = content.hasPrefix("u1-1")
    let acoustic = utterances[0].hypotheses.map(\.hypothesis.acoustic)
    #expect(acoustic == (isKaldi ? [nil, nil] : [-1.5, -2]))
    let model = try LanguageModel(.small(), path: "small")
    for scored in utterances[0].hypotheses {
      #expect(
        scored.logProbability
          == (try model.score(sentence: scored.hypothesis.text).logProbability))
    }
  }

  @Test("The weights decide which hypothesis is best, and one without a score comes last")
  func choices() {
    func scored(_ text: String, _ acoustic: Double, _ logProbability: Double?) -> ScoredHypothesis {
      ScoredHypothesis(
        hypothesis: Hypothesis(line: 1, utterance: "u", text: text, acoustic: acoustic),
        logProbability: logProbability)
    }
    var list = NBestList()
    list.add(scored("a b c", -10, -4))
    list.add(scored("a b", -9, -6))
    list.add(scored("x", -1, nil))
    let utterance = list.utterances[0]
    #expect(utterance.best(RescoringWeights(languageModel: 0)) == 1)
    #expect(utterance.best(RescoringWeights(languageModel: 1)) == 0)
    #expect(utterance.best(RescoringWeights(languageModel: 1, word: -2)) == 1)
    // Halved logarithms: -10 - 4 / 2 is less than -9 - 6 / 2 + 0.1.
    #expect(utterance.best(RescoringWeights(languageModel: 1), logarithm: 2) == 0)
    var unknown = NBestList()
    unknown.add(scored("x", -3, nil))
    unknown.add(scored("y", -2, nil))
    #expect(unknown.utterances[0].best(RescoringWeights()) == 1)
  }

  @Test(
    "Word errors are the fewest changes from the reference",
    arguments: [
      ("a b c", "a b c", 0, 0, 0), ("a x c", "a b c", 1, 0, 0), ("a c", "a b c", 0, 1, 0),
      ("a b b c", "a b c", 0, 0, 1), ("", "a b", 0, 2, 0), ("a b", "", 0, 0, 2),
      ("b c d", "a b c", 0, 1, 1), ("x y", "a b c", 2, 1, 0),
    ])
  func wordErrors(
    hypothesis: String, reference: String, substitutions: Int, deletions: Int, insertions: Int
  ) {
    let errors = WordErrors(of: hypothesis, reference: reference)
    #expect(errors.substitutions == substitutions, "\(errors)")
    #expect(errors.deletions == deletions && errors.insertions == insertions, "\(errors)")
    let words = reference.split(separator: " ").count
    #expect(errors.words == words)
    #expect(errors.rate == (words > 0 ? Double(errors.count) / Double(words) : nil))
  }

  @Test("Tuned weights have the fewest errors, and the list's own best hypotheses are the oracle")
  func tuning() throws {
    let list = try list(of: "u\t-1\tthe cat\nu\t-1.2\tsat on\nv\t-3\ta\nv\t-2\tmat dog ü\n")
    try withTemporaryFolder { folder in
      let path = "\(folder)/reference"
      try Data("u sat on\nv a\n".utf8).write(to: URL(filePath: path))
      let errors = try NBestErrors(list, ReferenceTexts(path: path), path: path)
      #expect(errors.oracle.count == 0 && errors.oracle.words == 3)
      let weights = errors.tuned()
      let found = errors.total { $0.best(weights) }.count
      for step in 0...40 {
        for words in -8...8 {
          let other = RescoringWeights(languageModel: Double(step) / 20, word: Double(words) / 4)
          #expect(errors.total { $0.best(other) }.count >= found)
        }
      }
      try Data("u sat on\n".utf8).write(to: URL(filePath: path))
      #expect(throws: TextError.self) {
        try NBestErrors(list, ReferenceTexts(path: path), path: path)
      }
    }
  }

  @Test(
    "A line that is no hypothesis is refused",
    arguments: [
      ("u\tx\tthe\n", "line 1: expected a number as the score"),
      ("u\t-1\tthe\nu\tthe\n", "line 2: expected the columns"),
      ("{\"utt\": \"u\"}\n", "line 1: expected the fields utt and hyp"),
      ("a\tb\tc\td\n", "line 1: expected the columns"),
    ])
  func refusals(content: String, message: String) throws {
    let error = #expect(throws: TextError.self) { try list(of: content) }
    #expect(error?.description.contains(message) == true, "\(String(describing: error))")
  }
}
