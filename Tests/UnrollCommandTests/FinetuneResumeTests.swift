// Trainings that are resumed: with the same options, with other ones, and from kept states.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Resumption of a training (finetune --resume)") struct FinetuneResumeTests: FinetuneSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("A resumed training repeats the rows of its earlier evaluations")
  func earlierEvaluations() throws {
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

  @Test("A resumed training takes more steps, but no other batch size")
  func moreSteps() throws {
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
      let message = "expected the settings that the training began with; found --batch-size 5"
      #expect(refused.errors.contains(message), "\(refused.errors)")
    }
  }

  /// The options of the first run may stand there again; what they say is compared.
  @Test("A resumed training accepts the same options again and refuses different ones")
  func repeatedOptions() throws {
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
        (["--schedule", "constant"], "found --schedule constant"), (["--seed", "8"], "--seed 8"),
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
  func repeatedOptionsInProgress(options: [String]) throws {
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
  func allowedChanges() throws {
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
  func keptStates() throws {
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

  @Test("A resumed training claims to have written only the files that it wrote")
  func writtenFiles() throws {
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
}
