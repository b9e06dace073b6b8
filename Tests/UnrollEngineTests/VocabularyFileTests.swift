// Vocabularies as programs keep them: one reader for every container.

import Foundation
import TestSupport
import Testing
import UnrollTokenization

@testable import UnrollInterchange

/// The files of `fixtures/vocabularies`, made by `scripts/make/vocabulary-fixtures`.
@Suite("Vocabulary files") struct VocabularyFileTests {
  private static let tokens = ["<unk>", "<eos>", "the", "кот", "New", "a", "mat", "."]

  private func read(_ name: String) throws -> (vocabulary: Vocabulary, notes: [String]) {
    var notes: [Note] = []
    let vocabulary = try Vocabulary(
      contentsOf: Fixtures.path("vocabularies/\(name)"), format: nil, notes: &notes)
    return (vocabulary, notes.map(\.message))
  }

  private func texts(_ vocabulary: Vocabulary) -> [String] {
    vocabulary.indices.map { vocabulary.text(of: $0) }
  }

  /// 64 to the power of 6 ways lead through 1 KB.
  @Test(
    "A pickle of lists that hold one list many times is refused at once", .timeLimit(.minutes(1)))
  func sharedLists() throws {
    var pickle: [UInt8] = [0x80, 2] + Array("]q".utf8) + [0]
    for level in 1...8 as ClosedRange<UInt8> {
      pickle += Array("]q".utf8) + [level] + Array("(".utf8)
      for _ in 0..<64 { pickle += Array("h".utf8) + [level - 1] }
      pickle += Array("e".utf8)
    }
    try withTemporaryFolder { folder in
      let path = "\(folder)/vocab.pkl"
      try Data(pickle + Array(".".utf8)).write(to: URL(filePath: path))
      let error = #expect(throws: TextError.self) {
        try Vocabulary(contentsOf: path, format: .pickle)
      }
      #expect(error?.found == "a list of 64 items")
    }
  }

  @Test(
    "A vocabulary is read from every container with the same tokens and ids",
    arguments: [
      "object.pkl", "nested-object.pkl", "bytes.pkl", "bytes.pt", "array.pkl", "object-array.pkl",
      "scalars.pkl",
      "inverse.pkl", "tuple.p", "protocol0.pkl", "object.pt", "ids.data", "legacy.data",
      "array.npy",
      "object-array.npy", "inverse.json", "both.json", "json-without-ending", "plain.txt",
      "bom.txt",
      "crlf.txt", "ids.txt", "ids.tsv", "shuffled.tsv", "counts.tsv", "falling-counts.tsv",
      "scores.vocab",
    ])
  func containers(name: String) throws {
    let vocabulary = try read(name).vocabulary
    #expect(texts(vocabulary) == Self.tokens)
    #expect(vocabulary.unknownID == 0 && vocabulary.endOfSentenceID == 1)
  }

  @Test(
    "Ids from 1 leave row 0 for padding, with a note",
    arguments: ["from-one.pkl", "from-one.json", "from-one.txt"])
  func idsFromOne(name: String) throws {
    let (vocabulary, notes) = try read(name)
    #expect(texts(vocabulary) == ["<pad>"] + Self.tokens)
    #expect(vocabulary.paddingID == 0 && vocabulary.endOfSentenceID == 2)
    #expect(notes.contains { $0.contains("row 0 is taken for padding") })
  }

  @Test("A table is read by its columns, with a note that names them")
  func tables() throws {
    #expect(try read("ids.txt").notes == ["read as a table: tokens and their ids from 0"])
    #expect(try read("ids.tsv").notes == ["read as a table: ids and their tokens from 0"])
    #expect(try read("counts.tsv").notes == ["read as a table: tokens and their counts"])
    #expect(try read("counts.tsv").vocabulary.counts?.first == 100)
    #expect(try read("falling-counts.tsv").notes == ["read as a table: tokens and their counts"])
    #expect(try read("scores.vocab").notes == ["read as a table: tokens and their scores"])
    #expect(try texts(read("some-numbers.txt").vocabulary) == ["a 1", "b", "c 3"])
  }

  @Test(
    "CSV of ids and tokens is read in either order, with a line of titles or none, quoted or not",
    arguments: [
      ("0,<unk>\n1,<eos>\n2,the\n", "ids and their tokens from 0"),
      ("id,word\n0,<unk>\n1,<eos>\n2,the\n", "ids and their tokens from 0"),
      ("\"<unk>\",0\n\"<eos>\",1\n\"the\",2\n", "tokens and their ids from 0"),
      ("id\tword\n1\t<eos>\n0\t<unk>\n2\tthe\n", "titles, ids and their tokens from 0"),
    ])
  func commas(text: String, form: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/list.csv"
      try Data(text.utf8).write(to: URL(filePath: path))
      var notes: [Note] = []
      let vocabulary = try Vocabulary(contentsOf: path, format: nil, notes: &notes)
      #expect(texts(vocabulary) == ["<unk>", "<eos>", "the"])
      #expect(notes.map(\.message) == ["read as a table: \(form)"])
    }
  }

  @Test("Quotation marks and commas inside of quoted tokens of CSV are theirs")
  func quotedTokens() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/list.csv"
      try Data("0,\"a,b\"\n1,\"\"\"\"\n2,\",\"\n".utf8).write(to: URL(filePath: path))
      #expect(try texts(Vocabulary(contentsOf: path)) == ["a,b", "\"", ","])
    }
  }

  @Test(
    "A list whose tokens have spaces at their ends, or quotation marks around them, is warned of")
  func oddTokens() throws {
    try withTemporaryFolder { folder in
      func notes(_ text: String) throws -> [String] {
        let path = "\(folder)/list.txt"
        try Data(text.utf8).write(to: URL(filePath: path))
        var notes: [Note] = []
        _ = try Vocabulary(contentsOf: path, format: nil, notes: &notes)
        return notes.map { String($0.message.prefix { $0 != "," }) }
      }
      let spaced = try notes("a \nb\nc d\n")
      #expect(spaced == ["WARNING: tokens with a space at an end (1)"])
      #expect(
        try notes("\"a\"\n\"b\"\nc\n") == ["WARNING: most tokens are in quotation marks"])
      #expect(try notes("a\n \n\"\n").isEmpty)
    }
  }

  @Test("Several lists that differ are refused by name, and so are values without a list")
  func otherValues() {
    let error = #expect(throws: TextError.self) { try read("two-lists.pkl") }
    #expect(error?.found == "several that differ: source of 8, target of 8")
    for name in ["counts-alone.pkl", "numbers.npy"] {
      #expect(throws: TextError.self) { try read(name) }
    }
  }
}
