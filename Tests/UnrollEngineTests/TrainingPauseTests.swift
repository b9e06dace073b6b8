// Trainings that are paused or killed end in the same bytes.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollNeural

@Suite("Paused trainings") struct TrainingPauseTests {
  private static let models: [(Cell, Bool)] = [(.lstm, false), (.gru, true), (.rnn, false)]

  @Test("A training paused after any step ends in the same bytes", arguments: models)
  func pausesAfterAnyStep(cell: Cell, isTied: Bool) throws {
    try withTemporaryFolder { folder in
      let scene = try TrainingScene(
        folder, .small(cell: cell, tied: isTied, hidden: isTied ? [7, 5] : [7, 6]))
      let whole = scene.files("whole")
      var uninterrupted = try scene.begin()
      #expect(try scene.run(&uninterrupted, whole) == .finished)
      #expect(uninterrupted.state.step == 40)
      #expect(uninterrupted.state.epoch > 0)
      let expected = try TrainingScene.bytes(whole)
      for step in 0..<40 {
        let files = scene.files("paused")
        var first = try scene.begin()
        #expect(try scene.run(&first, files, until: step) == .paused)
        #expect(first.state.step == step)
        var second = try scene.resume(files)
        #expect(try scene.run(&second, files) == .finished)
        #expect(try TrainingScene.bytes(files) == expected, "paused after step \(step)")
      }
    }
  }

  /// An LSTM with a projection and hard gates below a GRU that resets before the product, and a
  /// projection before the output.
  private static var withVariants: Checkpoint {
    var checkpoint = Checkpoint.small()
    checkpoint.architecture.layers[0].projectionSize = 4
    checkpoint.architecture.layers[0].gateActivation = .hardSigmoid(alpha: 0.2, beta: 0.5)
    var gru = LayerArchitecture(cell: .gru, inputSize: 4, hiddenSize: 6, bias: .single)
    gru.reset = .before
    checkpoint.architecture.layers[1] = gru
    checkpoint.architecture.hasOutputProjection = true
    checkpoint.parameters = Initialization.orthogonal.parameters(
      of: checkpoint.architecture, seed: 3)
    return checkpoint
  }

  @Test("Models with layer variants are trained, resumed and replayed")
  func layerVariants() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, Self.withVariants)
      scene.settings.regularization = [
        RegularizationTerm(site: .between, kind: .locked, rate: 0.2),
        RegularizationTerm(site: .weightHH, kind: .weight, rate: 0.2),
      ]
      let whole = scene.files("whole")
      var uninterrupted = try scene.begin()
      #expect(try scene.run(&uninterrupted, whole) == .finished)
      let expected = try TrainingScene.bytes(whole)
      for step in [0, 1, 23] {
        let files = scene.files("paused")
        var first = try scene.begin()
        #expect(try scene.run(&first, files, until: step) == .paused)
        var second = try scene.resume(files)
        #expect(try scene.run(&second, files) == .finished)
        #expect(try TrainingScene.bytes(files) == expected, "paused after step \(step)")
      }
      let trained = try Checkpoint(contentsOf: whole.last)
      #expect(trained.training?.hidden.map { $0[.h]?.shape } == [[4, 4], [4, 6]])
      #expect(trained.training?.hidden.map { $0[.c]?.shape } == [[4, 7], nil])
      // The trained model gives the numbers of the reference model.
      let test = try #require(try SelfTest(of: trained))
      for (own, other) in zip(
        try replay(trained, test).logProbabilities, test.logProbabilities)
      {
        #expect(abs(own - other) < 2e-6)
      }
      var settings = GradientSettings()
      (settings.lags, settings.positions, settings.windows) = (3, 4, 4)
      let flow = try GradientFlow(
        of: trained, path: "", text: "\(folder)/train.txt", settings: settings)
      #expect(flow.curves.map(\.quantity) == [.hidden, .cell, .hidden])
      #expect(flow.recurrences.count == 7)
    }
  }

  static let variants =
    OptimizerKind.allCases.map(\.rawValue) + ScheduleKind.allCases.map(\.rawValue) + [
      "momentum", "accumulation", "layer decay and unfreezing", "frozen", "clipped by value",
      "dropout", "AWD-LSTM", "bf16", "shards",
      "sampled softmax",
    ]

  /// Every rule and every schedule, layers of their own rates, frozen parts, accumulated gradients.
  static func set(_ variant: String, _ settings: inout TrainingSettings) {
    if variant == "momentum" { return }
    settings.hyperparameters = [:]
    if let kind = OptimizerKind(rawValue: variant) {
      settings.optimizer = kind
      settings.hyperparameters = [.weightDecay: 1e-3]
      if kind == .sgd { settings.hyperparameters[.nesterov] = 1 }
      if kind.defaults[.momentum] != nil { settings.hyperparameters[.momentum] = 0.8 }
      if kind == .adam { settings.weightDecayKind = .decoupled }
      if kind == .asgd { settings.hyperparameters[.start] = 12 }
    } else if let kind = ScheduleKind(rawValue: variant) {
      settings.schedule = LearningRateSchedule(kind)
      settings.hyperparameters[.learningRate] = 6
      guard kind == .divideOnPlateau else { return }
      settings.schedule[.rollback] = 1
      settings.hyperparameters[.learningRate] = 60
    } else {
      switch variant {
      case "accumulation": settings.accumulation = 3
      case "layer decay and unfreezing":
        (settings.layerDecay, settings.unfreezeEvery) = (2.6, 1)
      case "dropout":
        settings.accumulation = 2
        settings.regularization = [.embedding, .between, .output].map {
          RegularizationTerm(site: $0, kind: .element, rate: 0.3)
        }
      case "AWD-LSTM":
        settings.windowKind = .random
        settings.schedule = LearningRateSchedule(.constant)
        settings.hyperparameters[.learningRate] = 60
        settings.averageAfter = 0
        settings.regularization = [
          RegularizationTerm(site: .embedding, kind: .row, rate: 0.1),
          RegularizationTerm(site: .embedding, kind: .locked, rate: 0.4),
          RegularizationTerm(site: .between, kind: .locked, rate: 0.25),
          RegularizationTerm(site: .output, kind: .locked, rate: 0.4),
          RegularizationTerm(site: .weightHH, kind: .weight, rate: 0.5),
          RegularizationTerm(site: .output, kind: .activation, rate: 2),
          RegularizationTerm(site: .output, kind: .temporal, rate: 1),
        ]
      case "shards": settings.shards = 3
      case "sampled softmax": settings.sampledSoftmax = 4
      case "bf16": settings.precision = .bfloat16
      case "frozen": settings.frozen = ["embedding", "layers/00"]
      default: settings.clip = .value(0.01)
      }
    }
  }

  @Test(
    "Pauses after every step change no byte for any optimizer, schedule or option",
    arguments: variants)
  func pausesOfAnyOptimizer(variant: String) throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      Self.set(variant, &scene.settings)
      var uninterrupted = try scene.begin()
      try scene.run(&uninterrupted, scene.files("whole"))
      #expect(uninterrupted.state.step == 40 && uninterrupted.state.epoch > 1)
      if variant == "AWD-LSTM" { #expect(uninterrupted.state.evaluatesAverages) }
      if variant == "divide_on_plateau" { #expect(uninterrupted.learningRate < 60) }
      let files = scene.files("paused")
      var run = try scene.begin()
      var end = try scene.run(&run, files, until: 0)
      while end == .paused {
        var next = try scene.resume(files)
        end = try scene.run(&next, files, until: next.state.step + 1)
      }
      #expect(try TrainingScene.bytes(files) == TrainingScene.bytes(scene.files("whole")))
    }
  }

  @Test("A training killed between its two saves is resumed to the same bytes")
  func killBetweenSaves() throws {
    try withTemporaryFolder { folder in
      let scene = try TrainingScene(folder, .small())
      let whole = scene.files("whole")
      var uninterrupted = try scene.begin()
      try scene.run(&uninterrupted, whole)
      let files = scene.files("killed")
      var run = try scene.begin()
      try scene.run(&run, files, until: 0)
      let older = try Data(contentsOf: URL(filePath: files.best))
      // The first evaluation after an epoch is the best so far, and the model is the state's.
      _ = try run.run(
        saving: files, shouldPause: { $0.history.count == 2 }, report: { _, _ in })
      #expect(run.isBest)
      try older.write(to: URL(filePath: files.best))
      var resumed = try scene.resume(files)
      try scene.run(&resumed, files)
      #expect(try TrainingScene.bytes(files) == TrainingScene.bytes(whole))
    }
  }
}
