// Files that a training writes, replaces or leaves alone.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Files of a training") struct FinetuneFileTests: FinetuneSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("Training replaces neither existing outputs nor, even with --force, its inputs")
  func existingFiles() throws {
    try withScene { folder in
      for name in ["tuned.unroll.h5", "tuned.last.unroll.h5"] {
        let path = "\(folder)/\(name)"
        try Data("precious".utf8).write(to: URL(filePath: path))
        let refused = try runner.run(Self.arguments + ["-o", "tuned.unroll.h5"], in: folder)
        #expect(refused.exitCode == 2)
        let cause =
          name.contains("last") ? "it is the state of a training to resume" : "file exists"
        #expect(refused.errors.contains("\(name): cannot write: \(cause)"))
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
        try FileManager.default.removeItem(atPath: path)
      }
      for input in ["model.unroll.h5", "train.txt", "valid.txt"] {
        let before = try bytes([input], in: folder)
        let refused = try runner.run(Self.arguments + ["-o", input, "--force"], in: folder)
        #expect(refused.exitCode == 2)
        #expect(refused.errors.contains("it is the input"))
        #expect(try bytes([input], in: folder) == before)
      }
    }
  }

  @Test("Impossible outputs are refused before any work, and no file is created")
  func impossibleOutputs() throws {
    try withScene { folder in
      try FileManager.default.createSymbolicLink(
        atPath: "\(folder)/link.h5", withDestinationPath: "nowhere.h5")
      let cases = [
        (
          ["-o", "none/x.h5"], "none/x.h5: cannot create a file in none: no such file or directory"
        ),
        (["-o", "link.h5", "--force"], "link.h5: cannot replace a symbolic link"),
        (["-o", "tuned.pt"], "this is the name of a pytorch file"),
        (
          ["-o", "x.h5", "--log", "x.last.h5"],
          "x.last.h5: cannot write: it is the output x.last.h5"
        ),
        (["-o", "x.h5", "--log", "./x.h5"], "./x.h5: cannot write: it is the output x.h5"),
        (["-o", "x.h5", "--log", "train.txt/a.jsonl"], "cannot create a file in train.txt"),
      ]
      let before = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      for (options, message) in cases {
        let refused = try runner.run(Self.arguments + options, in: folder)
        #expect(refused.exitCode == 2 && refused.output.isEmpty, "\(options)")
        #expect(refused.errors.contains(message), "\(refused.errors)")
        #expect(refused.errors.contains("  fix: "))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == before)
      }
    }
  }

  @Test("A training that fails early does not claim that it saved a state")
  func stateOfAnotherTraining() throws {
    try withScene { folder in
      #expect(try runner.run(Self.arguments + ["-o", "a.h5"], in: folder).exitCode == 0)
      try Data("the\n".utf8).write(to: URL(filePath: "\(folder)/valid.txt"))
      let failed = try runner.run(Self.arguments + ["-o", "a.h5", "--force"], in: folder)
      #expect(failed.exitCode == 2)
      #expect(failed.errors.contains("valid.txt: expected enough text"), "\(failed.errors)")
      #expect(!failed.errors.contains("saved") && !failed.errors.contains("resume:"))
    }
  }

  @Test("A full disk leaves the model and the state of before unchanged")
  func fullDisk() throws {
    try withScene { folder in
      #expect(
        try runner.run(Self.arguments + ["-o", "a.unroll.h5", "--pause-after", "5"], in: folder)
          .exitCode == 3)
      let names = ["a.unroll.h5", "a.last.unroll.h5"]
      let before = try bytes(names, in: folder)
      // A limit on the size of files refuses writes as a full disk does.
      let line = """
        ulimit -f 4; unroll finetune a.last.unroll.h5 --resume --train train.txt \
        --valid valid.txt -o a.unroll.h5
        """
      let failed = try runner.run(shell: line, in: folder, seconds: 15)
      #expect(failed.exitCode == 2)
      #expect(failed.errors.contains("a.last.unroll.h5"))
      #expect(failed.errors.contains("resume: unroll finetune a.last.unroll.h5 --resume"))
      #expect(try bytes(names, in: folder) == before)
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder).allSatisfy {
          !$0.hasSuffix(".partial")
        })
    }
  }
}
