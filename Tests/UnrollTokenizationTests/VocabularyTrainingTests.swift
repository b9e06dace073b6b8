// Vocabularies made of texts: their order, what is cut, and the special tokens.

import TestSupport
import Testing

@testable import UnrollTokenization

@Suite("Vocabularies made from texts") struct VocabularyTrainingTests {
  private func vocabulary(
    of text: String, _ tokenizer: Tokenizer = Tokenizer(),
    _ change: (inout VocabularyTraining) -> Void = { _ in }
  ) throws -> Vocabulary {
    var training = VocabularyTraining(tokenizer: tokenizer)
    change(&training)
    return try withText(Array(text.utf8)) { try Vocabulary(trainedOn: [$0], by: training) }
  }

  private func tokens(_ vocabulary: Vocabulary) -> [String] {
    vocabulary.indices.map { vocabulary.text(of: $0) }
  }

  @Test("First-seen order is that of word_language_model")
  func firstSeenOrder() throws {
    var training = VocabularyTraining()
    training.hasUnknown = false
    let parts = Vocabulary.corpusParts.map { TextFixtures.path("corpus/\($0)") }
    let trained = try Vocabulary(trainedOn: parts, by: training)
    #expect(utf8(tokens(trained)) == utf8(try TextFixtures().vocabulary))
    #expect(trained.unknownID == 2 && trained.endOfSentenceID == 4)
    #expect(trained.counts?.count == trained.count)
  }

  @Test("Words below the minimum count become unknown, and their counts are added up")
  func minimumCounts() throws {
    let vocabulary = try vocabulary(of: "b a a c\nc a\n") { $0.minimumCount = 2 }
    #expect(tokens(vocabulary) == ["<unk>", "a", "c", "<eos>"])
    #expect(vocabulary.counts == [1, 3, 2, 2])
    #expect(vocabulary.unknownID == 0 && vocabulary.endOfSentenceID == 3)
  }

  @Test("Tokens can be ordered by frequency and limited in number")
  func frequencyOrder() throws {
    let byCount = try vocabulary(of: "b a a c\nc a\n") { $0.order = .frequency }
    #expect(tokens(byCount) == ["<unk>", "<eos>", "a", "c", "b"])
    #expect(byCount.counts == [0, 2, 3, 2, 1])
    let small = try vocabulary(of: "b a a c\nc a\n") {
      ($0.order, $0.maximumSize) = (.frequency, 3)
    }
    #expect(tokens(small) == ["<unk>", "<eos>", "a"] && small.counts == [3, 2, 3])
  }

  @Test("An unknown token of the text keeps its place")
  func unknownToken() throws {
    let kept = try vocabulary(of: "a <unk> b\n") { $0.minimumCount = 2 }
    #expect(tokens(kept) == ["<unk>", "<eos>"] && kept.unknownID == 0)
    let seen = try vocabulary(of: "a <unk> b\n")
    #expect(tokens(seen) == ["a", "<unk>", "b", "<eos>"] && seen.unknownID == 1)
    let without = try vocabulary(of: "a b\n") { $0.hasUnknown = false }
    #expect(tokens(without) == ["a", "b", "<eos>"] && without.unknownID == nil)
  }

  @Test("A character vocabulary contains the token for the space")
  func characterVocabulary() throws {
    let tokenizer = Tokenizer(kind: .character, space: "_")
    let vocabulary = try vocabulary(of: "a _é a\n", tokenizer) { $0.hasUnknown = false }
    #expect(tokens(vocabulary) == ["a", "_", "é", "<eos>"] && vocabulary.counts == [2, 2, 1, 1])
    #expect(vocabulary.unit == .character)
  }

  @Test("Line ends are characters if there is no end-of-sentence token")
  func lineEnds() throws {
    let tokenizer = Tokenizer(kind: .character, sentenceStart: .none, appendsEndOfSentence: false)
    let vocabulary = try vocabulary(of: "a\r\nb\n", tokenizer) { $0.hasUnknown = false }
    #expect(tokens(vocabulary) == ["a", "\r", "\n", "b"])
  }

  @Test("A byte vocabulary contains the bytes of the text")
  func byteVocabulary() throws {
    let tokenizer = Tokenizer(kind: .byte, sentenceStart: .none, appendsEndOfSentence: false)
    let vocabulary = try vocabulary(of: "aé", tokenizer) { $0.hasUnknown = false }
    #expect(vocabulary.indices.map { Array(vocabulary[$0]) } == [[0x61], [0xC3], [0xA9]])
  }

  @Test("A text without tokens, and a tokenizer that needs a list, are refused")
  func missingTokens() {
    #expect(throws: TextError.self) {
      _ = try vocabulary(of: "") { $0.hasUnknown = false }
    }
    #expect(throws: TextError.self) { _ = try vocabulary(of: "a", Tokenizer(kind: .greedy)) }
  }
}
