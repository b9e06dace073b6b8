// `unroll evaluate` and `score` with parts of a text.

import Foundation
import TestSupport
import Testing

@Suite("Evaluations in parts") struct EvaluatePartsTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private func run(_ arguments: [String]) throws -> CommandResult { try runner.run(arguments) }

  /// Converts a model of words.
  private func model(in folder: String) throws -> String {
    let model = "\(folder)/lstm.h5"
    let result = try run([
      "convert", Fixtures.path("scoring/lstm.pt"), "--vocabulary",
      Fixtures.path("scoring/tokens.tsv"), "-o", model,
    ])
    #expect(result.exitCode == 0, "\(result.errors)")
    return model
  }

  @Test("Parts that are added up print what the whole text prints")
  func mergedParts() throws {
    try withTemporaryFolder { folder in
      let model = try model(in: folder)
      let text = Fixtures.path("scoring/text.txt")
      let protocolOptions = ["--protocol", "sentence"]
      let whole = try run(["evaluate", model, text, "--json"] + protocolOptions)
      var files: [String] = []
      for index in 1...3 {
        let part = try run(
          ["evaluate", model, text, "--json", "--part", "\(index)/3"] + protocolOptions)
        #expect(part.exitCode == 0, "\(part.errors)")
        files.append("\(folder)/part-\(index).json")
        try Data(part.output.utf8).write(to: URL(filePath: files[index - 1]))
      }
      let merged = try run(["evaluate", "--merge", "--json"] + files.reversed())
      func figures(_ json: String) -> [String] {
        json.split(separator: "\n").map(String.init).filter { line in
          ["nll", "perplexity", "predictions", "words", "bytes", "bits_per_word", "first_token"]
            .contains { line.contains("\"\($0)\" :") }
        }
      }
      #expect(figures(merged.output) == figures(whole.output) && figures(whole.output).count == 7)
      let missing = try run(["evaluate", "--merge"] + files.dropLast())
      #expect(missing.exitCode == 2 && missing.errors.contains("no part 3/3"))
      // The parts of another text of the same size, and a part that was changed.
      let lines = try String(contentsOfFile: text, encoding: .utf8).split(separator: "\n")
      let turned = "\(folder)/turned.txt"
      try Data((lines.reversed().joined(separator: "\n") + "\n").utf8).write(
        to: URL(filePath: turned))
      let foreign = try run(
        ["evaluate", model, turned, "--json", "--part", "2/3"] + protocolOptions)
      let unrelated = "\(folder)/other.json"
      try Data(foreign.output.utf8).write(to: URL(filePath: unrelated))
      let mixed = try run(["evaluate", "--merge", files[0], unrelated, files[2]])
      #expect(mixed.exitCode == 2 && mixed.errors.contains("another text"), "\(mixed.errors)")
      // The same weights with other tokens: two words have changed places.
      let words = try String(
        contentsOfFile: Fixtures.path("scoring/tokens.tsv"), encoding: .utf8)
      let rows = words.split(separator: "\n").map {
        $0.split(separator: "\t").map(String.init)
      }
      var renamedRows = rows
      renamedRows[0][0] = rows[1][0]
      renamedRows[1][0] = rows[0][0]
      let list = "\(folder)/tokens.tsv"
      let renamedList = renamedRows.map { $0.joined(separator: "\t") + "\n" }.joined()
      try Data(renamedList.utf8).write(to: URL(filePath: list))
      let renamed = "\(folder)/renamed.h5"
      let converted = try run([
        "convert", Fixtures.path("scoring/lstm.pt"), "--vocabulary", list, "-o", renamed,
      ])
      #expect(converted.exitCode == 0, "\(converted.errors)")
      let ofOthers = try run(
        ["evaluate", renamed, text, "--json", "--part", "2/3"] + protocolOptions)
      #expect(ofOthers.exitCode == 0, "\(ofOthers.errors)")
      try Data(ofOthers.output.utf8).write(to: URL(filePath: unrelated))
      let tokens = try run(["evaluate", "--merge", files[0], unrelated, files[2]])
      #expect(tokens.exitCode == 2 && tokens.errors.contains("model_file"), "\(tokens.errors)")
      let changed = try String(contentsOfFile: files[1], encoding: .utf8)
        .replacing(#/"nll_units" : "\d+"/#, with: "\"nll_units\" : \"\(Int128.max)\"")
      try Data(changed.utf8).write(to: URL(filePath: unrelated))
      let damaged = try run(["evaluate", "--merge", files[0], unrelated, files[2]])
      #expect(damaged.exitCode == 2 && damaged.errors.contains("changed or damaged"))
      let other = try run(["evaluate", "--merge", files[0], text])
      #expect(other.exitCode == 2 && other.errors.contains("expected the part of an evaluation"))
    }
  }

  @Test("The tables of parts make the table of the text")
  func scoredParts() throws {
    try withTemporaryFolder { folder in
      let model = try model(in: folder)
      let text = "\(folder)/text.txt"
      try Data("the cat sat\n\non the mat\r\nand ran\nthe end".utf8).write(to: URL(filePath: text))
      let whole = try run(["score", model, text])
      var joined = ""
      for index in 1...3 {
        joined += try run(["score", model, text, "--part", "\(index)/3"]).output
      }
      #expect(joined == whole.output && whole.exitCode == 0)
    }
  }

  @Test("Options that need the whole text do not go with a part")
  func refusedOptions() throws {
    for options in [
      ["evaluate", "m", "t", "--part", "1/2"], ["evaluate", "m", "t", "--part", "1/2", "--json"],
      ["evaluate", "m", "-", "--part", "1/2", "--json", "--protocol", "sentence"],
      ["evaluate", "m", "t", "--part", "3/2"], ["score", "m", "t", "--part", "1/2", "--carry"],
      ["evaluate", "m", "t", "--part", "1/2", "--json", "--protocol", "sentence", "--details"],
    ] {
      let result = try run(options)
      #expect(result.exitCode == 64, "\(options): \(result.errors)")
    }
  }
}
