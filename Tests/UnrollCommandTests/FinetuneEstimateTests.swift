// Estimates of trainings and evaluations.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Estimates (--estimate)") struct FinetuneEstimateTests: FinetuneSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

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
  func trainingEstimate() throws {
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
  func resumedEstimate() throws {
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

  @Test("--estimate of evaluate counts its predictions in each protocol, and refuses a pipe")
  func evaluationEstimate() throws {
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
}
