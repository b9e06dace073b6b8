// `unroll finetune` as its users see it: tables, pauses, refusals, and what is left behind.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Fine-tuning (finetune)") struct FinetuneTests {
  private let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  /// Runs a closure in a folder with a small model and two texts.
  private func withScene(
    unknown: Bool = true, _ body: (String) throws -> Void
  ) throws {
    try withTemporaryFolder { folder in
      try Checkpoint.small(unknown: unknown).write(to: "\(folder)/model.unroll.h5")
      let words = ["the", "cat", "sat", "on", "a", "mat", "dog"]
      for (name, lines, seed) in [("train.txt", 60, 1), ("valid.txt", 30, 2)] as [(_, _, UInt64)] {
        var generator = SeededGenerator(seed: seed)
        let text = (0..<lines).map { _ in
          (0..<Int.random(in: 0...6, using: &generator)).map { _ in
            words.randomElement(using: &generator) ?? ""
          }.joined(separator: " ") + "\n"
        }.joined()
        try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
      }
      try body(folder)
    }
  }

  private static let arguments = [
    "finetune", "model.unroll.h5", "--train", "train.txt", "--valid", "valid.txt", "--batch-size",
    "4",
    "--bptt", "5", "--momentum", "0.9", "--weight-decay", "1e-3", "--steps", "20",
  ]

  private func bytes(_ names: [String], in folder: String) throws -> [Data] {
    try names.map { try Data(contentsOf: URL(filePath: "\(folder)/\($0)")) }
  }

  /// The figures of an estimate.
  private struct Estimate: Decodable {
    let predictions: Int
    let seconds: Double
    let memoryBytes: Int
    let measuredShare: Double

    init(_ output: String) throws {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      self = try decoder.decode(Self.self, from: Data(output.utf8))
    }
  }

  @Test("--estimate counts the predictions of the training and writes no file")
  func anEstimateCountsThePredictionsAndWritesNothing() throws {
    try withScene { folder in
      let before = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      let result = try runner.run(
        Self.arguments + ["-o", "new.unroll.h5", "--estimate", "--json"], in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == before)
      let estimate = try Estimate(result.output)
      // All of it is done within the time that is measured, so it is known.
      #expect(
        estimate.measuredShare == 1 && estimate.seconds > 0 && estimate.memoryBytes > 1 << 20)
      _ = try runner.run(Self.arguments + ["-o", "new.unroll.h5"], in: folder)
      let last = try Checkpoint(contentsOf: "\(folder)/new.last.unroll.h5")
      #expect(estimate.predictions == last.training?.tokensSeen)
    }
  }

  /// If a run was killed before its best model was written, `--resume` writes that first.
  @Test("--estimate of a resumed training writes no file, even if the best model is missing")
  func anEstimateOfTheRestWritesNothingEither() throws {
    try withScene { folder in
      _ = try runner.run(
        Self.arguments + ["-o", "tuned.unroll.h5", "--pause-after", "12"], in: folder)
      try FileManager.default.removeItem(atPath: "\(folder)/tuned.unroll.h5")
      try FileManager.default.copyItem(
        atPath: "\(folder)/model.unroll.h5", toPath: "\(folder)/other.unroll.h5")
      let before = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
      for output in ["tuned.unroll.h5", "other.unroll.h5"] {
        let result = try runner.run(
          [
            "finetune", "tuned.last.unroll.h5", "--resume", "--train", "train.txt", "--valid",
            "valid.txt", "--estimate", "--force", "-o", output,
          ], in: folder)
        #expect(result.exitCode == 0, "\(result.errors)")
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == before)
      let files = try bytes(["model.unroll.h5", "other.unroll.h5"], in: folder)
      #expect(files[0] == files[1])
    }
  }

  @Test("--patience ends training after evaluations without improvement, and a larger one goes on")
  func trainingStopsEarly() throws {
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

  @Test("--estimate of evaluate counts its predictions in each protocol, and refuses a pipe")
  func anEstimateOfAnEvaluationCountsItsPredictions() throws {
    try withScene { folder in
      for name in ["stream", "columns", "sentence"] {
        let evaluation = ["evaluate", "model.unroll.h5", "train.txt", "--protocol", name, "--json"]
        let result = try runner.run(evaluation + ["--estimate"], in: folder)
        let estimate = try Estimate(result.output)
        let whole = try runner.run(evaluation, in: folder)
        #expect(
          whole.output.contains("\"predictions\" : \(estimate.predictions),"), "\(whole.output)")
      }
      let compressed = try runner.run(
        ["evaluate", "model.unroll.h5", Fixtures.path("text/mixed.txt.gz"), "--estimate"],
        in: folder)
      #expect(compressed.exitCode == 0, "\(compressed.errors)")
      let stream = try runner.run(["evaluate", "model.unroll.h5", "-", "--estimate"], in: folder)
      #expect(stream.exitCode == 64 && stream.errors.contains("--estimate"))
    }
  }

  @Test("Training ends in the same bytes with any number of threads and after a pause")
  func aTrainingEndsInTheSameBytesWithAnyThreadsAndPauses() throws {
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

  @Test("The table of a training has a header and seven columns for each evaluation")
  func theTableHasALineForEachEvaluation() throws {
    try withScene { folder in
      let result = try runner.run(Self.arguments + ["-o", "tuned.unroll.h5"], in: folder)
      let lines = result.output.split(separator: "\n").map { $0.split(separator: "\t") }
      let head = "epoch step learning_rate train_nll valid_nll valid_ppl best"
      #expect(lines.first == head.split(separator: " "))
      #expect(lines.allSatisfy { $0.count == 7 })
      #expect(lines[1].prefix(4) == ["0.00", "0", "1.0", "NA"])
      #expect(lines.last?[1] == "20")
    }
  }

  @Test("--log appends one JSON object a line, also after a line that a killed run left")
  func theLogIsOneObjectALine() throws {
    try withScene { folder in
      let arguments = Self.arguments + ["-o", "tuned.unroll.h5", "--log", "run.jsonl"]
      #expect(try runner.run(arguments + ["--pause-after", "5"], in: folder).exitCode == 3)
      // A run that was killed while it wrote leaves a part of a line.
      let cut = "{\"event\":\"st"
      #expect(
        try runner.run(shell: "printf '%s' '\(cut)' >> run.jsonl", in: folder, seconds: 10).exitCode
          == 0)
      let resume = [
        "finetune", "tuned.last.unroll.h5", "--resume", "--train", "train.txt", "--valid",
        "valid.txt", "-o", "tuned.unroll.h5", "--log", "run.jsonl",
      ]
      #expect(try runner.run(resume, in: folder).exitCode == 0)
      let all = try String(contentsOfFile: "\(folder)/run.jsonl", encoding: .utf8)
        .split(separator: "\n")
      #expect(all.count { $0 == cut } == 1)
      let lines = all.filter { $0 != cut }
      let objects = try lines.map {
        try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      }
      let steps = objects.filter { $0["event"] as? String == "step" }
      #expect(steps.compactMap { $0["step"] as? Int } == Array(1...20))
      #expect(
        steps.allSatisfy {
          $0["loss"] is Double && $0["gradient_norm"] is Double && $0["learning_rate"] is Double
            && $0["tokens_per_second"] is Double && $0["epoch"] is Int
        })
      let evaluations = objects.filter { $0["event"] as? String == "evaluation" }
      #expect(evaluations.count >= 2)
      #expect(evaluations.allSatisfy { $0["valid_nll"] is Double && $0["best"] is Bool })
    }
  }

  @Test("SIGINT finishes the step, saves the state and exits with code 3")
  func controlCFinishesTheStepAndSaves() throws {
    try withScene { folder in
      let line = """
        unroll finetune model.unroll.h5 --train train.txt --valid valid.txt -o tuned.unroll.h5 \
        --batch-size 4 --epochs 1000000 --log run.jsonl & child=$!
        while kill -0 $child && ! grep -q '"step":9,' run.jsonl; do sleep 0.05; done
        kill -INT $child; wait $child
        """
      // A shell without job control starts its background children deaf to SIGINT, and threads like
      // this one block it for theirs; the tool listens all the same.
      let result = try runner.run(shell: line, in: folder, seconds: 20)
      #expect(result.exitCode == 3, "\(result.errors)")
      let step = try #require(result.errors.firstMatch(of: #/paused after step (\d+): saved/#)).1
      let state = try Checkpoint(contentsOf: "\(folder)/tuned.last.unroll.h5")
      #expect(state.training?.step == Int(step))
      #expect(try #require(state.training).step >= 9)
    }
  }

  @Test(
    "A signal that arrives twice at once pauses the training once",
    arguments: ["HUP", "TERM", "INT"])
  func signalsThatComeTwiceAtOnceAreOneWish(_ name: String) throws {
    try withScene { folder in
      let line = """
        unroll finetune model.unroll.h5 --train train.txt --valid valid.txt -o tuned.unroll.h5 \
        --batch-size 4 --epochs 1000000 --log run.jsonl & child=$!
        while kill -0 $child && ! grep -q '"step":9,' run.jsonl; do sleep 0.05; done
        kill -\(name) $child; sleep 0.005; kill -\(name) $child; wait $child
        """
      let result = try runner.run(shell: line, in: folder, seconds: 20)
      #expect(result.exitCode == 3, "\(result.errors)")
      #expect(try Checkpoint(contentsOf: "\(folder)/tuned.last.unroll.h5").training != nil)
    }
  }

  @Test("A resumed training repeats the rows of its earlier evaluations")
  func theTableKeepsTheEpochsOfBefore() throws {
    try withScene { folder in
      let one = Self.arguments + ["-o", "tuned.unroll.h5", "--retention", "valid.txt"]
      let first = try runner.run(one + ["--threads", "1"], in: folder)
      #expect(first.exitCode == 0, "\(first.errors)")
      let rows = first.output.split(separator: "\n").map { $0.prefix(while: { $0 != "\t" }) }
      let resume = [
        "finetune", "tuned.last.unroll.h5", "--resume", "--train", "train.txt", "--valid",
        "valid.txt", "-o", "tuned.unroll.h5", "--allow-changes", "--batch-size", "2", "--steps",
        "30",
        "--pause-after", "1", "--retention", "valid.txt", "--threads", "1", "--save-every",
        "1",
      ]
      let second = try runner.run(resume, in: folder)
      #expect(second.exitCode == 3, "\(second.errors)")
      #expect(
        second.errors.contains("--save-every 1 --retention valid.txt --threads 1\n"),
        "\(second.errors)")
      let again = second.output.split(separator: "\n").map { $0.prefix(while: { $0 != "\t" }) }
      #expect(again.starts(with: rows) && rows.count > 2)
    }
  }

  @Test("--sentences starts each line from a zero state and ends in the same bytes after pauses")
  func sentencesStartFromZerosAndCanBePaused() throws {
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

  @Test("A resumed training logs the step that it resumed from")
  func whatAKilledRunLoggedIsCutOffByALineOfTheLog() throws {
    try withScene { folder in
      let arguments = Self.arguments + ["-o", "tuned.unroll.h5", "--log", "run.jsonl"]
      #expect(try runner.run(arguments + ["--pause-after", "5"], in: folder).exitCode == 3)
      let line = Self.resume + ["--log", "run.jsonl", "--tensorboard", "events"]
      #expect(try runner.run(line, in: folder).exitCode == 0)
      let log = try String(contentsOfFile: "\(folder)/run.jsonl", encoding: .utf8)
      #expect(log.split(separator: "\n").contains(#"{"event":"resumed","step":5}"#))
    }
  }

  @Test("A log that cannot be written ends training with the state saved")
  func aLogThatCannotBeWrittenCostsNoStep() throws {
    guard FileManager.default.isWritableFile(atPath: "/dev/full") else { return }
    try withScene { folder in
      let arguments = Self.arguments + ["-o", "tuned.unroll.h5", "--force"]
      let result = try runner.run(arguments + ["--log", "/dev/full"], in: folder)
      #expect(result.exitCode == 2 && result.errors.contains("/dev/full"))
      #expect(try Checkpoint(contentsOf: "\(folder)/tuned.last.unroll.h5").training != nil)
    }
  }

  private static let resume = [
    "finetune", "tuned.last.unroll.h5", "--resume", "--train", "train.txt", "--valid", "valid.txt",
    "-o", "tuned.unroll.h5",
  ]

  @Test("A resumed training takes more steps, but no other batch size")
  func aResumedRunMayGoOnLonger() throws {
    try withScene { folder in
      #expect(try runner.run(Self.arguments + ["-o", "a.unroll.h5"], in: folder).exitCode == 0)
      let resume = [
        "finetune", "a.last.unroll.h5", "--resume", "--train", "train.txt", "--valid", "valid.txt",
        "-o", "a.unroll.h5",
      ]
      #expect(try runner.run(resume + ["--steps", "25"], in: folder).exitCode == 0)
      let state = try Checkpoint(contentsOf: "\(folder)/a.last.unroll.h5")
      #expect(state.training?.step == 25)
      let refused = try runner.run(resume + ["--batch-size", "5"], in: folder)
      #expect(refused.exitCode == 2)
      let message = "expected the settings that the training began with; found columns=5"
      #expect(refused.errors.contains(message), "\(refused.errors)")
    }
  }

  /// The options of the first run may stand there again; what they say is compared.
  @Test("A resumed training accepts the same options again and refuses different ones")
  func aResumedRunMayRepeatItsOptions() throws {
    try withScene { folder in
      let options = [
        "--optimizer", "sgd,dampening=0.25", "--weight-decay", "1e-5", "--layer-decay", "2.6",
        "--freeze", "embedding", "--schedule", "divide_on_plateau,factor=3", "--dropout", "0.1",
        "--seed", "7", "--clip", "0.3",
      ]
      let texts = ["--train", "train.txt", "--valid", "valid.txt", "-o", "a.unroll.h5"]
      let sizes = ["--batch-size", "4", "--bptt", "5", "--steps", "20"]
      let whole = ["finetune", "model.unroll.h5"] + texts + sizes
      let paused = whole + options + ["--pause-after", "10"]
      let first = try runner.run(paused, in: folder)
      #expect(first.exitCode == 3, "\(first.errors)")
      let state = try bytes(["a.last.unroll.h5"], in: folder)
      let again = ["finetune", "a.last.unroll.h5", "--resume"] + texts + sizes
      for (changed, expected) in [
        (["--optimizer", "adam"], "--optimizer: expected sgd, as this training began; found adam"),
        (["--optimizer", "sgd,dampening=0.5"], "expected dampening=0.25, as this training began"),
        (["--layer-decay", "2"], "--layer-decay: expected another number"),
        (["--freeze", "output"], "--freeze: expected embedding frozen"),
        (["--unfreeze-every", "1"], "--unfreeze-every: expected none"),
        (["--sentences", "--batch-size", "1"], "--sentences: expected streams of a batch"),
        (["--schedule", "constant"], "found schedule=constant"), (["--seed", "8"], "seed=8"),
      ] {
        let refused = try runner.run(again + changed, in: folder)
        #expect(refused.exitCode == 2 && refused.errors.contains(expected), "\(refused.errors)")
        #expect(try bytes(["a.last.unroll.h5"], in: folder) == state)
      }
      let gone = try runner.run(again + options, in: folder)
      #expect(gone.exitCode == 0, "\(gone.errors)")
      let resumed = try bytes(["a.unroll.h5", "a.last.unroll.h5"], in: folder)
      #expect(try runner.run(whole + options + ["--force"], in: folder).exitCode == 0)
      #expect(try bytes(["a.unroll.h5", "a.last.unroll.h5"], in: folder) == resumed)
    }
  }

  /// Lengths of schedules that the training decides, and SGD that is ASGD by now.
  @Test(
    "Options repeated on --resume agree with schedules and averaged SGD in progress",
    arguments: [
      ["--optimizer", "adamw,beta1=0.8", "--schedule", "cosine"],
      ["--schedule", "one_cycle,start=0.1", "--unfreeze-every", "1", "--clip-value", "0.2"],
      [
        "--average-after", "0", "--momentum", "0.5", "--learning-rate", "30", "--schedule",
        "constant",
      ],
    ])
  func repeatedOptionsMayMeanWhatTheyBecame(options: [String]) throws {
    try withScene { folder in
      let texts = ["--train", "train.txt", "--valid", "valid.txt", "-o", "a.unroll.h5"]
      let sizes = ["--batch-size", "4", "--bptt", "5", "--epochs", "6"] + options
      let paused = try runner.run(
        ["finetune", "model.unroll.h5"] + texts + sizes + ["--pause-after", "60"], in: folder)
      #expect(paused.exitCode == 3, "\(paused.errors)")
      let state = try Checkpoint(contentsOf: "\(folder)/a.last.unroll.h5")
      #expect((state.optimizer?.kind == .asgd) == options.contains("--average-after"))
      let gone = try runner.run(
        ["finetune", "a.last.unroll.h5", "--resume"] + texts + sizes, in: folder)
      #expect(gone.exitCode == 0, "\(gone.errors)")
    }
  }

  @Test("--allow-changes changes settings of a resumed training and records them")
  func changesAreMadeWhereTheyAreAskedFor() throws {
    try withScene { folder in
      let paused = Self.arguments + ["-o", "a.unroll.h5", "--pause-after", "10"]
      #expect(try runner.run(paused, in: folder).exitCode == 3)
      func resume(_ options: [String], _ output: String, valid: String = "valid.txt") throws
        -> CommandResult
      {
        let files = ["--train", "train.txt", "--valid", valid, "-o", output]
        return try runner.run(
          ["finetune", "a.last.unroll.h5", "--resume"] + files + options, in: folder)
      }
      let asked = ["--allow-changes", "--bptt", "7", "--clip", "0", "--dropout", "0.1"]
      let changed = try resume(asked, "a.unroll.h5")
      #expect(changed.exitCode == 0, "\(changed.errors)")
      let history = try Checkpoint(contentsOf: "\(folder)/a.last.unroll.h5").provenance.last
      #expect(history?.arguments.contains("\nfrom_step_10: window=7 ") == true)
      let fixed = try resume(["--allow-changes", "--optimizer", "adam"], "a.unroll.h5")
      #expect(fixed.exitCode == 2)
      #expect(fixed.errors.contains("leave --resume out to begin a new training"))
      // Another validation text: the best so far is kept, the new best is another file.
      let refused = try resume([], "a.unroll.h5", valid: "train.txt")
      #expect(refused.exitCode == 2 && refused.errors.contains("--allow-changes"))
      let before = try bytes(["a.unroll.h5"], in: folder)
      let more = ["--allow-changes", "--steps", "25"]
      let taken = try resume(more, "a.unroll.h5", valid: "train.txt")
      #expect(taken.exitCode == 2 && taken.errors.contains("--force"), "\(taken.errors)")
      #expect(try bytes(["a.unroll.h5"], in: folder) == before)
      let other = try resume(more, "b.unroll.h5", valid: "train.txt")
      #expect(other.exitCode == 0, "\(other.errors)")
      #expect(other.errors.contains("note: the evaluations so far are not comparable"))
      #expect(other.output.split(separator: "\n")[1].split(separator: "\t")[1] == "20")
      #expect(try bytes(["a.unroll.h5"], in: folder) == before)
      let valid = try runner.run(["validate", "b.unroll.h5", "b.last.unroll.h5"], in: folder)
      #expect(valid.exitCode == 0, "\(valid.output)")
    }
  }

  @Test("--keep keeps states by step, and a kept state can be resumed")
  func statesAreKeptAndGoOn() throws {
    try withScene { folder in
      let keep = ["-o", "a.unroll.h5", "--keep", "1", "--log", "run.jsonl"]
      #expect(try runner.run(Self.arguments + keep, in: folder).exitCode == 0)
      let kept = "a.step-00000020.unroll.h5"
      let states = try FileManager.default.contentsOfDirectory(atPath: folder).filter {
        $0.contains(".step-")
      }
      #expect(states == [kept])
      let resumed = try runner.run(
        [
          "finetune", kept, "--resume", "--allow-changes", "--train", "train.txt", "--valid",
          "valid.txt", "-o", "b.unroll.h5", "--steps", "22",
        ], in: folder)
      #expect(resumed.exitCode == 0, "\(resumed.errors)")
      #expect(try Checkpoint(contentsOf: "\(folder)/b.last.unroll.h5").training?.step == 22)
      // A state that was kept is not mixed with those of another training.
      for name in ["a.unroll.h5", "a.last.unroll.h5"] {
        try FileManager.default.removeItem(atPath: "\(folder)/\(name)")
      }
      let again = try runner.run(
        Self.arguments + ["-o", "a.unroll.h5", "--keep", "1", "--pause-after", "1"], in: folder)
      #expect(again.exitCode == 2 && again.errors.contains(kept))
    }
  }

  @Test("--vocabulary extend adds new words, and --retention reports perplexity on old text")
  func newWordsAreLearntAndOldOnesWatched() throws {
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

  @Test("--json prints each evaluation as a JSON object")
  func evaluationsAreObjectsWhereTheyAreAskedFor() throws {
    try withScene { folder in
      let result = try runner.run(Self.arguments + ["-o", "a.unroll.h5", "--json"], in: folder)
      let lines = try result.output.split(separator: "\n").map {
        try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      }
      #expect(lines.count >= 2)
      #expect(lines.first?["step"] as? Int == 0 && lines.last?["step"] as? Int == 20)
      #expect(lines.allSatisfy { $0["valid_nll"] is Double })
    }
  }

  @Test("--tensorboard writes event files with valid checksums")
  func tensorBoardGetsRecordsWithTheirChecksums() throws {
    try withScene { folder in
      let result = try runner.run(
        Self.arguments + ["-o", "a.unroll.h5", "--tensorboard", "runs", "--log", "run.jsonl"],
        in: folder)
      #expect(result.exitCode == 0, "\(result.errors)")
      let name = try #require(
        try FileManager.default.contentsOfDirectory(atPath: "\(folder)/runs").first)
      #expect(name.hasPrefix("events.out.tfevents."))
      let records = try Self.records(
        Array(Data(contentsOf: URL(filePath: "\(folder)/runs/\(name)"))))
      let lines = try String(contentsOfFile: "\(folder)/run.jsonl", encoding: .utf8)
      #expect(records.count == 1 + lines.split(separator: "\n").count)
      #expect(records.first?.contains("brain.Event:2") == true)
      #expect(records.filter { $0.contains("train/gradient_norm") }.count == 20)
      #expect(records.filter { $0.contains("valid/perplexity") }.count >= 2)
    }
  }

  /// The contents of an event file's records, whose checksums are right.
  private static func records(_ bytes: [UInt8]) throws -> [String] {
    func number(_ bytes: ArraySlice<UInt8>) -> Int {
      bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    func masked(_ bytes: ArraySlice<UInt8>) -> Int {
      // Bit by bit, as long division by the Castagnoli polynomial.
      var crc = ~0 as UInt32
      for byte in bytes {
        for bit in 0..<8 {
          let divides = (crc ^ UInt32(byte) >> bit) & 1 == 1
          crc = crc >> 1 ^ (divides ? 0x82f6_3b78 : 0)
        }
      }
      return Int((~crc >> 15 | ~crc << 17) &+ 0xa282_ead8)
    }
    var records: [String] = []
    var place = 0
    while place < bytes.count {
      let count = number(bytes[place..<place + 8])
      #expect(number(bytes[place + 8..<place + 12]) == masked(bytes[place..<place + 8]))
      let content = try #require(
        bytes.count >= place + 16 + count ? bytes[place + 12..<place + 12 + count] : nil)
      place += 16 + count
      #expect(number(bytes[place - 4..<place]) == masked(content))
      records.append(String(decoding: content, as: UTF8.self))
    }
    return records
  }

  @Test("Training replaces neither existing outputs nor, even with --force, its inputs")
  func filesThatAreThereStay() throws {
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
  func outputsThatCannotBeAreRefusedBeforeAnyWork() throws {
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
  func anotherTrainingsStateIsNotCalledSaved() throws {
    try withScene { folder in
      #expect(try runner.run(Self.arguments + ["-o", "a.h5"], in: folder).exitCode == 0)
      try Data("the\n".utf8).write(to: URL(filePath: "\(folder)/valid.txt"))
      let failed = try runner.run(Self.arguments + ["-o", "a.h5", "--force"], in: folder)
      #expect(failed.exitCode == 2)
      #expect(failed.errors.contains("valid.txt: expected enough text"), "\(failed.errors)")
      #expect(!failed.errors.contains("saved") && !failed.errors.contains("resume:"))
    }
  }

  @Test("A resumed training claims to have written only the files that it wrote")
  func whatAResumedRunDidNotWriteIsNotCalledWritten() throws {
    try withScene { folder in
      let arguments = Self.arguments + ["-o", "a.h5", "--learning-rate", "3"]
      #expect(try runner.run(arguments, in: folder).exitCode == 0)
      let resume = [
        "finetune", "a.last.h5", "--resume", "--train", "train.txt", "--valid", "valid.txt",
        "-o", "a.h5",
      ]
      let before = try bytes(["a.h5", "a.last.h5"], in: folder)
      let idle = try runner.run(resume + ["--epochs", "3"], in: folder)
      #expect(idle.exitCode == 0)
      #expect(idle.errors.contains("nothing was left to do after step 20"), "\(idle.errors)")
      #expect(idle.errors.contains("--resume with more --steps") && !idle.errors.contains("wrote"))
      #expect(try bytes(["a.h5", "a.last.h5"], in: folder) == before)
      // A rate that makes the model worse leaves the best one as it is.
      let worse = try runner.run(
        resume + ["--steps", "22", "--learning-rate", "1e6"], in: folder)
      #expect(worse.exitCode == 0, "\(worse.errors)")
      #expect(worse.errors.contains("a.h5 still holds the best model: step "), "\(worse.errors)")
      #expect(!worse.errors.contains("wrote a.h5"))
      #expect(worse.errors.contains("wrote a.last.h5: the last state, for --resume"))
      #expect(try bytes(["a.h5"], in: folder) == [before[0]])
    }
  }

  @Test(
    "SIGHUP pauses a training, and is ignored under nohup",
    arguments: [("", 1_000_000), ("nohup ", 150)])
  func theEndOfAConnectionPausesATraining(prefix: String, steps: Int) throws {
    try withScene { folder in
      // Deaf to it below nohup, it ends by its number of steps.
      let line = """
        \(prefix)unroll finetune model.unroll.h5 --train train.txt --valid valid.txt -o a.h5 \
        --batch-size 4 --steps \(steps) --log run.jsonl & child=$!
        while kill -0 $child && ! grep -q '"step":9,' run.jsonl; do sleep 0.02; done
        kill -HUP $child; wait $child
        """
      let result = try runner.run(shell: line, in: folder, seconds: 60)
      let state = try #require(try Checkpoint(contentsOf: "\(folder)/a.last.h5").training)
      #expect(result.exitCode == (prefix.isEmpty ? 3 : 0), "\(result.errors)")
      #expect(state.step >= 9 && (state.step == steps) != prefix.isEmpty)
    }
  }

  @Test("A full disk leaves the model and the state of before unchanged")
  func aFullDiskLosesNothing() throws {
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

  @Test("Unusable training texts are refused before any work, and no model is created")
  func textsThatDoNotFitAreRefusedBeforeAnyWork() throws {
    try withScene(unknown: false) { folder in
      try Data("the wug\n".utf8).write(to: URL(filePath: "\(folder)/odd.txt"))
      try Data("the\n".utf8).write(to: URL(filePath: "\(folder)/short.txt"))
      let cases = [
        ("odd.txt", "1 words that it lacks: \"wug\" (1)"), ("none.txt", "none.txt: cannot open"),
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
  func aLearningRateThatExplodesIsNamed() throws {
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
  func numbersOutOfTheirDomainAreRefused(options: [String]) throws {
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
