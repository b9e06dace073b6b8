// The model and the texts that the tests of trainings share.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollNeural

/// A folder with a model and texts, and runs in it.
struct TrainingScene {
  let folder: String
  let checkpoint: Checkpoint
  var settings = TrainingSettings()

  init(_ folder: String, _ checkpoint: Checkpoint) throws {
    self.folder = folder
    self.checkpoint = checkpoint
    for (name, lines, seed) in [("train.txt", 60, 1), ("valid.txt", 30, 2)] as [(_, _, UInt64)] {
      try Data(Self.text(lines: lines, seed: seed).utf8)
        .write(to: URL(filePath: "\(folder)/\(name)"))
    }
    settings.columns = 4
    settings.window = 5
    settings.hyperparameters[.momentum] = 0.9
    settings.hyperparameters[.weightDecay] = 1e-3
    settings.maximumEpochs = nil
    settings.maximumSteps = 40
  }

  func text(_ name: String) throws -> TrainingText {
    try TrainingText(
      path: "\(folder)/\(name)", encoder: LanguageModel.encoder(of: checkpoint, path: ""))
  }

  func begin() throws -> TrainingRun {
    try TrainingRun(
      checkpoint, settings: settings, train: text("train.txt"), valid: text("valid.txt"),
      inputs: ["00 model"])
  }

  func resume(
    _ files: TrainingFiles, changes: TrainingChanges = TrainingChanges(),
    train: String = "train.txt", valid: String = "valid.txt"
  ) throws -> TrainingRun {
    var run = try TrainingRun(
      resuming: Checkpoint(contentsOf: files.last), path: files.last, train: text(train),
      valid: text(valid), changes: changes)
    let best = try Checkpoint(contentsOf: files.best)
    try run.restoreBest(
      files, weightsDigest: best.weightsDigest, parameters: best.parameters)
    return run
  }

  func files(_ name: String) -> TrainingFiles { TrainingFiles(best: "\(folder)/\(name).h5") }

  /// Runs until a step, or to the end.
  @discardableResult
  func run(
    _ run: inout TrainingRun, _ files: TrainingFiles, until step: Int = .max
  ) throws -> TrainingEnd {
    try run.run(saving: files, shouldPause: { $0.step >= step }, report: { _, _ in })
  }

  /// Lines of seeded words of the small checkpoint's vocabulary.
  static func text(lines: Int, seed: UInt64) -> String {
    var generator = SeededGenerator(seed: seed)
    let words = ["the", "cat", "sat", "on", "a", "mat", "dog"]
    return (0..<lines).map { _ in
      (0..<Int.random(in: 0...6, using: &generator)).map { _ in
        words[Int.random(in: 0..<words.count, using: &generator)]
      }.joined(separator: " ") + "\n"
    }.joined()
  }

  /// The contents of both files of a training.
  static func bytes(_ files: TrainingFiles) throws -> [Data] {
    try [files.best, files.last].map { try Data(contentsOf: URL(filePath: $0)) }
  }
}
