// `unroll convert` with a tokenizer and with vocabularies of other forms, as its users see it.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTokenization

@Suite("Tokenizers and vocabularies of conversions") struct ConvertTokenizerTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  /// Eleven tokens, as many as the small models have rows.
  private static let definition = #"""
    {"added_tokens": [{"id": 0, "content": "<eos>", "special": true}],
     "model": {"type": "BPE", "merges": [["a", "b"], ["ab", "c"]],
      "vocab": {"<eos>": 0, "a": 1, "b": 2, "c": 3, " ": 4, "ab": 5, "abc": 6, "d": 7, "e": 8,
       "f": 9, "\n": 10}}}
    """#

  private func withFile(
    _ name: String, _ text: String, _ body: (String) throws -> Void
  ) throws {
    try withTemporaryFolder { folder in
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
      try body(folder)
    }
  }

  private func convert(_ options: [String], in folder: String) throws -> CommandResult {
    try runner.run(
      ["convert", Fixtures.path("pytorch/lstm-state.pt"), "-o", "a.h5", "--force"] + options,
      in: folder)
  }

  /// The model that a conversion gives; it is valid.
  private func converted(_ options: [String], in folder: String) throws -> Checkpoint {
    let result = try convert(options, in: folder)
    #expect(result.exitCode == 0, "\(result.errors)")
    let valid = try runner.run(["validate", "--strict", "--replay", "a.h5"], in: folder)
    #expect(valid.exitCode == 0, "\(valid.output)")
    return try Checkpoint(contentsOf: "\(folder)/a.h5")
  }

  private func pieces(_ text: String, in folder: String) throws -> String {
    try runner.run(
      shell:
        "printf '\(text)' | unroll tokenize a.h5 - 2> /dev/null | cut -f 4 | paste -s -d '|' -",
      in: folder, seconds: 15
    ).output
  }

  @Test("--eos, --bos and --unk name the special tokens of a list, and are recorded")
  func specialTokensCanBeNamed() throws {
    try withTemporaryFolder { folder in
      try Data("a\nb\nc\nd\ne\nf\ng\nh\nG\nE\n?\n".utf8)
        .write(to: URL(filePath: "\(folder)/list.txt"))
      let arguments = [
        "convert", Fixtures.path("pytorch/lstm-state.pt"), "--vocabulary", "list.txt",
        "--tokenizer", "greedy", "-o", "a.h5",
      ]
      let named = ["--eos", "E", "--bos", "G", "--unk", "?"]
      let result = try runner.run(arguments + named, in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      let model = try Checkpoint(contentsOf: "\(folder)/a.h5")
      #expect(model.vocabulary.endOfSentenceID == 9 && model.vocabulary.beginningOfSentenceID == 8)
      #expect(model.vocabulary.unknownID == 10 && model.tokenizer.sentenceStart == .bos)
      #expect(model.provenance.last?.arguments.contains("eos=E\nbos=G\nunk=?") == true)
      let scored = try runner.run(
        shell: "printf 'abz\\n' | unroll score a.h5 - --level token", in: folder, seconds: 15)
      let tokens = scored.output.split(separator: "\n").dropFirst().map {
        $0.prefix(while: { $0 != "\t" })
      }
      #expect(tokens == ["a", "b", "?", "E"], "\(scored.output)")
      let late = try runner.run(["convert", "a.h5", "-o", "b.npz", "--eos", "a"], in: folder)
      #expect(late.exitCode == 2 && late.errors.contains("only the checkpoint and an output"))
      let endless = try runner.run(arguments.dropLast() + ["c.h5"], in: folder)
      #expect(endless.exitCode == 0, "\(endless.errors)")
      try Data().write(to: URL(filePath: "\(folder)/empty.pt"))
      let empty = try runner.run(["convert", "empty.pt", "-o", "d.h5"], in: folder)
      #expect(empty.exitCode == 2 && empty.errors.contains("found an empty file"))
      let words = try runner.run(
        arguments.map { $0 == "greedy" ? "whitespace" : $0 }.dropLast() + ["e.h5"], in: folder)
      #expect(
        words.errors.contains("no token starts a line, none ends it; --line-start"),
        "\(words.errors)")
      let read = try runner.run(
        shell: "printf 'a b\\n' | unroll score e.h5 - --level token", in: folder, seconds: 15)
      #expect(read.exitCode == 0 && read.output.split(separator: "\n").count == 3, "\(read.errors)")
      let wrong = try runner.run(arguments + ["--force", "--eos", "<end>"], in: folder)
      #expect(wrong.exitCode == 2 && wrong.errors.contains("a token of the vocabulary"))
    }
  }

  @Test("A tokenizer.json gives the tokenizer and the vocabulary of a conversion")
  func tokenizerFile() throws {
    try withFile("small.json", Self.definition) { folder in
      let model = try converted(["--tokenizer", "small.json"], in: folder)
      #expect(model.tokenizer.definition?.bytes == Array(Self.definition.utf8))
      #expect(model.tokenizer.kind == .bpe && !model.tokenizer.appendsEndOfSentence)
      #expect(model.vocabulary.endOfSentenceID == 0 && model.vocabulary.unit == .subword)
      #expect(try pieces("abc ab\\n", in: folder) == "piece|abc| |ab|\\u{a}\n")
      #expect(
        model.provenance.last?.arguments.contains("tokenizer=definition") == true
          && model.provenance.last?.inputs.contains(" small.json") == true)
    }
  }

  @Test("--append-eos ends each line with <eos>, and is refused if there is no such token")
  func appendedEndOfSentence() throws {
    try withFile("small.json", Self.definition) { folder in
      let model = try converted(["--tokenizer", "small.json", "--append-eos"], in: folder)
      #expect(model.tokenizer.appendsEndOfSentence && model.tokenizer.sentenceStart == .eos)
      #expect(try pieces("abc ab\\n\\n", in: folder) == "piece|abc| |ab|<eos>|<eos>\n")
      let none = Self.definition.replacing("<eos>", with: "<bar>")
      try Data(none.utf8).write(to: URL(filePath: "\(folder)/none.json"))
      let refused = try convert(["--tokenizer", "none.json", "--append-eos"], in: folder)
      #expect(refused.exitCode == 2, "\(refused.errors)")
      #expect(refused.errors.contains("expected an end-of-sentence token"), "\(refused.errors)")
    }
  }

  @Test("A tokenizer whose tokens do not fit the model's rows is refused")
  func otherTokens() throws {
    try withFile("small.json", Self.definition) { folder in
      let more = Self.definition.replacing("\"f\": 9", with: "\"f\": 9, \"g\": 11")
      try Data(more.utf8).write(to: URL(filePath: "\(folder)/more.json"))
      let refused = try convert(["--tokenizer", "more.json"], in: folder)
      #expect(refused.exitCode == 2 && refused.errors.contains("fix: "), "\(refused.errors)")
      let broken = try convert(["--tokenizer", Fixtures.path("README.md")], in: folder)
      #expect(broken.exitCode == 2 && broken.errors.contains("README.md: expected "))
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/a.h5"))
    }
  }

  @Test("--space makes a token stand for the space in a character vocabulary")
  func tokenForSpace() throws {
    try withFile("list.txt", "_\na\nb\nc\nd\ne\nf\ng\nh\ni\n<eos>\n") { folder in
      let list = ["--vocabulary", "list.txt", "--tokenizer", "character"]
      let model = try converted(list + ["--space", "_"], in: folder)
      #expect(model.tokenizer.space == "_" && model.vocabulary.unit == .character)
      #expect(try pieces("a b\\n", in: folder) == "piece|a|_|b|<eos>\n")
      _ = try converted(list, in: folder)
      #expect(try pieces("a_b\\n", in: folder) == "piece|a|_|b|<eos>\n")
      let refused = try convert(list + ["--space", "+"], in: folder)
      #expect(refused.exitCode == 2 && refused.errors.contains("fix: "), "\(refused.errors)")
    }
  }

  @Test(
    "--vocabulary-format decides the format of a vocabulary, whatever its file name",
    arguments: [
      ("json", #"["t0","t1","t2","t3","t4","t5","t6","t7","t8","<unk>","<eos>"]"#, "t0"),
      ("fairseq", "the 9\ncat 5\nsat 4\non 3\na 2\nmat 1\nx 1\n", "<s>"),
      ("vectors", "11 2\n" + (0..<11).map { "v\($0) 0.5 -1\n" }.joined(), "v0"),
      ("list", (0..<10).map { "l\($0) 0\n" }.joined() + "<eos>\n", "l0 0"),
    ])
  func vocabularyFormats(form: String, text: String, first: String) throws {
    // The name tells another form.
    try withFile(form == "json" ? "tokens.txt" : "tokens.json", text) { folder in
      let file = try FileManager.default.contentsOfDirectory(atPath: folder)[0]
      let options = ["--vocabulary", file]
      let model = try convert(options + ["--vocabulary-format", form], in: folder)
      // word_language_model's files end lines with <eos>, which vectors lack.
      #expect(model.exitCode == 0, "\(model.errors)")
      let vocabulary = try Checkpoint(contentsOf: "\(folder)/a.h5").vocabulary
      #expect(vocabulary.count == 11 && vocabulary.text(of: 0) == first)
      // JSON is told by its content, whatever the name.
      #expect(try convert(options + ["--force"], in: folder).exitCode == (form == "json" ? 0 : 2))
    }
  }

  @Test(
    "A Keras Tokenizer gives vocabulary and tokenizer, by --vocabulary and by --tokenizer",
    arguments: ["--vocabulary", "--tokenizer"])
  func kerasTokenizers(option: String) throws {
    let json =
      #"{"class_name": "Tokenizer", "config": {"num_words": 9, "filters": "!.", "lower": true, "split": " ", "#
      + #""char_level": false, "oov_token": "<OOV>", "word_index": "{\"<OOV>\": 1, \"the\": 2, \"cat\": 3, "#
      + #"\"sat\": 4, \"a\": 5, \"b\": 6, \"c\": 7, \"d\": 8, \"e\": 9}"}}"#
    try withFile("tokenizer.json", json) { folder in
      let result = try convert([option, "tokenizer.json"], in: folder)
      #expect(
        result.errors.contains(
          "read as a Tokenizer of Keras: words, in lower case, separated by 2 filters, num_words 9; "
            + "unknown ones become <OOV>"), "\(result.errors)")
      let model = try converted([option, "tokenizer.json"], in: folder)
      #expect(model.tokenizer.kind == .wordlevel && model.tokenizer.definition?.format == "keras")
      // The model has two rows more than there are words.
      #expect(model.vocabulary.count == 11 && model.vocabulary.unknownID == 1)
      #expect(model.vocabulary.paddingID == 0 && model.vocabulary.kinds?.last == .unused)
      #expect(try pieces("The CAT!sat. e\\n", in: folder) == "piece|the|cat|sat|<OOV>\n")
      let shown = try runner.run(["inspect", "a.h5"], in: folder)
      #expect(shown.output.contains("wordlevel"), "\(shown.output)")
    }
  }

  @Test("Unknown words are refused for a Keras Tokenizer without oov_token")
  func wordsThatKerasLeavesOut() throws {
    try withTemporaryFolder { folder in
      let options = ["--vocabulary", Fixtures.path("words/keras-few.pkl")]
      let result = try convert(options, in: folder)
      #expect(
        result.errors.contains("texts with unknown ones are refused, since Keras leaves these out"),
        "\(result.errors)")
      let refused = try runner.run(
        shell: "printf 'the elephant\\n' | unroll score a.h5 -", in: folder, seconds: 15)
      #expect(refused.exitCode == 2 && refused.errors.contains("elephant"), "\(refused.errors)")
      #expect(refused.errors.contains("fix: leave such words out"), "\(refused.errors)")
      let known = try runner.run(
        shell: "printf 'The sat!\\n' | unroll score a.h5 - --level token", in: folder, seconds: 15)
      #expect(known.exitCode == 0, "\(known.errors)")
    }
  }

  @Test(
    "Lists of single characters with white space among them are characters in every container",
    arguments: [
      ("list.json", #"[" ", "a", "b", "c", "d", "e", "f", "g", "h", "\n", "."]"#),
      (
        "ids.json",
        #"{" ": 0, "a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8, "\n": 9, ".": 10}"#
      ),
      (
        "inverse.json",
        #"{"0": " ", "1": "a", "2": "b", "3": "c", "4": "d", "5": "e", "6": "f", "7": "g", "8": "h", "#
          + #""9": "\n", "10": "."}"#
      ),
      ("list.txt", " \na\nb\nc\nd\ne\nf\ng\nh\ni\n.\n"),
    ])
  func listsOfCharacters(name: String, text: String) throws {
    try withFile(name, text) { folder in
      let result = try convert(["--vocabulary", name], in: folder)
      #expect(
        result.errors.contains(
          "lists single characters, white space among them: tokenizer character"),
        "\(result.errors)")
      let model = try converted(["--vocabulary", name], in: folder)
      #expect(model.tokenizer.kind == .character && model.vocabulary.unit == .character)
    }
  }

  @Test(
    "Tokenizer options that contradict each other are wrong usage (exit code 64)",
    arguments: [
      ["--space", "_"], ["--tokenizer", "bpe"], ["--append-eos"],
      ["--tokenizer", "character", "--append-eos"], ["--tokenizer", "byte", "--space", "_"],
      ["--vocabulary", "list.txt", "--vocabulary-format", "csv"],
    ])
  func wrongUsage(options: [String]) throws {
    try withTemporaryFolder { folder in
      let refused = try convert(options, in: folder)
      #expect(refused.exitCode == 64 && refused.errors.contains("Error: "), "\(refused.errors)")
    }
  }
}
