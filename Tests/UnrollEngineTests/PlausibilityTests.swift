// Conversions that put every tensor in place and still misread the model: its own text tells.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTokenization

@testable import UnrollEngine

@Suite("Plausibility of conversions") struct PlausibilityTests {
  private let characters = Fixtures.path("characters")

  private func options(_ order: VocabularyOrder? = nil, corpus: String? = nil) -> ConversionOptions
  {
    ConversionOptions(vocabulary: .corpus(corpus ?? characters, order: order))
  }

  private func warnings(_ model: String, _ options: ConversionOptions) throws -> [String] {
    try convert(model, options: options).notes.map(\.message).filter { $0.hasPrefix("WARNING") }
  }

  @Test("A model that knows its text is converted without a warning")
  func rightReadingsAreSilent() throws {
    #expect(try warnings("\(characters)/model.pt", options()).isEmpty)
    #expect(try warnings("\(characters)/model.pt", options(.firstSeen)).isEmpty)
  }

  @Test(
    "A corpus of characters between spaces is read as such, and ids in the wrong order are found in it"
  )
  func spacedCorpora() throws {
    var right = options()
    right.tokenizer = TokenizerSource("character", space: "_")
    #expect(try warnings("\(characters)/model.pt", right).isEmpty)
    var wrong = options(.sorted)
    wrong.tokenizer = right.tokenizer
    #expect(try warnings("\(characters)/model.pt", wrong).count == 1)
    // A text of one's own is plain, as the model reads it.
    right.checkText = "\(characters)/valid.txt"
    #expect(try warnings("\(characters)/model.pt", right).count == 1)
  }

  @Test("Ids in the wrong order are found, and the right order is named")
  func wrongOrdersAreFound() throws {
    let found = try warnings("\(characters)/model.pt", options(.sorted))
    #expect(found.count == 1)
    #expect(found.first?.contains("give --vocabulary-order first-seen") == true, "\(found)")
  }

  @Test("Gate blocks in another order than assumed are found, and the order is named")
  func wrongGatesAreFound() throws {
    try withTemporaryFolder { folder in
      var checkpoint = try convert("\(characters)/model.pt", options: options()).checkpoint
      let order = try #require(GateOrder("ifog"))
      for path in checkpoint.parameters.paths where path.description.contains("/layers/") {
        checkpoint.parameters[path] = checkpoint.parameters[path]?.reordered(blocks: order.blocks)
      }
      try PyTorchFormat.export(checkpoint, to: "\(folder)/model.pt")
      let map = #"{"rnn.weight_ih_l0": "rnn.weight_ih_l0"}"#
      try Data(map.utf8).write(to: URL(filePath: "\(folder)/map.json"))
      var options = options()
      options.names = "\(folder)/map.json"
      let found = try warnings("\(folder)/model.pt", options)
      #expect(found.first?.contains("in the order ifog") == true, "\(found)")
      // The advice works.
      let stated = #"{"rnn.weight_ih_l0": "rnn.weight_ih_l0", "gates": "ifog"}"#
      try Data(stated.utf8).write(to: URL(filePath: "\(folder)/map.json"))
      #expect(try warnings("\(folder)/model.pt", options).isEmpty)
    }
  }

  @Test("A text of another kind than the model's gets a warning")
  func otherTextsAreSaid() throws {
    var options = options()
    options.checkText = Fixtures.path("README.md")
    let found = try warnings("\(characters)/model.pt", options)
    #expect(found.count == 1, "\(found)")
    options.checkText = "\(characters)/none.txt"
    #expect(throws: (any Error).self) { try warnings("\(characters)/model.pt", options) }
  }

  // MARK: - The order of ids

  @Test(
    "A list beside the corpus that contradicts the first-seen order is an error that names both")
  func listsBesideTheCorpusContradict() throws {
    try withTemporaryFolder { folder in
      for part in Vocabulary.corpusParts {
        try FileManager.default.copyItem(
          atPath: "\(characters)/\(part)", toPath: "\(folder)/\(part)")
      }
      let vocabulary = try Vocabulary(corpus: folder)
      let tokens = vocabulary.indices.map { vocabulary.text(of: $0) }
      func list(_ tokens: [String]) throws {
        try Data(tokens.map { $0 + "\n" }.joined().utf8)
          .write(to: URL(filePath: "\(folder)/vocab.txt"))
      }
      try list(tokens.sorted())
      let error = #expect(throws: InterchangeError.self) {
        try convert("\(characters)/model.pt", options: options(corpus: folder))
      }
      #expect(error?.fix.contains("--vocabulary \(folder)/vocab.txt") == true)
      #expect(error?.fix.contains("--vocabulary-order first-seen") == true)
      _ = try convert("\(characters)/model.pt", options: options(.firstSeen, corpus: folder))
      try list(tokens)
      _ = try convert("\(characters)/model.pt", options: options(corpus: folder))
      // A list of another size is no list of this model.
      try list(tokens + ["more"])
      _ = try convert("\(characters)/model.pt", options: options(corpus: folder))
    }
  }

  @Test("Sorted and frequency orders of a vocabulary are those of Python")
  func ordersAreThoseOfPython() throws {
    try withTemporaryFolder { folder in
      for part in Vocabulary.corpusParts {
        try Data("b a b\nc\n".utf8).write(to: URL(filePath: "\(folder)/\(part)"))
      }
      func tokens(_ order: VocabularyOrder) throws -> [String] {
        let known = try options(order, corpus: folder).tokens { _ in }
        let vocabulary = try #require(known.vocabulary)
        return vocabulary.indices.map { vocabulary.text(of: $0) }
      }
      #expect(try tokens(.firstSeen) == ["b", "a", "<eos>", "c"])
      #expect(try tokens(.sorted) == ["<eos>", "a", "b", "c"])
      #expect(try tokens(.frequency) == ["<eos>", "b", "a", "c"])
    }
  }

  // MARK: - Line conventions

  @Test(
    "Line conventions follow the special tokens of a list, with a note where they are a choice",
    arguments: [
      (["<bos>", "<eos>"], "<bos>", "<eos>"), (["<s>", "</s>"], "<s>", "</s>"),
      (["</s>"], "</s>", "</s>"), ([String](), nil, nil),
    ])
  func lineConventions(special: [String], start: String?, end: String?) throws {
    try withTemporaryFolder { folder in
      let words = special + (0..<(11 - special.count)).map { "w\($0)" }
      let path = "\(folder)/words.txt"
      try Data(words.map { $0 + "\n" }.joined().utf8).write(to: URL(filePath: path))
      var options = ConversionOptions(vocabulary: .list(path))
      let assumed = try convert(Fixtures.path("roles/plain.pt"), options: options)
      #expect(assumed.checkpoint.lineStart == start && assumed.checkpoint.lineEnd == end)
      #expect(
        assumed.notes.contains {
          $0.message.hasPrefix(
            "assumed: " + (start.map { "\($0) starts each line, " } ?? "no token starts a line, ")
              + (end.map { "\($0) ends it;" } ?? "none ends it;"))
        })
      // Every verb can use it.
      let model = try LanguageModel(assumed.checkpoint, path: "plain")
      #expect(try model.score(sentence: "w0 w1 w2").logProbability != nil)
      options.special.beginning = LineToken.none
      options.special.end = .token("w3")
      let stated = try convert(Fixtures.path("roles/plain.pt"), options: options)
      #expect(stated.checkpoint.lineStart == nil && stated.checkpoint.lineEnd == "w3")
      #expect(!stated.notes.contains { $0.message.contains("starts a line") })
    }
  }

  /// Returns the tokens around lines that a text has already, in words.
  private func found(_ encoder: Encoder, _ path: String) -> [String] {
    encoder.repeatedLineTokens(inText: path).map {
      "\($0.isStart ? "start" : "end") \($0.token) \($0.lines.having) of \($0.lines.seen)"
    }
  }

  @Test("Lines that start or end with the token of the model already are recognized")
  func repeatedLineEnds() throws {
    try withTemporaryFolder { folder in
      let checkpoint = Checkpoint.small()
      let end = try #require(checkpoint.vocabulary.endOfSentenceID)
      let encoder = try LanguageModel.encoder(of: checkpoint, path: "small")
      let token = checkpoint.vocabulary.text(of: end)
      func write(_ text: String) throws -> String {
        try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
        return "\(folder)/text.txt"
      }
      #expect(
        try found(encoder, write("the cat \(token)\na mat \(token)\n")) == ["end \(token) 2 of 2"])
      #expect(
        try found(encoder, write("the cat\na mat \(token)\nthe cat\n")) == ["end \(token) 1 of 3"])
      #expect(try found(encoder, write("the cat\nthe \(token) mat\n")).isEmpty)
      var open = checkpoint
      var special = SpecialTokens()
      special.end = LineToken.none
      try special.apply(to: &open, path: "small")
      let other = try LanguageModel.encoder(of: open, path: "small")
      #expect(try found(other, write("the cat \(token)\n")).isEmpty)
      var begun = checkpoint
      begun.tokenizer.sentenceStart = .eos
      let third = try LanguageModel.encoder(of: begun, path: "small")
      #expect(
        try found(third, write("\(token) the cat\n\(token) a mat \(token)\n"))
          == ["start \(token) 2 of 2", "end \(token) 1 of 2"])
    }
  }

  // MARK: - Named kinds

  @Test(
    "Kinds of files that are not read are named, with a next step",
    arguments: [
      ("a.pt", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
      ("a.pt", "<!DOCTYPE html>\n<html></html>", "download the file itself"),
      ("a.pt.gz", "\u{1F}", "content of another kind"),
      (
        "model.json", #"{"weightsManifest": [], "format": "graph-model"}"#,
        "convert the Keras model that it was made of"
      ),
      ("net.json", #"{"type": "LSTM", "options": {}, "input": {}}"#, "brain.js"),
      ("w.json", #"{"encoder.weight": [[1, 2]]}"#, "numpy.savez"),
      ("model.ckpt-1.data-00000-of-00001", "abcd", "give its index"),
      ("x.t7", "abcd", "the name of a file of Torch7"),
      ("__0_0.distcp", "abcd", "dcp_to_torch"),
      ("saved_model.pb", "abcd", "copy the folder of the SavedModel again"),
    ])
  func kindsAreNamed(name: String, text: String, word: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/\(name)"
      try Data(text.utf8).write(to: URL(filePath: path))
      let error = #expect(throws: InterchangeError.self) {
        try convert(path, options: ConversionOptions())
      }
      #expect(error?.description.contains(word) == true, "\(String(describing: error))")
    }
  }

  @Test("A program of torch.export is named, with the line that saves its weights")
  func programsAreNamed() throws {
    let error = #expect(throws: InterchangeError.self) {
      try convert(Fixtures.path("roles/program.pt2"), options: ConversionOptions())
    }
    #expect(error?.found == "a program that torch.export saved (.pt2)")
    #expect(
      error?.fix
        == "save its weights: `torch.save(torch.export.load(\"program.pt2\").state_dict, \"new.pt\")`"
    )
  }

  @Test("A compressed file is named by its bytes")
  func compressedFilesAreNamed() throws {
    try withTemporaryFolder { folder in
      try Data([0x1F, 0x8B, 8, 0]).write(to: URL(filePath: "\(folder)/state.pt.gz"))
      let error = #expect(throws: InterchangeError.self) {
        try convert("\(folder)/state.pt.gz", options: ConversionOptions())
      }
      #expect(error?.fix == "unpack it first: `gunzip -k state.pt.gz`")
    }
  }
}
