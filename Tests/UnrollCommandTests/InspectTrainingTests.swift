// The output of `unroll inspect` for a model in training.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@testable import unroll

@Suite("Inspection of models in training (inspect)") struct InspectTrainingTests {
  private func inspect(_ checkpoint: Checkpoint, _ options: [String] = []) throws -> String {
    try withTemporaryFolder { folder in
      try checkpoint.write(to: "\(folder)/a.h5")
      let result = try CommandRunner().run(["inspect", "a.h5"] + options, in: folder)
      #expect(result.exitCode == 0 && result.errors.isEmpty, "\(result.errors)")
      return result.output
    }
  }

  @Test("A training has a section with rounded numbers, and one with its learning curve")
  func trainingSection() throws {
    let output = try inspect(Checkpoint.small().inTraining(groupCount: 2))
    let section = """

      training
        sgd         learning rate 1.66667, weight decay 1.2e-06, momentum 0.9,
                    clipped: norm 0.25, 6 parameters
        sgd         learning rate 1.66667, weight decay 1.2e-06, momentum 0.9,
                    not clipped, 5 parameters
        position    step 12, 1 epoch done, token 70 of each stream, batch size 3,
                    BPTT length 35
        evaluated   3 times, best loss 0.0000, perplexity 1.00, after step 10

      learning curve
        epoch  step  learning rate  train loss  validation loss  perplexity
         0.00     0             20           -           9.2500    10404.57
         0.33    10             20      0.3333           0.0000        1.00  best
         1.00    12             20      0.0000           4.5000       90.02

      history

      """
    #expect(output.contains(section), "\(output)")
    #expect(output.contains("\n    outcome: step 12, validation nll 4.5 nats a token\n"))
    let plain = try inspect(.small())
    #expect(!plain.contains("\ntraining\n") && !plain.contains("\nlearning curve\n"))
  }

  @Test("A hyperparameter that was stored as float32 is its shortest decimal")
  func float32Hyperparameters() throws {
    var checkpoint = Checkpoint.small().inTraining()
    checkpoint.optimizer?.groups[0][.learningRate] = Double(Float(0.01))
    checkpoint.training?.history[0].learningRate = Double(Float(0.01))
    let output = try inspect(checkpoint)
    #expect(output.contains("learning rate 0.01, ") && !output.contains("0.00999"), "\(output)")
  }

  /// A model whose loss falls by 0.01 at each of 100 evaluations, best at one of them.
  private func longTraining(best: Int) -> Checkpoint {
    var checkpoint = Checkpoint.small().inTraining()
    checkpoint.training?.step = 9900
    checkpoint.optimizer?.step = 9900
    checkpoint.optimizer?.groups[0].step = 9900
    checkpoint.training?.history = (0..<100).map { index in
      TrainingRecord(
        step: 100 * index, epoch: Double(index), learningRate: 1, trainNLL: 3,
        validNLL: index == best ? 1 : 3 - 0.01 * Double(index))
    }
    checkpoint.training?.best = BestState(
      step: 100 * best, validNLL: 1, weightsDigest: String(repeating: "ef", count: 32))
    return checkpoint
  }

  @Test(
    "A long learning curve has twenty rows, with the first, the best and the last",
    arguments: [0, 1, 43, 57, 98, 99])
  func longCurves(best: Int) throws {
    let training = try #require(longTraining(best: best).training)
    let curve = LearningCurve(training)
    let shown = curve.shown
    #expect(shown.count == 20 && shown == Set(shown).sorted())
    #expect(shown.first == 0 && shown.last == 99 && shown.contains(best))
    // No gap is twice the even one, 99 / 19.
    #expect(zip(shown, shown.dropFirst()).allSatisfy { ($1 - $0) * 19 < 2 * 99 })
    #expect(curve.lines.count == 23 && curve.lines.count { $0.hasSuffix("  best") } == 1)
    #expect(
      curve.lines[0] == "  20 of 100 evaluations, evenly chosen, with the first, best and last;")
    #expect(curve.lines.allSatisfy { $0.count <= 80 })
  }

  @Test("JSON has the whole learning curve")
  func wholeCurve() throws {
    let output = try inspect(longTraining(best: 57), ["--json"])
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
    let training = try #require(report["training"] as? [String: Any])
    let curve = try #require(training["curve"] as? [[String: Any]])
    #expect(curve.count == 100)
    #expect(curve.map { $0["best"] as? Bool == true }.firstIndex(of: true) == 57)
    #expect(
      Set(curve[3].keys) == [
        "epoch", "step", "learning_rate", "train_nll", "valid_nll", "valid_perplexity", "best",
      ])
    #expect(curve[3]["step"] as? Int == 300 && curve[3]["valid_nll"] as? Double == 3 - 0.03)
  }

  @Test("The learning curve is drawn into an SVG file, or printed with --plot -")
  func plots() throws {
    try withTemporaryFolder { folder in
      try longTraining(best: 57).write(to: "\(folder)/a.h5")
      let runner = try CommandRunner()
      let plain = try runner.run(["inspect", "a.h5"], in: folder)
      #expect(!plain.output.contains("loss, in nats a token"))
      let drawn = try runner.run(["inspect", "a.h5", "--plot", "a.svg"], in: folder)
      #expect(drawn.exitCode == 0 && drawn.errors == "wrote a.svg\n", "\(drawn.errors)")
      #expect(drawn.output == plain.output)
      let svg = try String(contentsOfFile: "\(folder)/a.svg", encoding: .utf8)
      #expect(svg.contains(">Learning curve</title>") && svg.contains("<polyline"))
      #expect(svg.contains(">training loss<") && svg.contains(">validation loss<"))
      let printed = try runner.run(
        shell: "LC_ALL=C unroll inspect a.h5 --plot -", in: folder)
      #expect(printed.output.hasPrefix("Learning curve\n\n  loss, in nats a token\n"))
      #expect(printed.output.contains("  : best, step 5,700\n"), "\(printed.output)")
      let taken = try runner.run(["inspect", "a.h5", "--plot", "a.svg"], in: folder)
      #expect(taken.exitCode == 2 && taken.output.isEmpty && taken.errors.contains("--force"))
      let replaced = try runner.run(["inspect", "a.h5", "--plot", "a.svg", "--force"], in: folder)
      #expect(replaced.exitCode == 0)
      let both = try runner.run(["inspect", "a.h5", "--plot", "-", "--json"], in: folder)
      #expect(both.exitCode == 64)
    }
  }

  @Test("A model without a learning curve is not plotted, and no file is made")
  func nothingToPlot() throws {
    try withTemporaryFolder { folder in
      try Checkpoint.small().write(to: "\(folder)/a.h5")
      let runner = try CommandRunner()
      let result = try runner.run(["inspect", "a.h5", "--plot", "a.svg"], in: folder)
      #expect(result.exitCode == 2 && result.output.isEmpty)
      #expect(result.errors.contains("expected a learning curve to plot; found 0 evaluations"))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a.h5"])
    }
  }

  @Test("A checkpoint of a real training has a learning curve")
  func realTraining() throws {
    let output = try CommandRunner().run(
      ["inspect", Fixtures.path("fuzzing/training.unroll.h5")]
    ).output
    #expect(output.contains("\nlearning curve\n  epoch  step  learning rate"), "\(output)")
    #expect(output.contains("  best\n"))
  }

  /// The tool reads attributes in another process, whose answer is JSON: no bit may be lost there.
  @Test("Subnormal, negative zero and huge numbers pass the child process bit for bit")
  func extremeNumbers() throws {
    var checkpoint = Checkpoint.small().inTraining()
    checkpoint.training?.data.totalNLL = -0.0
    checkpoint.training?.best?.validNLL = 0x1p-1074
    checkpoint.training?.schedule[.factor] = .greatestFiniteMagnitude
    checkpoint.optimizer?.groups[0][.learningRate] = 0x1.fffffffffffffp-1022
    checkpoint.optimizer?.groups[0][.weightDecay] = 0x1.23456789abcdfp+60
    try withTemporaryFolder { folder in
      try checkpoint.write(to: "\(folder)/a.h5")
      let result = try CommandRunner().run(["validate", "a.h5"], in: folder)
      #expect(result.output == "a.h5: valid, no findings\n")
    }
  }

  @Test("JSON of inspect has the training with snake_case keys and exact numbers")
  func jsonTraining() throws {
    var checkpoint = Checkpoint.small().inTraining()
    // Its perplexity is beyond the largest number.
    checkpoint.training?.best?.validNLL = 1000
    checkpoint.training?.inexactReason = "the source has no velocities"
    let output = try inspect(checkpoint, ["--json"])
    let report = try #require(
      try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any])
    #expect(Self.keys(of: report).filter { $0 != $0.lowercased() } == [])
    #expect(Self.keys(of: report).isSuperset(of: ["hidden_size", "weights_digest", "valid_nll"]))
    let training = try #require(report["training"] as? [String: Any])
    #expect(
      Set(training.keys) == [
        "optimizer", "groups", "slots", "step", "epoch", "cursor", "columns", "window",
        "evaluations", "best", "curve", "inexact_reason",
      ])
    #expect(training["optimizer"] as? String == "sgd" && training["cursor"] as? Int == 70)
    let group = try #require((training["groups"] as? [[String: Any]])?.first)
    let numbers = try #require(group["hyperparameters"] as? [String: Double])
    #expect(numbers["learning_rate"] == 5 / 3.0 && numbers["weight_decay"] == 1.2e-6)
    #expect(group["parameters"] as? Int == 11 && group["clip"] as? String == "norm 0.25")
    let best = try #require(training["best"] as? [String: Any])
    #expect(best["valid_nll"] as? Double == 1000 && best["valid_perplexity"] == nil)
    let steps = try #require(report["provenance"] as? [[String: Any]])
    #expect(
      steps.map { $0["outcome"] as? String } == ["", "step 12, validation nll 4.5 nats a token"])
  }

  /// The keys of a JSON value and of everything in it.
  private static func keys(of value: Any) -> Set<String> {
    if let object = value as? [String: Any] {
      return object.values.reduce(into: Set(object.keys)) { $0.formUnion(keys(of: $1)) }
    }
    let items = value as? [Any] ?? []
    return items.reduce(into: []) { $0.formUnion(keys(of: $1)) }
  }

  @Test(
    "inspect shows the variant of each layer, input and output",
    arguments: [
      ("keras-gru-before", "gru, 5 -> 7, tanh, one bias, reset before the product"),
      ("keras-lstm-one-hot", "input       one-hot, 13"),
      ("torch-lstm-projection-tied", "tied to the embedding, after a projection to 6"),
      ("torch-mixed", "lstm, 5 -> 8, tanh, two biases, forget bias 1.5"),
    ])
  func layerVariants(name: String, line: String) throws {
    let path = Fixtures.path("checkpoints/\(name).unroll.h5")
    try withTemporaryFolder { folder in
      let result = try CommandRunner().run(["inspect", path], in: folder)
      #expect(result.output.contains("\(line)\n"), "\(result.output)")
    }
  }
}
