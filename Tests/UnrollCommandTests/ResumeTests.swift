// A training that is resumed by its state alone, and what a start that fails leaves behind.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@testable import unroll

@Suite("Resumed training (--resume)") struct ResumeTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  private static let start = [
    "finetune", "model.unroll.h5", "--train", "texts/train.txt", "--valid", "valid.txt",
    "--batch-size", "4", "--bptt", "5", "--steps", "20",
  ]

  private func withScene(_ body: (String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      try Checkpoint.small().write(to: "\(folder)/model.unroll.h5")
      try FileManager.default.createDirectory(
        atPath: "\(folder)/texts", withIntermediateDirectories: false)
      let line = "the cat sat on a mat\non the mat the cat sat\n"
      for (name, count) in [("texts/train.txt", 40), ("valid.txt", 20)] {
        try Data(String(repeating: line, count: count).utf8).write(
          to: URL(filePath: "\(folder)/\(name)"))
      }
      try body(folder)
    }
  }

  @Test("A saved state alone is enough to find the texts and the output and to resume")
  func aStateAlone() throws {
    try withScene { folder in
      let whole = try runner.run(Self.start + ["-o", "whole.unroll.h5"], in: folder)
      #expect(whole.exitCode == 0, "\(whole.errors)")
      let paused = try runner.run(
        Self.start + ["-o", "texts/a.unroll.h5", "--pause-after", "7"], in: folder)
      #expect(paused.exitCode == 3, "\(paused.errors)")
      // The training text is beside the state, the validation text in the current folder.
      let resumed = try runner.run(
        ["finetune", "texts/a.last.unroll.h5", "--resume"], in: folder)
      #expect(resumed.exitCode == 0, "\(resumed.errors)")
      for (first, second) in [
        ("whole.unroll.h5", "texts/a.unroll.h5"),
        ("whole.last.unroll.h5", "texts/a.last.unroll.h5"),
      ] {
        #expect(
          try Data(contentsOf: URL(filePath: "\(folder)/\(first)"))
            == Data(contentsOf: URL(filePath: "\(folder)/\(second)")))
      }
    }
  }

  @Test(
    "The same command with --resume auto begins a training, resumes it and ends in the same bytes",
    arguments: [
      start,
      [
        "train", "--train", "texts/train.txt", "--valid", "valid.txt", "--hidden-size", "8",
        "--embedding-size", "6", "--dropout", "0.1", "--batch-size", "4", "--bptt", "5",
        "--learning-rate", "2", "--schedule", "divide_on_plateau,factor=2", "--steps", "20",
      ],
    ])
  func automatically(command: [String]) throws {
    try withScene { folder in
      let whole = try runner.run(command + ["-o", "whole.unroll.h5"], in: folder)
      #expect(whole.exitCode == 0, "\(whole.errors)")
      for (option, code) in [
        (["--resume", "auto"], 3), (["--auto-resume"], 3), (["--resume=auto"], 0),
      ] {
        let pause = code == 3 ? ["--pause-after", "7"] : []
        let part = try runner.run(command + ["-o", "a.unroll.h5"] + pause + option, in: folder)
        #expect(part.exitCode == code, "\(part.errors)")
      }
      for suffix in ["", ".last"] {
        #expect(
          try Data(contentsOf: URL(filePath: "\(folder)/whole\(suffix).unroll.h5"))
            == Data(contentsOf: URL(filePath: "\(folder)/a\(suffix).unroll.h5")))
      }
      let state = try Data(contentsOf: URL(filePath: "\(folder)/a.last.unroll.h5"))
      // A command of another training does not go on with it.
      for (option, found) in [
        (["--momentum", "0.5"], "--momentum"), (["--dropout", "0.3"], "--regularize embedding"),
        (["--batch-size", "5"], "--batch-size 4"), (["--train", "valid.txt"], "sha256"),
        (["--steps", "20", "--epochs", "9"], "--epochs none"),
        (["--steps", "20", "--epochs", "9"], "--epochs none"),
      ] {
        let names = Set(option.filter { $0.hasPrefix("--") })
        var kept: [String] = []
        var isValue = false
        for word in command {
          defer { isValue = names.contains(word) }
          if !isValue && !names.contains(word) { kept.append(word) }
        }
        let other = try runner.run(
          kept + option + ["-o", "a.unroll.h5", "--auto-resume"], in: folder)
        #expect(other.exitCode == 2 && other.errors.contains(found), "\(other.errors)")
      }
      #expect(try Data(contentsOf: URL(filePath: "\(folder)/a.last.unroll.h5")) == state)
      let both = try runner.run(
        command + ["-o", "a.unroll.h5", "--auto-resume", "--force"], in: folder)
      #expect(both.exitCode == 64)
    }
  }

  @Test(
    "--resume auto without the state of an existing model, or with a damaged one, writes nothing")
  func automaticallyWithoutState() throws {
    try withScene { folder in
      let command = Self.start + ["-o", "a.unroll.h5", "--resume", "auto"]
      #expect(try runner.run(command + ["--pause-after", "7"], in: folder).exitCode == 3)
      let last = URL(filePath: "\(folder)/a.last.unroll.h5")
      let best = try Data(contentsOf: URL(filePath: "\(folder)/a.unroll.h5"))
      let state = try Data(contentsOf: last)
      try state.prefix(state.count / 2).write(to: last)
      let damaged = try runner.run(command, in: folder)
      #expect(damaged.exitCode == 2 && damaged.errors.contains("C002"), "\(damaged.errors)")
      try FileManager.default.removeItem(at: last)
      let missing = try runner.run(command, in: folder)
      #expect(
        missing.exitCode == 2 && missing.errors.contains("found without a.last.unroll.h5"),
        "\(missing.errors)")
      #expect(try Data(contentsOf: URL(filePath: "\(folder)/a.unroll.h5")) == best)
      // The advice works.
      let anew = try runner.run(Self.start + ["-o", "a.unroll.h5", "--force"], in: folder)
      #expect(anew.exitCode == 0, "\(anew.errors)")
    }
  }

  @Test("--resume auto requires the original model and options, new words included")
  func automaticallyWithWords() throws {
    try withScene { folder in
      let words = Self.start + ["--vocabulary", "extend", "-o", "a.unroll.h5", "--auto-resume"]
      try Data(String(repeating: "the cat sat on a sofa\n", count: 60).utf8).write(
        to: URL(filePath: "\(folder)/texts/train.txt"))
      let first = try runner.run(words + ["--pause-after", "7"], in: folder)
      #expect(first.exitCode == 3, "\(first.errors)")
      let without = try runner.run(Self.start + ["-o", "a.unroll.h5", "--auto-resume"], in: folder)
      #expect(without.exitCode == 2 && without.errors.contains("--vocabulary"), "\(without.errors)")
      try Checkpoint.small(unknown: false).write(to: "\(folder)/other.unroll.h5")
      var otherModel = words
      otherModel[1] = "other.unroll.h5"
      let other = try runner.run(otherModel, in: folder)
      #expect(
        other.exitCode == 2 && other.errors.contains("the file other.unroll.h5"),
        "\(other.errors)")
      #expect(try runner.run(words, in: folder).exitCode == 0)
    }
  }

  @Test("A changed text and the output of a renamed state are requested")
  func missingTexts() throws {
    try withScene { folder in
      let paused = try runner.run(
        Self.start + ["-o", "texts/a.unroll.h5", "--pause-after", "7"], in: folder)
      #expect(paused.exitCode == 3, "\(paused.errors)")
      try FileManager.default.copyItem(
        atPath: "\(folder)/texts/a.last.unroll.h5", toPath: "\(folder)/texts/copy.h5")
      let renamed = try runner.run(["finetune", "texts/copy.h5", "--resume"], in: folder)
      #expect(renamed.exitCode == 64 && renamed.errors.contains("--output is missing"))
      try Data("the cat\n".utf8).write(to: URL(filePath: "\(folder)/valid.txt"))
      let changed = try runner.run(["finetune", "texts/a.last.unroll.h5", "--resume"], in: folder)
      #expect(changed.exitCode == 2 && changed.errors.contains("--train FILE --valid FILE"))
    }
  }

  @Test("The end of a training text can be the validation text, in a resumed training too")
  func partsOfOneText() throws {
    try withScene { folder in
      let all = "\(folder)/texts/train.txt"
      let lines = try String(contentsOfFile: all, encoding: .utf8).split(separator: "\n")
      for (name, part) in [("first.txt", lines[..<60]), ("rest.txt", lines[60...])] {
        try Data((part.joined(separator: "\n") + "\n").utf8).write(
          to: URL(filePath: "\(folder)/\(name)"))
      }
      let options = ["--batch-size", "4", "--bptt", "5", "--steps", "20"]
      let own = ["finetune", "model.unroll.h5", "--train", "first.txt", "--valid", "rest.txt"]
      let split = [
        "finetune", "model.unroll.h5", "--train", "texts/train.txt", "--valid-fraction", "0.25",
      ]
      let apart = try runner.run(own + options + ["-o", "apart.unroll.h5"], in: folder)
      let whole = try runner.run(split + options + ["-o", "whole.unroll.h5"], in: folder)
      #expect(whole.exitCode == 0, "\(whole.errors)")
      #expect(whole.output == apart.output)
      let paused = try runner.run(
        split + options + ["-o", "b.unroll.h5", "--pause-after", "5"], in: folder)
      let advice = try #require(paused.errors.firstMatch(of: /resume: (unroll .*)/)?.1)
      try FileManager.default.copyItem(
        atPath: "\(folder)/b.last.unroll.h5", toPath: "\(folder)/texts/c.last.unroll.h5")
      try FileManager.default.copyItem(
        atPath: "\(folder)/b.unroll.h5", toPath: "\(folder)/texts/c.unroll.h5")
      for (command, output) in [
        (String(advice), "b"), ("unroll finetune texts/c.last.unroll.h5 --resume", "texts/c"),
      ] {
        let resumed = try runner.run(shell: command, in: folder, seconds: 60)
        #expect(resumed.exitCode == 0, "\(resumed.errors)")
        for suffix in ["", ".last"] {
          #expect(
            try Data(contentsOf: URL(filePath: "\(folder)/\(output)\(suffix).unroll.h5"))
              == Data(contentsOf: URL(filePath: "\(folder)/whole\(suffix).unroll.h5")))
        }
      }
      for (share, words) in [("1", "between 0 and 1"), ("0.001", "another --valid-fraction")] {
        let refused = try runner.run(
          split.dropLast() + [share] + options + ["-o", "d.unroll.h5"], in: folder)
        #expect(refused.exitCode != 0 && refused.errors.contains(words), "\(refused.errors)")
      }
    }
  }

  @Test("The same command after a kill advises to resume, and the advice works")
  func theSameCommandAgain() throws {
    try withScene { folder in
      let command = Self.start + ["-o", "texts/a.unroll.h5"]
      #expect(try runner.run(command + ["--pause-after", "7"], in: folder).exitCode == 3)
      let again = try runner.run(command, in: folder)
      #expect(again.exitCode == 2)
      let advice = try #require(
        again.errors.firstMatch(of: /`(unroll finetune [^`]*--resume)` resumes it/)?.1)
      let resumed = try runner.run(shell: String(advice), in: folder, seconds: 60)
      #expect(resumed.exitCode == 0, "\(resumed.errors)")
    }
  }

  @Test("Folders of logs are made, and a start that fails leaves no log behind")
  func foldersOfLogs() throws {
    try withScene { folder in
      let logged = try runner.run(
        Self.start + [
          "-o", "a.unroll.h5", "--log", "logs/new/a.jsonl", "--tensorboard", "runs/b/c",
        ],
        in: folder)
      #expect(logged.exitCode == 0, "\(logged.errors)")
      let log = try String(contentsOfFile: "\(folder)/logs/new/a.jsonl", encoding: .utf8)
      #expect(log.split(separator: "\n").count >= 20)
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: "\(folder)/runs/b/c").count == 1)
      let failed = try runner.run(
        Self.start + ["-o", "b.unroll.h5", "--log", "b.jsonl", "--tensorboard", "valid.txt/runs"],
        in: folder)
      #expect(
        failed.exitCode == 2 && failed.errors.contains("valid.txt/runs: cannot make the folder"))
      #expect(!FileManager.default.fileExists(atPath: "\(folder)/b.jsonl"))
    }
  }

  @Test("An estimate needs no name of an output")
  func estimates() throws {
    try withScene { folder in
      let before = try FileManager.default.subpathsOfDirectory(atPath: folder).sorted()
      let estimate = try runner.run(Self.start + ["--estimate"], in: folder)
      #expect(estimate.exitCode == 0, "\(estimate.errors)")
      #expect(try FileManager.default.subpathsOfDirectory(atPath: folder).sorted() == before)
      let missing = try runner.run(Self.start, in: folder)
      #expect(missing.exitCode == 64 && missing.errors.contains("--output"))
    }
  }

  @Test("Times are readable, and lines fit the terminal")
  func progressLines() {
    #expect(Output.duration(4.25) == "4.2 s" && Output.duration(59.6) == "1 min 0 s")
    #expect(
      Output.duration(38_830) == "10 h 47 min" && Output.duration(.infinity) == "unknown time")
    #expect(Output.fitted("epoch 1, step 10,000", columns: 12) == "epoch 1, st…")
    #expect(Output.fitted("epoch 1", columns: 7) == "epoch 1")
  }
}

@Suite("Evaluation of several texts") struct SeveralTextsTests {
  @Test("Several texts get a row each and one over all predictions, as JSON too")
  func severalTexts() throws {
    let runner = try CommandRunner()
    try withTemporaryFolder { folder in
      try Checkpoint.small().write(to: "\(folder)/m.unroll.h5")
      for (name, text) in [("a.txt", "the cat sat\non a mat\n"), ("b.txt", "the unseen mat\n")] {
        try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
      }
      func evaluate(_ texts: [String], _ protocol: String) throws -> [String: Any] {
        let result = try runner.run(
          ["evaluate", "m.unroll.h5"] + texts + ["--protocol", `protocol`, "--json"], in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
        let object = try JSONSerialization.jsonObject(with: Data(result.output.utf8))
        let members = object as? [String: Any]
        return try #require(members)
      }
      for `protocol` in ["sentence", "kenlm"] {
        let both = try evaluate(["a.txt", "b.txt"], `protocol`)
        let rows = try #require(both["texts"] as? [[String: Any]])
        #expect(rows.map { $0["text"] as? String } == ["a.txt", "b.txt"])
        var (sum, predictions) = (0.0, 0)
        for (row, name) in zip(rows, ["a.txt", "b.txt"]) {
          let result = try #require(row["result"] as? [String: Any])
          let alone = try evaluate([name], `protocol`)
          #expect(result["nll"] as? Double == alone["nll"] as? Double)
          let count = try #require(result["predictions"] as? Int)
          sum += try #require(result["nll"] as? Double) * Double(count)
          predictions += count
        }
        let all = try #require(both["all"] as? [String: Any])
        #expect(all["predictions"] as? Int == predictions)
        #expect(abs(try #require(all["nll"] as? Double) - sum / Double(predictions)) < 1e-12)
      }
      let table = try runner.run(["evaluate", "m.unroll.h5", "a.txt", "b.txt"], in: folder)
      let lines = table.output.split(separator: "\n")
      #expect(lines.count == 4 && lines.last?.hasPrefix("all") == true)
      #expect(Set(lines.map(\.count)).count == 1, "the columns line up")
    }
  }
}
