// Reports of a training: the table, JSON lines and event files of TensorBoard.

import Foundation
import TestSupport
import Testing
import UnrollFormat

@Suite("Tables and logs of a training (--log, --json, --tensorboard)")
struct FinetuneLogTests: FinetuneSuite {
  let runner: CommandRunner

  init() throws { runner = try CommandRunner() }

  @Test("The table of a training has a header and seven columns for each evaluation")
  func table() throws {
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

  @Test("--json prints each evaluation as a JSON object")
  func jsonEvaluations() throws {
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

  @Test("--log appends one JSON object a line, also after a line that a killed run left")
  func jsonLog() throws {
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

  @Test("A resumed training logs the step that it resumed from")
  func resumedLog() throws {
    try withScene { folder in
      let arguments = Self.arguments + ["-o", "tuned.unroll.h5", "--log", "run.jsonl"]
      #expect(try runner.run(arguments + ["--pause-after", "5"], in: folder).exitCode == 3)
      let line = Self.resume + ["--log", "run.jsonl", "--tensorboard", "events"]
      #expect(try runner.run(line, in: folder).exitCode == 0)
      let log = try String(contentsOfFile: "\(folder)/run.jsonl", encoding: .utf8)
      #expect(log.split(separator: "\n").contains(#"{"event":"resumed","step":5}"#))
    }
  }

  @Test(
    "A log that cannot be written ends training with the state saved",
    .enabled(if: FileManager.default.isWritableFile(atPath: "/dev/full"), "needs /dev/full"))
  func unwritableLog() throws {
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

  @Test("--tensorboard writes event files with valid checksums")
  func tensorBoard() throws {
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
      let evaluations = records.filter { $0.contains("valid/perplexity") }.count
      // Beside a record for each line: the version, settings, the end, and the histograms of each evaluation.
      #expect(records.count == 3 + lines.split(separator: "\n").count + evaluations)
      #expect(
        records.filter { $0.contains("weights/model/layers/00/weight_hh") }.count == evaluations)
      // Before the first step there are no gradients.
      #expect(
        records.filter { $0.contains("gradients/model/layers/00/weight_hh") }.count
          == evaluations - 1)
      let settings = try #require(records.dropFirst().first)
      #expect(settings.contains("_hparams_/session_start_info") && settings.contains("| columns |"))
      #expect(records.last?.contains("_hparams_/session_end_info") == true)
      #expect(records.first?.contains("brain.Event:2") == true)
      #expect(records.filter { $0.contains("train/gradient_norm") }.count == 20)
      #expect(evaluations >= 2)
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
}
