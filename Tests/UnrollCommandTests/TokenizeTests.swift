// `unroll tokenize` as its users see it.

import Foundation
import TestSupport
import Testing

@Suite("Tokenization (tokenize)") struct TokenizeTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private func run(_ arguments: String) throws -> CommandResult {
    try withTemporaryFolder { folder in
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/tokenizers", withDestinationPath: Fixtures.path("tokenizers"))
      return try runner.run(shell: arguments, in: folder, seconds: 60)
    }
  }

  @Test("Each token gets a row with its piece, and the words are counted")
  func pieces() throws {
    let result = try run(
      "printf 'the\\tcat\\nx' | unroll tokenize --tokenizer tokenizers/bert.json -")
    #expect(result.exitCode == 0)
    #expect(result.output.hasPrefix("line\ttoken\tid\tpiece\toov\n1\t1\t"))
    #expect(result.output.contains("\tthe\t0\n"))
    #expect(result.errors.contains("3 words"))
  }

  @Test("--json prints one object for each line of the text, empty lines too")
  func jsonLines() throws {
    let result = try run(
      "printf 'the\\n\\n' | unroll tokenize --json --tokenizer tokenizers/gpt2.json -")
    let lines = result.output.split(separator: "\n")
    #expect(lines.count == 2 && lines.allSatisfy { $0.hasPrefix("{\"ids\":[") })
  }

  @Test("A file that is no tokenizer is refused with the formats that are expected")
  func otherFile() throws {
    let result = try run(
      "unroll tokenize --tokenizer tokenizers/texts/english.txt tokenizers/texts/english.txt")
    #expect(result.exitCode == 2 && result.output.isEmpty)
    #expect(result.errors.contains("expected file: tokenizer.json, merges.txt, a"))
    #expect(try run("unroll tokenize tokenizers/texts/english.txt").exitCode == 64)
  }

  // MARK: - Export

  /// A line of shell that trains the smallest model, `m.h5`, on `t.txt`.
  private func training(on line: String, _ options: String = "") -> String {
    """
    yes "$(printf '\(line)')" | head -n 60 > t.txt
    unroll train --train t.txt --valid t.txt --batch-size 1 --steps 1 --hidden-size 3 --num-layers 1 --embedding-size 2 \
      -o m.h5 \(options) > train.log 2>&1 || cat train.log >&2
    """
  }

  @Test(
    "--export writes the tokenizer file byte for byte, and it gives the same tokens",
    arguments: ["bert.json", "sp-unigram.model", "gpt2-merges.txt"])
  func exportedTokenizer(name: String) throws {
    let list = name == "gpt2-merges.txt" ? "--vocabulary tokenizers/gpt2-vocab.json" : ""
    let result = try run(
      """
      \(training(on: "the cat", "--tokenizer tokenizers/\(name) \(list)"))
      unroll tokenize m.h5 --export out --write-vocabulary list.txt
      cmp out tokenizers/\(name) && echo same
      unroll tokenize m.h5 t.txt > first.txt
      unroll tokenize --tokenizer out --vocabulary list.txt t.txt > second.txt
      cmp first.txt second.txt && echo same
      """)
    #expect(result.output == "same\nsame\n", "\(result.errors)")
  }

  @Test("--export of a word model writes a list, and --force never replaces the model")
  func exportedList() throws {
    let words = try run(
      """
      \(training(on: "the cat sat"))
      unroll tokenize m.h5 --export list.txt 2> note && cat list.txt note
      unroll tokenize m.h5 --export list.txt; echo $?
      unroll tokenize m.h5 --export list.txt --force 2> note; echo $?
      unroll tokenize m.h5 --export m.h5 --force; echo $?
      """)
    #expect(
      words.output == "<unk>\nthe\ncat\nsat\n<eos>\nwrote list.txt\n2\n0\n2\n",
      "\(words.errors)")
    #expect(words.errors.contains("list.txt: cannot write: file exists"))
    #expect(words.errors.contains("m.h5: cannot write: it is the input m.h5"))
  }

  @Test(
    "A vocabulary with tokens that a list of lines cannot hold is not exported",
    arguments: [
      ("character", "a token without the end of a line in it"), ("byte", "a token of UTF-8"),
    ])
  func tokensWithoutLines(kind: String, lack: String) throws {
    let refused = try run(
      """
      \(training(on: "\\303\\251 cat", "--tokenizer \(kind)"))
      unroll tokenize m.h5 --export list.txt; echo $?; ls list.txt 2> /dev/null
      """)
    #expect(refused.output == "2\n")
    #expect(refused.errors.contains("expected \(lack), found "), "\(refused.errors)")
  }

  @Test("--export with a text, --json or a tokenizer is wrong usage")
  func exportUsage() throws {
    for arguments in [
      "m.h5 t.txt --export a", "m.h5 --export a --write-vocabulary a", "m.h5 --export a --json",
      "m.h5 t.txt --force", "--tokenizer a --export b c",
    ] {
      #expect(try run("unroll tokenize \(arguments)").exitCode == 64, "\(arguments)")
    }
  }
}
