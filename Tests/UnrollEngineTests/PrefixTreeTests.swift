// Common beginnings of sentences are computed once, and this changes no bit.

import TestSupport
import Testing
import UnrollFormat

@testable import UnrollEngine
@testable import UnrollNeural

@Suite("Common prefixes of sentences") struct PrefixTreeTests {
  /// Sentences of like beginnings: equal ones, ones that others begin with, empty ones.
  private static func sentences(_ count: Int, of tokens: Range<Int32> = 0..<11) -> [[Int32]] {
    var generator = SeededGenerator(seed: 11)
    var all: [[Int32]] = [[]]
    while all.count < count {
      let kept = all[Int.random(in: 0..<all.count, using: &generator)]
      let rest = (0..<Int.random(in: 0...5, using: &generator)).map { _ in
        Int32.random(in: tokens, using: &generator)
      }
      all.append(kept.prefix(Int.random(in: 0...12, using: &generator)) + rest)
    }
    return all
  }

  @Test("Each prefix of the sentences is one node, and paths spell the sentences")
  func prefixNodes() throws {
    let sentences = Self.sentences(300)
    let tree = PrefixTree(of: sentences)
    let beginnings = Set(
      sentences.flatMap { sentence in
        (0..<sentence.count).map { Array(sentence[...$0]) }
      })
    #expect(tree.nodes.count == beginnings.count)
    for (sentence, end) in zip(sentences, tree.ends) {
      let path = tree.path(to: end)
      #expect(path.map { tree.nodes[$0].token } == sentence)
      for (parent, child) in zip(path, path.dropFirst()) {
        #expect(tree.nodes[parent].children.contains(child))
      }
      if let end { #expect(tree.nodes[end].isEnd) }
    }
    let ends = Set(sentences.filter { !$0.isEmpty })
    #expect(tree.nodes.count(where: \.isEnd) == ends.count)
    for (depth, level) in tree.levels.enumerated() {
      for node in level { #expect(tree.path(to: node).count == depth + 1) }
    }
  }

  @Test(
    "Sentences in one batch have the bits of each alone, entropies, totals and guesses included",
    arguments: [Cell.lstm, .gru, .rnn], [true, false])
  func sentencesTogether(_ cell: Cell, hasStart: Bool) throws {
    var checkpoint = Checkpoint.small(cell: cell)
    if !hasStart { checkpoint.tokenizer.sentenceStart = .none }
    let model = try LanguageModel(checkpoint, path: "small")
    #expect(model.predictsFirstTokens == hasStart)
    var figures = PredictionFigures()
    figures.entropies = true
    figures.subset = [1, 4, 7]
    figures.includesEnd = true
    figures.guesses = 3
    let sentences = Self.sentences(400)
    let together = try model.predictions(ofSentences: sentences, figures)
    try #require(together.count == sentences.count)
    for (sentence, found) in zip(sentences, together) {
      // The window of one column knows nothing of trees.
      let start = model.encoder.sentenceStartID.map { [$0] } ?? []
      let inputs = start + sentence
      let targets = hasStart ? sentence + [1] : sentence.dropFirst() + [1]
      guard !inputs.isEmpty else {
        #expect(found.logProbabilities.isEmpty && found.totals.isEmpty)
        continue
      }
      var state = model.network.zeroState(columns: 1)
      let expected = try model.network.predictions(
        ofTargets: Array(targets), inputs: inputs, withEntropies: true, totalling: figures.subset,
        guessing: 3, state: &state)
      #expect(found.unpredictedCount == (hasStart ? 0 : 1))
      #expect(found.logProbabilities == expected.logProbabilities.dropLast())
      #expect(found.entropies == expected.entropies.dropLast())
      #expect(found.totals == expected.totals)
      #expect(found.likeliest.ranks == expected.likeliest.ranks.dropLast())
      #expect(found.likeliest.guesses == expected.likeliest.guesses.dropLast())
    }
  }

  @Test("Long sentences in one batch with short ones have the log-probabilities of each alone")
  func sentencesOfAnyShape() throws {
    let model = try LanguageModel(.small(), path: "small")
    var generator = SeededGenerator(seed: 3)
    let long = (0..<3).map { _ in
      (0..<900).map { _ in Int32.random(in: 0..<11, using: &generator) }
    }
    let sentences = long + Self.sentences(700) + [Array(long[0].prefix(450)), long[1]]
    let together = try model.predictions(ofSentences: sentences)
    for (sentence, found) in zip(sentences, together).filter({ $0.0.count > 100 }) {
      let alone = try model.predictions(ofSentences: [sentence])[0]
      #expect(found.logProbabilities == alone.logProbabilities)
    }
  }
}
