// Trainings that ranks share: the same bytes for any number of them.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollEngine
@testable import UnrollNeural

@Suite("Trainings shared by ranks") struct RankTests {
  /// Trains on R ranks, as threads.
  ///
  /// - Returns: The result of each rank, and the bytes of both files.
  private func train(
    _ scene: TrainingScene, ranks: Int, name: String = "shared", until step: Int = .max,
    resuming: Bool = false
  ) throws -> (results: [Result<TrainingEnd, any Error>], bytes: [Data]) {
    let results = ThreadGroup.run(ranks) { group in
      let files = scene.files(name)
      var run = try group.joined(resuming ? scene.resume(files) : scene.begin())
      return try scene.run(&run, files, until: step)
    }
    return (results, try TrainingScene.bytes(scene.files(name)))
  }

  private func expectSameBytes(_ scene: TrainingScene, ranks: [Int]) throws {
    var alone = try scene.begin()
    try scene.run(&alone, scene.files("alone"))
    let expected = try TrainingScene.bytes(scene.files("alone"))
    for count in ranks {
      let (results, found) = try train(scene, ranks: count)
      for result in results { #expect(try result.get() == .finished) }
      #expect(found == expected, "\(count) ranks")
    }
  }

  @Test(
    "Any number of ranks writes the same bytes for any optimizer, schedule or option",
    arguments: TrainingPauseTests.variants)
  func sameBytes(variant: String) throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      TrainingPauseTests.set(variant, &scene.settings)
      scene.settings.shards = 4
      scene.settings.maximumSteps = 20
      try expectSameBytes(scene, ranks: [2, 3, 4])
    }
  }

  @Test(
    "Cells, tied weights and clipping of each parameter are shared",
    arguments: [(Cell.lstm, true), (.gru, true), (.gru, false), (.rnn, false), (.qrnn, false)])
  func sameBytesOfModels(cell: Cell, isTied: Bool) throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(
        folder, .small(cell: cell, tied: isTied, hidden: isTied ? [7, 5] : [7, 6]))
      scene.settings.shards = 3
      scene.settings.clip = .parameterNorm(0.05)
      try expectSameBytes(scene, ranks: [2, 3])
    }
  }

  @Test("The head and the tails of an adaptive softmax are shared")
  func adaptiveSoftmax() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small(tails: AdaptiveSoftmaxTests.smallTails))
      scene.settings.shards = 3
      try expectSameBytes(scene, ranks: [2, 3])
    }
  }

  @Test("Sentences are dealt to ranks, long ones as a whole", arguments: [1, 3, 4])
  func sentences(shards: Int) throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      (scene.settings.columns, scene.settings.accumulation) = (1, 5)
      (scene.settings.window, scene.settings.windowKind) = (3, .sentence)
      scene.settings.shards = shards
      scene.settings.regularization = [
        RegularizationTerm(site: .output, kind: .element, rate: 0.3)
      ]
      try expectSameBytes(scene, ranks: (1...shards).filter { $0 != 1 || shards == 1 })
    }
  }

  @Test("Shards change a training by rounding only, dropout included")
  func shardsAreRounding() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      TrainingPauseTests.set("AWD-LSTM", &scene.settings)
      scene.settings.hyperparameters[.learningRate] = 1
      scene.settings.maximumSteps = 4
      var losses: [[Double]] = []
      for shards in [1, 2, 4] {
        scene.settings.shards = shards
        var run = try scene.begin()
        var steps: [Double] = []
        _ = try run.run(saving: scene.files("\(shards)")) { event, _ in
          if case .step(let step) = event { steps.append(step.loss) }
        }
        losses.append(steps)
      }
      #expect(losses[0].count == 4)
      for other in losses.dropFirst() {
        #expect(other != losses[0])
        for (own, expected) in zip(other, losses[0]) { #expect(abs(own - expected) < 1e-5) }
      }
    }
  }

  @Test("A training stopped on four ranks is resumed on two, three and one to the same bytes")
  func resumes() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      TrainingPauseTests.set("AWD-LSTM", &scene.settings)
      scene.settings.shards = 4
      var alone = try scene.begin()
      try scene.run(&alone, scene.files("alone"))
      let expected = try TrainingScene.bytes(scene.files("alone"))
      let (results, _) = try train(scene, ranks: 4, until: 7)
      for result in results { #expect(try result.get() == .paused) }
      for (ranks, step) in [(2, 15), (3, 22), (1, 31)] {
        _ = try train(scene, ranks: ranks, until: step, resuming: true)
        #expect(try Checkpoint(contentsOf: scene.files("shared").last).training?.step == step)
      }
      #expect(try train(scene, ranks: 4, resuming: true).bytes == expected)
    }
  }

  @Test("A rank with another text, model or setting is named, and nothing is written")
  func differingRanks() throws {
    try withTemporaryFolder { folder in
      let scene = try TrainingScene(folder, .small())
      var shared = scene
      shared.settings.shards = 3
      try FileManager.default.createDirectory(
        atPath: "\(folder)/model", withIntermediateDirectories: true)
      var other = try TrainingScene("\(folder)/model", .small(seed: 5))
      other.settings = shared.settings
      try Data((TrainingScene.text(lines: 60, seed: 9)).utf8)
        .write(to: URL(filePath: "\(folder)/other.txt"))
      for (name, expected) in [
        ("file", "\(folder)/none.txt: cannot open"),
        ("text", "expected the training text of rank 0 on h0, sha256 "),
        ("model", "expected the model of rank 0 on h0, weights_digest "),
        ("setting", "expected the setting learning_rate of rank 0 on h0, learning_rate=1.0; found"),
      ] {
        let results = ThreadGroup.run(3) { [shared, other] group in
          var own = shared
          if group.rank == 2 {
            switch name {
            case "text", "file": break
            case "model":
              own = other
            default: own.settings.hyperparameters[.learningRate] = 2
            }
          }
          let train =
            group.rank < 2
            ? "train.txt" : ["text": "other.txt", "file": "none.txt"][name, default: "train.txt"]
          _ = try group.joined(
            TrainingRun(
              own.checkpoint, settings: own.settings, train: own.text(train),
              valid: own.text("valid.txt")))
        }
        #expect(results.count == 3)
        for (rank, result) in results.enumerated() {
          if name == "file" && rank == 2 {
            #expect(throws: FileError.self) { try result.get() }
            continue
          }
          let error = try #require(throws: RankFailure.self) { try result.get() }
          #expect(error.rank == 2)
          #expect(error.description.hasPrefix("rank 2 on h2: \(expected)"), "\(error)")
        }
      }
      let tooFew = ThreadGroup.run(2) { group in
        _ = try group.joined(scene.begin())
      }
      for result in tooFew { #expect(throws: EngineError.self) { try result.get() } }
      scene.expectNoFiles("shared")
    }
  }

  @Test("More shards than streams or sentences are refused")
  func tooManyShards() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      scene.settings.shards = 5
      #expect(throws: EngineError.self) { try scene.begin() }
      (scene.settings.columns, scene.settings.windowKind) = (1, .sentence)
      #expect(throws: EngineError.self) { try scene.begin() }
      scene.settings.accumulation = 5
      #expect(try scene.begin().state.shards == 5)
    }
  }

  /// An error of a log, or of a disk.
  private struct Broken: Error, CustomStringConvertible { let description = "broken" }

  @Test("An error of any rank ends all in the same step, with the last state saved")
  func failures() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      scene.settings.shards = 3
      for failing in 0..<3 {
        let files = scene.files("failing-\(failing)")
        let results = ThreadGroup.run(3) { [scene] group in
          var run = try group.joined(scene.begin())
          _ = try run.run(saving: files) { _, run in
            if run.state.step == 5 && group.rank == failing { throw Broken() }
          }
        }
        for (rank, result) in results.enumerated() {
          if rank == failing {
            #expect(throws: Broken.self) { try result.get() }
          } else {
            let error = try #require(throws: RankFailure.self) { try result.get() }
            #expect(error.description == "rank \(failing) on h\(failing): broken")
          }
        }
        // The state is whole: it is resumed to the bytes of a training that did not fail.
        #expect(try Checkpoint(contentsOf: files.last).training?.step == 5)
        var alone = try scene.begin()
        try scene.run(&alone, scene.files("alone"))
        var resumed = try scene.resume(files)
        try scene.run(&resumed, files)
        let expected = try TrainingScene.bytes(scene.files("alone"))
        #expect(try TrainingScene.bytes(files) == expected)
      }
    }
  }

  @Test("A save that fails after any step, the last of an epoch too, ends all in the same step")
  func failingSave() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      scene.settings.shards = 2
      for step in 1...9 {
        let gone = "\(folder)/gone-\(step)"
        try FileManager.default.createDirectory(
          atPath: gone, withIntermediateDirectories: false)
        let files = TrainingFiles(best: "\(gone)/model.unroll.h5")
        let results = ThreadGroup.run(2) { [scene] group in
          var run = try group.joined(scene.begin())
          _ = try run.run(saving: files, every: 1) { _, run in
            if run.state.step == step && group.rank == 0 {
              try? FileManager.default.removeItem(atPath: gone)
            }
          }
        }
        #expect(throws: FileError.self) { try results[0].get() }
        let other = #expect(throws: RankFailure.self) { try results[1].get() }
        #expect(other?.rank == 0 && other?.message.contains("gone-\(step)") == true)
      }
    }
  }

  @Test("A loss that is not finite ends all ranks, and names the rank")
  func divergence() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      scene.settings.shards = 2
      scene.settings.hyperparameters[.learningRate] = 1e30
      scene.settings.clip = nil
      let files = scene.files("diverged")
      let results = ThreadGroup.run(2) { [scene] group in
        var run = try group.joined(scene.begin())
        _ = try scene.run(&run, files)
      }
      for result in results {
        #expect(throws: (any Error).self) { try result.get() }
      }
      #expect(throws: Diverged.self) { try results[0].get() }
    }
  }

  @Test("Ranks that work for different times wait for each other, and an error is each rank's own")
  func workTogether() throws {
    for fails in [false, true] {
      let results = ThreadGroup.run(3) { group in
        let crew = try TrainingCrew(group, host: "h\(group.rank)")
        let found = try crew.together { isAlive in
          for _ in 0..<5 * group.rank { try isAlive() }
          if fails && group.rank == 1 { throw Broken() }
          return group.rank + 7
        }
        return found
      }
      for (rank, result) in results.enumerated() {
        if fails && rank == 1 {
          #expect(throws: Broken.self) { try result.get() }
        } else {
          #expect(try result.get() == rank + 7)
        }
      }
    }
  }

  @Test(
    "Each rank keeps only its part of the optimizer's state, and a parameter of several pieces is shared"
  )
  func divideState() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small(hidden: [1_100]))
      scene.settings.optimizer = .adam
      scene.settings.hyperparameters = [.learningRate: 1e-3]
      (scene.settings.shards, scene.settings.maximumSteps) = (3, 2)
      try expectSameBytes(scene, ranks: [2, 3])
      let path = ParameterPath.layer(0, .weightHH)
      let kept = try ThreadGroup.run(3) { [scene] group in
        let run = try group.joined(scene.begin())
        return run.optimizer.slots[.firstMoment]?[path]?.count ?? 0
      }.map { try $0.get() }
      #expect(kept.reduce(0, +) == 4 * 1_100 * 1_100)
      #expect(kept.allSatisfy { abs($0 - kept[0]) <= kept[0] / 20 })
    }
  }

  @Test("Ranks share an evaluation, and one of them may keep histograms of the whole gradients")
  func evaluations() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      (scene.settings.shards, scene.settings.maximumSteps) = (4, 20)
      let encoder = try LanguageModel.encoder(of: scene.checkpoint, path: "")
      let retention = try RetentionText(path: "\(folder)/train.txt", old: encoder, new: encoder)
      @Sendable func watch(
        _ begun: TrainingRun, _ files: TrainingFiles, keeps: Bool
      ) throws -> (losses: [[Double]], histograms: [NumberHistogram]) {
        var run = begun
        (run.retention, run.keepsHistograms) = (retention, keeps)
        var losses: [[Double]] = []
        var histograms: [NumberHistogram] = []
        _ = try run.run(saving: files) { event, run in
          if case .evaluation(let record, _, let kept) = event {
            losses.append([record.validNLL, kept ?? .nan])
          }
          histograms += run.gradientHistograms.map(\.histogram)
        }
        return (losses, histograms)
      }
      let alone = try watch(scene.begin(), scene.files("alone"), keeps: true)
      #expect(alone.losses.count > 2 && alone.losses.joined().allSatisfy(\.isFinite))
      #expect(alone.histograms.count > scene.checkpoint.architecture.parameters.count)
      for size in [2, 3, 4] {
        let results = ThreadGroup.run(size) { [scene] group in
          try watch(
            group.joined(scene.begin()), scene.files("shared-\(size)"), keeps: group.rank == 0)
        }
        for (rank, result) in results.enumerated() {
          let found = try result.get()
          #expect(found.losses == alone.losses, "rank \(rank) of \(size)")
          #expect(found.histograms == (rank == 0 ? alone.histograms : []))
        }
      }
    }
  }

  @Test("The wish of one rank to stop pauses all after the same step")
  func wishes() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      scene.settings.shards = 2
      let results = ThreadGroup.run(2) { [scene] group in
        var run = try group.joined(scene.begin())
        let end = try run.run(
          saving: scene.files("paused"),
          shouldPause: { group.rank == 1 && $0.step == 6 }, report: { _, _ in })
        #expect(end == .paused)
        return run.state.step
      }
      for result in results { #expect(try result.get() == 6) }
      #expect(try Checkpoint(contentsOf: scene.files("paused").last).training?.step == 6)
    }
  }
}

extension ThreadGroup {
  /// Returns a training that is shared with the other ranks, on hosts h0, h1, ...
  fileprivate func joined(_ run: @autoclosure () throws -> TrainingRun) throws -> TrainingRun {
    try TrainingRun.joining(Result { try run() }, self, host: "h\(rank)").run
  }
}

extension TrainingScene {
  fileprivate func expectNoFiles(_ name: String) {
    for path in [files(name).best, files(name).last] {
      #expect(!FileManager.default.fileExists(atPath: path))
    }
  }
}
