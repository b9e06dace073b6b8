// Trainings that are resumed with other settings or texts, or refused.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollNeural

@Suite("Resumed trainings") struct TrainingResumeTests {
  @Test("Changes of settings on resumption are made and recorded")
  func recordedChanges() throws {
    try withTemporaryFolder { folder in
      let scene = try TrainingScene(folder, .small())
      let files = scene.files("tuned")
      var first = try scene.begin()
      try scene.run(&first, files, until: 7)
      var changes = TrainingChanges()
      (changes.window, changes.accumulation, changes.seed) = (3, 2, 9)
      changes.hyperparameters = [.momentum: 0, .weightDecay: 1e-3]
      changes.clip = .some(nil)
      changes.regularization = [RegularizationTerm(site: .output, kind: .element, rate: 0.5)]
      var run = try scene.resume(files, changes: changes)
      #expect(run.state.data.cursor == first.state.data.cursor)
      #expect(run.carried.layers[0].h == first.carried.layers[0].h)
      #expect(run.optimizer.groups.allSatisfy { $0[.momentum] == 0 && $0.clip == nil })
      try scene.run(&run, files, until: 9)
      let row = first.state.data.cursor + 12
      #expect(run.state.data.cursor == row)
      let arguments = try #require(run.weights.provenance.last?.arguments)
      #expect(
        arguments.hasSuffix(
          "\nfrom_step_7: window=3 regularize=output:element=0.5 seed=9 accumulation=2 "
            + "momentum=0.0 clip=none"), "\(arguments)")
      var columns = TrainingChanges()
      (columns.columns, columns.schedule) = (5, LearningRateSchedule(.cosine))
      run = try scene.resume(files, changes: columns)
      #expect(run.state.data.cursor == 0 && run.carried.layers[0].h.allSatisfy { $0 == 0 })
      #expect(run.state.schedule[.total] == 40)
      try scene.run(&run, files)
      #expect(run.state.step == 40)
    }
  }

  @Test("Hyperparameters of another optimizer are refused on resumption")
  func hyperparametersOfAnotherOptimizer() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      (scene.settings.optimizer, scene.settings.hyperparameters) = (.adam, [:])
      let files = scene.files("tuned")
      var first = try scene.begin()
      try scene.run(&first, files, until: 3)
      var (momentum, average) = (TrainingChanges(), TrainingChanges())
      (momentum.hyperparameters[.momentum], average.averageAfter) = (0.5, 5)
      for changes in [momentum, average] {
        #expect(throws: EngineError.self) { try scene.resume(files, changes: changes) }
      }
    }
  }

  @Test("Another training text begins an epoch, and another validation text new evaluations")
  func otherTexts() throws {
    try withTemporaryFolder { folder in
      let scene = try TrainingScene(folder, .small())
      let whole = scene.files("whole")
      var uninterrupted = try scene.begin()
      try scene.run(&uninterrupted, whole)
      let files = scene.files("tuned")
      var first = try scene.begin()
      try scene.run(&first, files, until: 20)
      let saved = try TrainingScene.bytes(files)
      try Data(TrainingScene.text(lines: 50, seed: 3).utf8).write(
        to: URL(filePath: "\(folder)/other.txt"))
      // Parts that may change need not change.
      var changes = TrainingChanges()
      changes.allowsOtherTexts = true
      var same = try scene.resume(files, changes: changes)
      try scene.run(&same, files)
      #expect(try TrainingScene.bytes(files) == TrainingScene.bytes(whole))
      for (path, data) in zip([files.best, files.last], saved) {
        try data.write(to: URL(filePath: path))
      }
      #expect(throws: EngineError.self) { try scene.resume(files, train: "other.txt") }
      let train = try scene.resume(files, changes: changes, train: "other.txt")
      #expect(
        train.state.data.cursor == 0
          && train.state.history.map(\.step) == first.state.history.map(\.step))
      #expect(train.carried.layers[0].h.allSatisfy { $0 == 0 })
      var valid = try scene.resume(files, changes: changes, valid: "other.txt")
      #expect(valid.state.data.cursor == first.state.data.cursor)
      #expect(valid.state.history.isEmpty && valid.state.best == nil)
      try scene.run(&valid, files)
      #expect(valid.state.history.map(\.step).first == 20)
      let arguments = try #require(valid.weights.provenance.last?.arguments)
      #expect(arguments.hasSuffix("\nfrom_step_20: valid=\(try scene.text("other.txt").digest)"))
    }
  }

  @Test("A missing or different best model refuses the resumption")
  func missingBestModel() throws {
    try withTemporaryFolder { folder in
      let scene = try TrainingScene(folder, .small())
      let files = scene.files("tuned")
      var run = try scene.begin()
      try scene.run(&run, files, until: 3)
      var resumed = try TrainingRun(
        resuming: Checkpoint(contentsOf: files.last), path: files.last,
        train: scene.text("train.txt"), valid: scene.text("valid.txt"))
      #expect(throws: EngineError.self) { try resumed.restoreBest(files, weightsDigest: nil) }
      #expect(throws: EngineError.self) { try resumed.restoreBest(files, weightsDigest: "00") }
    }
  }

  @Test("A changed training text refuses the resumption")
  func changedText() throws {
    try withTemporaryFolder { folder in
      let scene = try TrainingScene(folder, .small())
      let files = scene.files("tuned")
      var run = try scene.begin()
      try scene.run(&run, files, until: 3)
      try Data(TrainingScene.text(lines: 60, seed: 9).utf8)
        .write(to: URL(filePath: "\(folder)/train.txt"))
      #expect(throws: EngineError.self) { try scene.resume(files) }
    }
  }

  @Test("A model without training state is not resumed")
  func missingTraining() throws {
    try withTemporaryFolder { folder in
      let scene = try TrainingScene(folder, .small())
      #expect(throws: EngineError.self) {
        try TrainingRun(
          resuming: scene.checkpoint, path: "model.h5", train: scene.text("train.txt"),
          valid: scene.text("valid.txt"))
      }
    }
  }
}
