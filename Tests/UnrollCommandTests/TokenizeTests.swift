// `unroll tokenize` as its users see it.

import Foundation
import TestSupport
import Testing

@Suite struct TokenizeTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private func run(_ arguments: String) throws -> CommandResult {
    try withTemporaryFolder { folder in
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/tokenizers", withDestinationPath: Fixtures.path("tokenizers"))
      return try runner.run(shell: arguments, in: folder, seconds: 60)
    }
  }

  @Test func piecesAreShownAndCounted() throws {
    let result = try run(
      "printf 'the\\tcat\\nx' | unroll tokenize --tokenizer tokenizers/bert.json -")
    #expect(result.exitCode == 0)
    #expect(result.output.hasPrefix("line\ttoken\tid\tpiece\toov\n1\t1\t"))
    #expect(result.output.contains("\tthe\t0\n"))
    #expect(result.errors.contains("3 words"))
  }

  @Test func jsonIsAnObjectALine() throws {
    let result = try run(
      "printf 'the\\n\\n' | unroll tokenize --json --tokenizer tokenizers/gpt2.json -")
    let lines = result.output.split(separator: "\n")
    #expect(lines.count == 2 && lines.allSatisfy { $0.hasPrefix("{\"ids\":[") })
  }

  @Test func whatIsNoTokenizerIsRefused() throws {
    let result = try run(
      "unroll tokenize --tokenizer tokenizers/texts/english.txt tokenizers/texts/english.txt")
    #expect(result.exitCode == 2 && result.output.isEmpty)
    #expect(result.errors.contains("expected file: tokenizer.json, merges.txt or"))
    #expect(try run("unroll tokenize tokenizers/texts/english.txt").exitCode == 64)
  }
}
