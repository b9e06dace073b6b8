// The folder and the arguments that the tests of `unroll finetune` share.

import Foundation
import TestSupport
import UnrollFormat

/// A suite of tests that run `unroll finetune`.
protocol FinetuneSuite {
  /// The tool.
  var runner: CommandRunner { get }
}

extension FinetuneSuite {
  /// Runs a closure in a folder with a small model and two texts.
  func withScene(
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

  /// The arguments of a short training, without its output.
  static var arguments: [String] {
    [
      "finetune", "model.unroll.h5", "--train", "train.txt", "--valid", "valid.txt", "--batch-size",
      "4",
      "--bptt", "5", "--momentum", "0.9", "--weight-decay", "1e-3", "--steps", "20",
    ]
  }

  /// The contents of files in a folder.
  func bytes(_ names: [String], in folder: String) throws -> [Data] {
    try names.map { try Data(contentsOf: URL(filePath: "\(folder)/\($0)")) }
  }
}
