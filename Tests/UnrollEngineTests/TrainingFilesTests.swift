// Files of a training run: saved states, and those of another training.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollNeural

@Suite("Files of a training run") struct TrainingFilesTests {
  /// The receiver of the reports on steps may fail, as a log on a full disk does.
  @Test("A report that throws ends training with every step saved")
  func failingReport() throws {
    struct Full: Error {}
    try withTemporaryFolder { folder in
      let scene = try TrainingScene(folder, .small())
      let files = scene.files("a")
      func saved() throws -> Int? {
        let state = try Checkpoint(contentsOf: files.last)
        return state.training?.step
      }
      var run = try scene.begin()
      #expect(throws: Full.self) {
        try run.run(saving: files, every: 2) { event, run in
          guard case .step(let step) = event else { return }
          // A step is reported before it is saved: a run that is killed in between reports it again.
          #expect(try saved() == (step.step - 1) / 2 * 2)
          if step.step == 5 { throw Full() }
        }
      }
      #expect(try saved() == 5)
    }
  }

  @Test("A training stops if another one replaced its files")
  func replacedFiles() throws {
    try withTemporaryFolder { folder in
      let scene = try TrainingScene(folder, .small())
      let files = scene.files("tuned")
      for name in [files.last, files.best] {
        var first = try scene.begin()
        let other = try scene.begin().weights
        do {
          // The other one saves after this one's first evaluation.
          _ = try first.run(saving: files) { event, run in
            if run.state.step == 1, case .step = event {
              try other.write(to: name, replacing: true)
            }
          }
          Issue.record("\(name) was replaced")
        } catch let error as OutputTaken {
          #expect(error.path == name)
        }
        #expect(try Checkpoint(contentsOf: name).weightsDigest == other.weightsDigest)
      }
    }
  }

  @Test("The last states are kept by step, and states of other trainings stay")
  func statesByStep() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      (scene.settings.maximumSteps, scene.settings.maximumEpochs) = (nil, 4)
      let files = TrainingFiles(best: "\(folder)/tuned.unroll.h5", keptStates: 2)
      // A later state of another time is none of this training's.
      let other = files.state(ofStep: 9_999_999)
      try Data().write(to: URL(filePath: other))
      var run = try scene.begin()
      try scene.run(&run, files)
      let steps = run.state.history.map(\.step)
      #expect(steps.count == 5)
      #expect(files.states.map(\.step) == steps.suffix(2) + [9_999_999])
      let last = try #require(files.states.dropLast().last)
      #expect(last.path.hasSuffix("/tuned.step-\(String(format: "%08d", last.step)).unroll.h5"))
      #expect(
        try Data(contentsOf: URL(filePath: last.path))
          == Data(contentsOf: URL(filePath: files.last)))
    }
  }

  @Test(
    "The last state is named after the best model",
    arguments: [
      ("a/tuned.unroll.h5", "a/tuned.last.unroll.h5"), ("tuned.h5", "tuned.last.h5"),
      ("tuned", "tuned.last"), ("a.b/.h5", "a.b/.h5.last"),
    ])
  func nameOfLastState(best: String, last: String) {
    #expect(TrainingFiles(best: best).last == last)
  }
}
