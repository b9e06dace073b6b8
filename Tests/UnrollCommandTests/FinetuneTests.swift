// `unroll finetune` as its users see it: results, and requests that are refused.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Fine-tuning (finetune)") struct FinetuneTests: FinetuneSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("Training ends in the same bytes with any number of threads and after a pause")
  func sameBytes() throws {
    try withScene { folder in
      let one = try runner.run(
        Self.arguments + ["-o", "one.unroll.h5", "--threads", "1"], in: folder)
      #expect(one.exitCode == 0, "\(one.errors)")
      let two = try runner.run(
        Self.arguments + ["-o", "two.unroll.h5", "--threads", "2"], in: folder)
      #expect(two.exitCode == 0)
      #expect(one.output == two.output)
      let expected = try bytes(["one.unroll.h5", "one.last.unroll.h5"], in: folder)
      #expect(try bytes(["two.unroll.h5", "two.last.unroll.h5"], in: folder) == expected)

      let paused = try runner.run(
        Self.arguments + ["-o", "three.unroll.h5", "--pause-after", "15"], in: folder)
      #expect(paused.exitCode == 3)
      let command = paused.errors.matches(of: #/  resume: (.+)\n/#).map { String($0.1) }
      #expect(paused.errors.contains("paused after step 15: saved three.last.unroll.h5"))
      let resumed = try runner.run(shell: #require(command.first), in: folder, seconds: 15)
      #expect(resumed.exitCode == 0, "\(resumed.errors)")
      #expect(resumed.output == one.output)
      #expect(try bytes(["three.unroll.h5", "three.last.unroll.h5"], in: folder) == expected)
      for name in ["one.unroll.h5", "one.last.unroll.h5"] {
        #expect(
          try runner.run(["validate", name], in: folder).output == "\(name): valid, no findings\n")
      }
    }
  }

  @Test("--patience stops training early, and a larger one resumes it")
  func earlyStopping() throws {
    try withScene { folder in
      let options = [
        "--train", "train.txt", "--valid", "valid.txt", "--batch-size", "4", "--learning-rate", "3",
        "--schedule", "constant", "-o", "tuned.unroll.h5",
      ]
      func run(_ arguments: [String]) throws -> (isBest: [String], errors: String) {
        let result = try runner.run(["finetune"] + arguments + options, in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
        let rows = result.output.split(separator: "\n").dropFirst()
        return (rows.map { String($0.suffix(1)) }, result.errors)
      }
      let stopped = try run(["model.unroll.h5", "--epochs", "200", "--patience", "3"])
      #expect(stopped.isBest.count < 201)
      #expect(Array(stopped.isBest.suffix(4)) == ["1", "0", "0", "0"])
      #expect(stopped.errors.contains("stopped early after step "))
      #expect(stopped.errors.contains("3 evaluations without a better validation loss"))
      let last = ["tuned.last.unroll.h5", "--resume"]
      // A resumed training prints the evaluations of before, too.
      #expect(try run(last + ["--patience", "3"]).isBest == stopped.isBest)
      #expect(try run(last + ["--patience", "4"]).isBest.count > stopped.isBest.count)
    }
  }

  @Test("--sentences starts each line from a zero state and ends in the same bytes after pauses")
  func sentences() throws {
    try withScene { folder in
      // Sentences of one line, of three windows, and of nothing but their end.
      try Data("w0 w1\nw2 w3 w4 w5 w6 w7 w8\n\nw1 w2 w9\n".utf8)
        .write(to: URL(filePath: "\(folder)/lines.txt"))
      let arguments = [
        "finetune", "model.unroll.h5", "--train", "lines.txt", "--valid", "lines.txt",
        "--sentences",
        "--optimizer", "adam", "--bptt", "3", "--gradient-accumulation", "2", "--epochs", "3",
      ]
      let one = try runner.run(arguments + ["-o", "one.unroll.h5"], in: folder)
      #expect(one.exitCode == 0, "\(one.errors)")
      let rows = one.output.split(separator: "\n").map { $0.split(separator: "\t") }
      let measured = try runner.run(
        ["evaluate", "model.unroll.h5", "lines.txt", "--protocol", "sentence"], in: folder)
      #expect(measured.output.contains("nll             \(rows[1][4]) nats a token"))
      let state = try #require(try Checkpoint(contentsOf: "\(folder)/one.last.unroll.h5").training)
      // Lines of 3, 8, 1 and 4 tokens: seven windows, in steps of two.
      #expect(state.data.windowKind == .sentence && state.step == 12 && state.tokensSeen == 3 * 16)
      #expect(
        try runner.run(arguments + ["-o", "two.unroll.h5", "--pause-after", "1"], in: folder)
          .exitCode == 3)
      let resume = [
        "finetune", "two.last.unroll.h5", "--resume", "--train", "lines.txt", "--valid",
        "lines.txt",
        "-o", "two.unroll.h5",
      ]
      var code: Int32 = 3
      while code == 3 {
        code = Int32(try runner.run(resume + ["--pause-after", "1"], in: folder).exitCode)
      }
      #expect(code == 0)
      for name in ["unroll.h5", "last.unroll.h5"] {
        #expect(try bytes(["one.\(name)"], in: folder) == bytes(["two.\(name)"], in: folder))
      }
      // All lines in one step, before it changes anything: the loss is that of the evaluation.
      let all = [
        "finetune", "model.unroll.h5", "--train", "lines.txt", "--valid", "lines.txt",
        "--sentences",
        "--gradient-accumulation", "7", "--steps", "1", "-o", "all.unroll.h5", "--log", "all.jsonl",
      ]
      #expect(try runner.run(all, in: folder).exitCode == 0)
      let log = try String(contentsOfFile: "\(folder)/all.jsonl", encoding: .utf8)
      let loss = try #require(log.firstMatch(of: #/"loss":([0-9.]+)/#)?.1)
      #expect(abs(try #require(Double(loss)) - #require(Double(rows[1][4]))) < 2e-6)
      let wide = try runner.run(arguments + ["-o", "a.h5", "--batch-size", "2"], in: folder)
      #expect(wide.exitCode == 64)
    }
  }

  @Test("--vocabulary extend adds new words, and --retention reports perplexity on old text")
  func newWords() throws {
    try withScene { folder in
      let text = Array(repeating: "the bird sat on a bird\na catmat ran\n", count: 40).joined()
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/new.txt"))
      let arguments = [
        "finetune", "model.unroll.h5", "--train", "new.txt", "--valid", "new.txt", "--batch-size",
        "4",
        "--bptt", "5", "--steps", "20", "-o", "a.unroll.h5", "--vocabulary", "extend",
        "--retention", "valid.txt",
      ]
      let result = try runner.run(arguments, in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      #expect(result.errors.contains("note: 3 new tokens, rows as unknown\n"))
      #expect(
        result.errors.contains(#/valid.txt: perplexity of the old words .* \([+-]0.0000 %\)/#))
      let rows = result.output.split(separator: "\n").map { $0.split(separator: "\t") }
      #expect(rows[0].last == "retention_ppl" && rows.allSatisfy { $0.count == 8 })
      let forgotten = try rows.dropFirst().map { try #require(Double($0[7])) }
      #expect(try #require(forgotten.last) != forgotten[0])
      let model = try Checkpoint(contentsOf: "\(folder)/a.unroll.h5")
      #expect(model.vocabulary.count == 14)
      #expect(model.provenance.last?.arguments.hasPrefix("vocabulary=extend\n") == true)
      let evaluated = try runner.run(["evaluate", "a.unroll.h5", "new.txt", "--json"], in: folder)
      #expect(evaluated.output.contains("\"unknown\" : 0"), "\(evaluated.output)")
      let valid = try runner.run(["validate", "a.unroll.h5", "a.last.unroll.h5"], in: folder)
      #expect(valid.exitCode == 0, "\(valid.output)")
      let resumed = try runner.run(
        [
          "finetune", "a.last.unroll.h5", "--resume", "--train", "new.txt", "--valid", "new.txt",
          "-o",
          "a.unroll.h5", "--steps", "22", "--retention", "valid.txt",
        ], in: folder)
      #expect(resumed.exitCode == 0, "\(resumed.errors)")
      let mean = try runner.run(
        arguments.map { $0 == "a.unroll.h5" ? "b.unroll.h5" : $0 } + ["--new-rows", "mean"],
        in: folder)
      #expect(mean.errors.contains("rows as mean") && !mean.errors.contains("(+0.0000 %)"))
    }
  }

  @Test("Unusable training texts are refused before any work, and no model is created")
  func unusableTexts() throws {
    try withScene(unknown: false) { folder in
      try Data("the wug\n".utf8).write(to: URL(filePath: "\(folder)/odd.txt"))
      try Data("the\n".utf8).write(to: URL(filePath: "\(folder)/short.txt"))
      let cases = [
        ("odd.txt", "one word that it lacks, once: \"wug\" (1)"),
        ("none.txt", "none.txt: cannot open"),
        ("short.txt", "expected at least 8 tokens, two for each of 4 streams; found 2"),
        ("-", "expected a file, since training can be resumed"), (".", "is a directory"),
      ]
      for (text, message) in cases {
        var arguments = Self.arguments
        arguments[3] = text
        let refused = try runner.run(arguments + ["-o", "tuned.unroll.h5"], in: folder)
        #expect(refused.exitCode == 2, "\(text)")
        #expect(refused.errors.contains(message), "\(refused.errors)")
        #expect(!FileManager.default.fileExists(atPath: "\(folder)/tuned.unroll.h5"))
      }
    }
  }

  @Test("A loss of NaN or infinity stops training and advises a lower learning rate")
  func divergence() throws {
    try withScene { folder in
      let failed = try runner.run(
        Self.arguments + ["-o", "tuned.unroll.h5", "--learning-rate", "1e39"], in: folder)
      #expect(failed.exitCode == 2)
      #expect(failed.errors.contains("step 2: expected a finite loss; found NaN or infinity,"))
      #expect(failed.errors.contains("give a lower --learning-rate than 1e+39"))
      let kept = try Checkpoint(contentsOf: "\(folder)/tuned.last.unroll.h5")
      #expect(kept.training?.step == 0)
    }
  }

  @Test(
    "Training options outside their domain are wrong usage with the valid range",
    arguments: [
      ["--epochs", "99999999999"], ["--learning-rate", "inf"], ["--learning-rate", "-1"],
      ["--epochs", "0"], ["--steps", "-1"], ["--batch-size", "0"], ["--bptt", "0"],
      ["--learning-rate", "0"], ["--learning-rate", "nan"], ["--momentum", "1"], ["--clip", "-1"],
      ["--weight-decay", "inf"], ["--schedule", "step,factor=0.5"],
      ["--gradient-accumulation", "0"],
      ["--optimizer", "adam,beta1=1"], ["--layer-decay", "0.5"], ["--clip-value", "0"],
      ["--pause-after", "0"], ["--patience", "0"],
    ])
  func invalidNumbers(options: [String]) throws {
    try withScene { folder in
      let refused = try runner.run(
        Self.arguments.prefix(6) + ["-o", "x.h5"] + options, in: folder)
      #expect(refused.exitCode == 64)
      #expect(
        refused.errors.contains(
          #/Error: --[a-z-]+(: [a-z0-9]+)? is (at least 1\.|1 to \d+\.|a (finite )?number .+\d.*\.)/#
        ),
        "\(refused.errors)")
    }
  }
}
