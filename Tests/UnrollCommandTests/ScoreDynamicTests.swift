// `unroll score --dynamic` as its users see it.

import Foundation
import TestSupport
import Testing

@Suite("Scores of a model that learns (score --dynamic)") struct ScoreDynamicTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("--dynamic changes the scores of later lines, and --save-model writes the adapted model")
  func adaptation() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      try Data("w0 w3 w1\nw0 w3 w1\n".utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      func score(_ model: String, _ options: [String]) throws -> CommandResult {
        try runner.run(["score", model, "text.txt"] + options, in: folder)
      }
      func rows(_ result: CommandResult) -> [Substring] { result.output.split(separator: "\n") }
      let plain = try rows(score("out.h5", []))
      let result = try score("out.h5", ["--dynamic", "2", "--save-model", "adapted.h5"])
      #expect(result.exitCode == 0, "\(result.errors)")
      #expect(result.errors.contains("note: adapted at test time: a step of SGD after each line"))
      #expect(result.errors.contains("wrote adapted.h5"))
      let dynamic = rows(result)
      try #require(plain.count == 7 && dynamic.count == 7)
      #expect(dynamic[...3] == plain[...3] && dynamic[4...] != plain[4...])
      // The saved model goes on where the text ended.
      let next = try rows(score("adapted.h5", []))
      #expect(next[1] != dynamic[4] && next[1] != plain[1])
      let history = try runner.run(["inspect", "adapted.h5"], in: folder)
      #expect(history.output.contains("adapt"), "\(history.output)")
      #expect(try runner.run(["validate", "adapted.h5"], in: folder).exitCode == 0)
      let json = try score("out.h5", ["--dynamic", "2", "--json"])
      #expect(json.output.contains(#""adaptation":"adapted at test time: a step of SGD"#))
      let taken = try score("out.h5", ["--dynamic", "2", "--save-model", "adapted.h5"])
      #expect(taken.exitCode == 2 && taken.errors.contains("--force to replace it"))
      #expect(
        try score("out.h5", ["--dynamic", "2", "--save-model", "out.h5", "--force"]).exitCode == 2)
      for options in [
        ["--save-model", "x.h5"], ["--dynamic", "0"], ["--dynamic", "1", "--carry"],
        ["--dynamic", "1", "--with", "out.h5"], ["--dynamic", "1", "--precision", "int8"],
        ["--dynamic", "1", "--states", "s.h5"], ["--dynamic", "1", "--pairs"],
        ["--dynamic", "1", "--context", "3", "--pad", "none"],
        ["--dynamic", "1", "--unknown", "drop"],
      ] {
        #expect(try score("out.h5", options).exitCode == 64, "\(options)")
      }
    }
  }
}
