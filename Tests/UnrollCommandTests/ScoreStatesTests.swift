// `unroll score --states` as its users see it.

import Foundation
import TestSupport
import Testing

@Suite("States beside scores (score --states)") struct ScoreStatesTests: VerbSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("--states leaves the table as it is, and replaces a file only with --force")
  func table() throws {
    try withTokens { folder in
      _ = try convert("pytorch/lstm-state.pt", in: folder)
      try Data("w0 w3 w1\nw2 w2\n".utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      func score(_ options: [String]) throws -> CommandResult {
        try runner.run(["score", "out.h5", "text.txt"] + options, in: folder)
      }
      let plain = try score([])
      let first = try score(["--states", "s.npz"])
      #expect(first.exitCode == 0 && first.output == plain.output, "\(first.errors)")
      let bytes = try Data(contentsOf: URL(filePath: "\(folder)/s.npz"))
      let second = try score(["--states", "s.npz"])
      #expect(second.exitCode == 2 && second.errors.contains("--force to replace it"))
      #expect(second.output.isEmpty)
      #expect(try score(["--states", "s.npz", "--force"]).exitCode == 0)
      #expect(try Data(contentsOf: URL(filePath: "\(folder)/s.npz")) == bytes)
      #expect(try score(["--states", "s.h5", "--layers", "0"]).exitCode == 0)
      #expect(try files(folder) == ["out.h5", "s.h5", "s.npz", "text.txt", "tokens.txt"])
      let same = try score(["--states", "out.h5", "--force"])
      #expect(same.exitCode == 2 && same.errors.contains("it is the input out.h5"))
      let layer = try score(["--states", "t.h5", "--layers", "7"])
      #expect(layer.exitCode == 2 && layer.errors.contains("found layer 7"))
      for options in [
        ["--layers", "0"], ["--states", "t.h5", "--layers", "0,x"],
        ["--states", "t.h5", "--context", "3", "--pad", "none"], ["--states", "t.h5", "--pairs"],
      ] {
        #expect(try score(options).exitCode == 64, "\(options)")
      }
      #expect(try files(folder).count == 5)
    }
  }
}
