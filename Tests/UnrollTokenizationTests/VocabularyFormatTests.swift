// Vocabularies in the files of other programs.

import Testing

@testable import UnrollTokenization

@Suite("Vocabulary files of other programs") struct VocabularyFormatTests {
  private func vocabulary(_ text: String, _ format: VocabularyFormat) throws -> Vocabulary {
    try withText(Array(text.utf8)) { try Vocabulary(text: $0, format: format) }
  }

  private func tokens(_ vocabulary: Vocabulary) -> [[UInt8]] {
    vocabulary.indices.map { Array(vocabulary[$0]) }
  }

  @Test("The file name decides the format of a vocabulary")
  func formatOfName() {
    let names = [
      "vocab.txt", "a/vocab.json", "dict.txt", "dict.de.txt", "wiki.vec", "glove.6B.50d.txt.gz",
      "dictionary.txt", "a/itos.pkl", "stoi.pickle",
    ]
    #expect(
      names.map { VocabularyFormat(path: $0) } == [
        .list, .json, .fairseq, .fairseq, .vectors, .vectors, .list, .pickle, .pickle,
      ])
  }

  @Test("JSON vocabularies are lists of tokens or objects with ids")
  func jsonVocabularies() throws {
    let list = try vocabulary(#"["a", "\u00e9", "e\u0301", "<unk>", "\ud83d\ude00"]"#, .json)
    #expect(tokens(list) == utf8(["a", "é", "e\u{301}", "<unk>", "😀"]) && list.unknownID == 3)
    let object = try vocabulary("{\"b\": 1,\n \"<eos>\": 2, \"a\": 0}", .json)
    #expect(tokens(object) == utf8(["a", "b", "<eos>"]) && object.endOfSentenceID == 2)
  }

  @Test(
    "JSON of another form is refused as a vocabulary",
    arguments: [
      "", "[1]", "[\"a\", \"a\"]", "{\"a\": 1}", "{\"a\": 0, \"b\": 0}", "{\"a\": 0.5}", "[\"a\"",
      "[\"\\ud800\"]", "[\"a\"] x", "\"a\"", "[]",
    ])
  func otherJSON(text: String) {
    #expect(throws: TextError.self) { _ = try vocabulary(text, .json) }
  }

  @Test("A fairseq dictionary begins with four special tokens and has counts")
  func fairseqDictionaries() throws {
    let dictionary = try vocabulary("the 12\ncat 3\na b 2 #fairseq:overwrite\n", .fairseq)
    #expect(tokens(dictionary) == utf8(["<s>", "<pad>", "</s>", "<unk>", "the", "cat", "a b"]))
    #expect(dictionary.counts == [0, 0, 0, 0, 12, 3, 2])
    #expect(dictionary.endOfSentenceID == 2 && dictionary.unknownID == 3)
    for text in ["the\n", "the x\n", "the 1\nthe 2\n", " 1\n1\n"] {
      #expect(throws: TextError.self) { _ = try vocabulary(text, .fairseq) }
    }
  }

  @Test("Word vectors give their words, with or without a header")
  func wordVectors() throws {
    let word2vec = try vocabulary("2 3\nthe 0.1 -2 3e-1 \ncat 1 2 3 \n", .vectors)
    #expect(tokens(word2vec) == utf8(["the", "cat"]))
    let glove = try vocabulary("the 0.1 0.2\n. 1 2\na b 3 4\n", .vectors)
    #expect(tokens(glove) == utf8(["the", ".", "a b"]))
    for text in ["", "2 3\n", "the 1\nthe 2\n", "the 1 2 3\nx 1\n"] {
      #expect(throws: TextError.self) { _ = try vocabulary(text, .vectors) }
    }
  }
}
