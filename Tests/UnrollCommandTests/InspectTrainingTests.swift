// The output of `unroll inspect` for a model in training.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite struct InspectTrainingTests {
  private func inspect(_ checkpoint: Checkpoint, _ options: [String] = []) throws -> String {
    try withTemporaryFolder { folder in
      try checkpoint.write(to: "\(folder)/a.h5")
      let result = try CommandRunner().run(["inspect", "a.h5"] + options, in: folder)
      #expect(result.exitCode == 0 && result.errors.isEmpty, "\(result.errors)")
      return result.output
    }
  }

  @Test func aTrainingHasASection() throws {
    let output = try inspect(Checkpoint.small().inTraining(groupCount: 2))
    let section = """

      training
        sgd         learning rate 1.6666666666666667, weight decay 1.2e-06, momentum 0.9, \
      clipped: norm 0.25, 6 parameters
        sgd         learning rate 1.6666666666666667, weight decay 1.2e-06, momentum 0.9, \
      not clipped, 5 parameters
        position    step 12, 1 epoch(s) done, token 70 of each stream, batch size 3, BPTT length 35
        evaluated   3 time(s), best nll 0.0000, perplexity 1.00 after step 10

      history

      """
    #expect(output.contains(section), "\(output)")
    #expect(output.contains("\n    outcome: step 12, validation nll 4.5 nats a token\n"))
    #expect(try !inspect(.small()).contains("\ntraining\n"))
  }

  /// The tool reads attributes in another process, whose answer is JSON: no bit may be lost there.
  @Test func numbersAtTheEdgeKeepTheirDigest() throws {
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

  @Test func aTrainingIsInTheJSON() throws {
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
        "evaluations", "best", "inexact_reason",
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

  @Test(arguments: [
    ("keras-gru-before", "gru, 5 -> 7, tanh, one bias, reset before the product"),
    ("keras-lstm-one-hot", "input       one-hot, 13"),
    ("torch-lstm-projection-tied", "tied to the embedding, after a projection to 6"),
    ("torch-mixed", "lstm, 5 -> 8, tanh, two biases, forget bias 1.5"),
  ])
  func variantsAreShown(name: String, line: String) throws {
    let path = Fixtures.path("checkpoints/\(name).unroll.h5")
    try withTemporaryFolder { folder in
      let result = try CommandRunner().run(["inspect", path], in: folder)
      #expect(result.output.contains("\(line)\n"), "\(result.output)")
    }
  }
}
