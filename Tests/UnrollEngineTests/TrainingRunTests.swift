// swift-format-ignore-file: AlwaysUseLowerCamelCase
// A training run: it ends the same however it was interrupted, and never loses its best.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollNeural

@Suite("Training runs") struct TrainingRunTests {
  /// Lines of seeded words of the small checkpoint's vocabulary.
  fileprivate static func text(lines: Int, seed: UInt64) -> String {
    var generator = SeededGenerator(seed: seed)
    let words = ["the", "cat", "sat", "on", "a", "mat", "dog"]
    return (0..<lines).map { _ in
      (0..<Int.random(in: 0...6, using: &generator)).map { _ in
        words[Int.random(in: 0..<words.count, using: &generator)]
      }.joined(separator: " ") + "\n"
    }.joined()
  }

  /// A folder with a model and texts, and runs in it.
  private struct Scene {
    let folder: String
    let checkpoint: Checkpoint
    var settings = TrainingSettings()

    init(_ folder: String, _ checkpoint: Checkpoint) throws {
      (self.folder, self.checkpoint) = (folder, checkpoint)
      for (name, lines, seed) in [("train.txt", 60, 1), ("valid.txt", 30, 2)] as [(_, _, UInt64)] {
        try Data(TrainingRunTests.text(lines: lines, seed: seed).utf8)
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
  }

  private static func bytes(_ files: TrainingFiles) throws -> [Data] {
    try [files.best, files.last].map { try Data(contentsOf: URL(filePath: $0)) }
  }

  private static let models: [(Cell, Bool)] = [(.lstm, false), (.gru, true), (.rnn, false)]

  /// Whoever is told of the steps may fail, as a log on a full disk does.
  @Test("A report that throws ends training with every step saved")
  func whoIsToldMayFailAndNoStepIsLost() throws {
    struct Full: Error {}
    try withTemporaryFolder { folder in
      let scene = try Scene(folder, .small())
      let files = scene.files("a")
      func saved() throws -> Int? {
        let state = try Checkpoint(contentsOf: files.last)
        return state.training?.step
      }
      var run = try scene.begin()
      #expect(throws: Full.self) {
        try run.run(saving: files, every: 2) { event, run in
          guard case .step(let step) = event else { return }
          // A step is told before it is saved: who is killed in between tells it again.
          #expect(try saved() == (step.step - 1) / 2 * 2)
          if step.step == 5 { throw Full() }
        }
      }
      #expect(try saved() == 5)
    }
  }

  @Test("A training paused after any step ends in the same bytes", arguments: models)
  func aPauseAfterAnyStepChangesNothing(cell: Cell, isTied: Bool) throws {
    try withTemporaryFolder { folder in
      let scene = try Scene(
        folder, .small(cell: cell, tied: isTied, hidden: isTied ? [7, 5] : [7, 6]))
      let whole = scene.files("whole")
      var uninterrupted = try scene.begin()
      #expect(try scene.run(&uninterrupted, whole) == .finished)
      #expect(uninterrupted.state.step == 40)
      #expect(uninterrupted.state.epoch > 0)
      let expected = try Self.bytes(whole)
      for step in 0..<40 {
        let files = scene.files("paused")
        var first = try scene.begin()
        #expect(try scene.run(&first, files, until: step) == .paused)
        #expect(first.state.step == step)
        var second = try scene.resume(files)
        #expect(try scene.run(&second, files) == .finished)
        #expect(try Self.bytes(files) == expected, "paused after step \(step)")
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
  func variantsAreTrainedSavedAndResumed() throws {
    try withTemporaryFolder { folder in
      var scene = try Scene(folder, Self.withVariants)
      scene.settings.regularization = [
        RegularizationTerm(site: .between, kind: .locked, rate: 0.2),
        RegularizationTerm(site: .weightHH, kind: .weight, rate: 0.2),
      ]
      let whole = scene.files("whole")
      var uninterrupted = try scene.begin()
      #expect(try scene.run(&uninterrupted, whole) == .finished)
      let expected = try Self.bytes(whole)
      for step in [0, 1, 23] {
        let files = scene.files("paused")
        var first = try scene.begin()
        #expect(try scene.run(&first, files, until: step) == .paused)
        var second = try scene.resume(files)
        #expect(try scene.run(&second, files) == .finished)
        #expect(try Self.bytes(files) == expected, "paused after step \(step)")
      }
      let trained = try Checkpoint(contentsOf: whole.last)
      #expect(trained.training?.hidden.map { $0.h.shape } == [[4, 4], [4, 6]])
      #expect(trained.training?.hidden.map { $0.c?.shape } == [[4, 7], nil])
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

  private static let variants =
    OptimizerKind.allCases.map(\.rawValue) + ScheduleKind.allCases.map(\.rawValue) + [
      "momentum", "accumulation", "layer decay and unfreezing", "frozen", "clipped by value",
      "dropout", "AWD-LSTM", "bf16",
    ]

  /// Every rule and every schedule, layers of their own rates, frozen parts, accumulated gradients.
  private static func set(_ variant: String, _ settings: inout TrainingSettings) {
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
      case "bf16": settings.precision = .bfloat16
      case "frozen": settings.frozen = ["embedding", "layers/00"]
      default: settings.clip = .value(0.01)
      }
    }
  }

  @Test(
    "Pauses after every step change no byte for any optimizer, schedule or option",
    arguments: variants)
  func aPauseChangesNothingWhateverTheRule(variant: String) throws {
    try withTemporaryFolder { folder in
      var scene = try Scene(folder, .small())
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
      #expect(try Self.bytes(files) == Self.bytes(scene.files("whole")))
    }
  }

  @Test("Choosing an optimizer gives its learning rate, and keeps one that was set")
  func optimizersHaveTheirDefaults() throws {
    let architecture = Checkpoint.small().architecture
    func rate(_ choose: (inout TrainingSettings) -> Void) throws -> Double {
      var settings = TrainingSettings()
      choose(&settings)
      return try settings.optimizerState(keeping: nil, for: architecture).groups[0][.learningRate]
    }
    #expect(try rate { _ in } == 1)
    for kind in OptimizerKind.allCases where kind != .sgd {
      #expect(try rate { $0.optimizer = kind } == kind.defaults[.learningRate], "\(kind)")
    }
    #expect(try rate { $0.optimizer = .adam } == 0.001)
    #expect(try rate { ($0.optimizer, $0.hyperparameters[.learningRate]) = (.adam, 0.01) } == 0.01)
    let before = try rate {
      $0.hyperparameters[.learningRate] = 0.02
      $0.optimizer = .adam
    }
    #expect(before == 0.02)
    let back = try rate {
      $0.optimizer = .adam
      $0.optimizer = .sgd
    }
    #expect(back == 1)
  }

  /// A training that begins with the optimizer of another goes on from its moments and steps.
  @Test("A training can begin with the optimizer of another")
  func anOptimizerCanBeKept() throws {
    try withTemporaryFolder { folder in
      var scene = try Scene(folder, .small())
      scene.settings.optimizer = .adam
      scene.settings.hyperparameters = [:]
      scene.settings.maximumSteps = 8
      var first = try scene.begin()
      try scene.run(&first, scene.files("first"))
      var checkpoint = first.resumable
      checkpoint.training = nil
      try checkpoint.write(to: "\(folder)/optimizer.h5")
      var second = try Scene(folder, try Checkpoint(contentsOf: "\(folder)/optimizer.h5"))
      second.settings.keepsOptimizer = true
      second.settings.hyperparameters = [:]
      second.settings.maximumSteps = 3
      var run = try second.begin()
      try second.run(&run, second.files("second"))
      let optimizer = try #require(run.resumable.optimizer)
      #expect(optimizer.kind == .adam && optimizer.step == 3)
      #expect(optimizer.groups.map(\.step) == [11] && run.state.step == 3)
      second.settings.keepsOptimizer = false
      second.settings.optimizer = .adam
      var anew = try second.begin()
      try second.run(&anew, second.files("third"))
      #expect(anew.weights.weightsDigest != run.weights.weightsDigest)
      scene.settings.keepsOptimizer = true
      #expect(throws: TrainingError.self) { try scene.begin() }
    }
  }

  @Test("Frozen parts do not change, and a part that the model lacks is refused")
  func frozenPartsStayAsTheyAre() throws {
    try withTemporaryFolder { folder in
      var scene = try Scene(folder, .small())
      scene.settings.frozen = ["embedding", "layers/00"]
      scene.settings.maximumSteps = 5
      var run = try scene.begin()
      try scene.run(&run, scene.files("tuned"))
      for path in run.weights.parameters.paths {
        let isSame =
          run.weights.parameters[path]?.floats() == scene.checkpoint.parameters[path]?.floats()
        let isFrozen = path == .embeddingWeight || path.description.contains("layers/00")
        #expect(isSame == isFrozen, "\(path)")
      }
      scene.settings.frozen = ["layers/07"]
      #expect(throws: TrainingError.self) { try scene.begin() }
    }
  }

  /// Of a tied model without momentum: the gradients of three windows make one step.
  @Test("Accumulated gradients are those of the mean loss over all windows")
  func accumulatedGradientsAreThoseOfTheMeanLoss() throws {
    let checkpoint = Checkpoint.small(tied: true, hidden: [7, 5])
    let model = try TrainableModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    let windows: [([Int32], [Int32])] = [
      ([1, 2, 3, 4], [2, 3, 4, 5]), ([5, 6], [6, 7]), ([0, 0, 1, 1, 2, 2], [1, 1, 2, 2, 3, 3]),
    ]
    var expected: [ParameterPath: [Double]] = [:]
    var state = model.zeroState(columns: 2)
    for (inputs, targets) in windows {
      _ = try model.backpropagate(inputs: inputs, targets: targets, state: &state)
      for (path, gradient) in model.wholeGradients {
        let sum = expected[path] ?? gradient.map { _ in 0 }
        expected[path] = zip(sum, gradient).map { $0 + Double($1) * Double(inputs.count) / 12 }
      }
    }
    state = model.zeroState(columns: 2)
    model.beginAccumulation(true)
    for (inputs, targets) in windows {
      _ = try model.backpropagate(
        inputs: inputs, targets: targets, state: &state, share: Double(inputs.count) / 12)
    }
    for (path, gradient) in model.wholeGradients {
      for (found, wanted) in zip(gradient, try #require(expected[path])) {
        #expect(abs(Double(found) - wanted) < 1e-7, "\(path)")
      }
    }
    #expect(expected.count == model.wholeGradients.count)
  }

  @Test("The best checkpoint has the lowest validation loss, and plateaus divide the rate")
  func theBestModelIsTheOneWithTheLowestLoss() throws {
    try withTemporaryFolder { folder in
      var scene = try Scene(folder, .small())
      scene.settings.hyperparameters[.learningRate] = 3
      scene.settings.maximumSteps = nil
      scene.settings.maximumEpochs = 6
      let files = scene.files("tuned")
      var run = try scene.begin()
      try scene.run(&run, files)
      let history = run.state.history
      #expect(history.count == 7)
      let best = try #require(run.state.best)
      #expect(best.validNLL == history.map(\.validNLL).min())
      #expect(history.first { $0.step == best.step }?.validNLL == best.validNLL)
      let saved = try Checkpoint(contentsOf: files.best)
      #expect(saved.weightsDigest == best.weightsDigest)
      #expect(saved.training == nil && saved.optimizer == nil)
      let model = try LanguageModel(saved, path: files.best)
      let measured = try model.perplexity(ofText: "\(folder)/valid.txt", protocol: .columns)
      #expect(measured.nll == best.validNLL)
      // The rate is divided after each evaluation that does not improve, and only then.
      var (rate, lowest) = (3.0, Double.infinity)
      for record in history {
        #expect(record.learningRate == rate)
        if record.validNLL < lowest { lowest = record.validNLL } else { rate /= 4 }
      }
      #expect(rate < 3, "the learning rate was to be so high that some epoch is no better")
    }
  }

  @Test("Training lowers the loss, and counts the tokens that it has seen")
  func aRunLearns() throws {
    try withTemporaryFolder { folder in
      let scene = try Scene(folder, .small())
      var run = try scene.begin()
      try scene.run(&run, scene.files("tuned"))
      let history = run.state.history
      #expect(try #require(history.last).trainNLL < #require(history.first).validNLL - 0.1)
      // Windows of 5 rows of 4 columns, but for a shorter one at the end of each epoch.
      let rows = run.state.data.tokens / 4
      #expect(run.state.tokensSeen == (run.state.epoch * (rows - 1) + run.state.data.cursor) * 4)
    }
  }

  @Test("A BPTT length beyond the memory is refused by its real need")
  func windowsThatMemoryCannotHoldAreRefused() throws {
    try withTemporaryFolder { folder in
      var scene = try Scene(folder, .small())
      scene.settings.window = 1_000_000
      let (train, valid) = (try scene.text("train.txt"), try scene.text("valid.txt"))
      let rows = train.ids.count / scene.settings.columns
      let need = try #require(
        TrainableModel.byteCount(
          of: scene.checkpoint.architecture, window: rows - 1, columns: 4, slotCount: 1))
      func begin(memory: Int) throws -> TrainingRun {
        try TrainingRun(
          scene.checkpoint, settings: scene.settings, train: train, valid: valid,
          inputs: ["00 model"],
          memory: UInt64(memory))
      }
      // The need follows from the tokens that the streams have, not from the option.
      let run = try begin(memory: need)
      let error = #expect(throws: TrainingError.self) { try begin(memory: need - 1) }
      #expect(error?.path == "BPTT length \(rows - 1) with batch size 4")
      #expect(error?.fix.contains("--bptt") == true)
      #expect(throws: TrainingError.self) {
        try TrainingRun(
          resuming: run.resumable, path: "a.last.h5", train: train, valid: valid,
          memory: UInt64(need - 1))
      }
    }
  }

  /// The sum beyond every integer is none, and no trap.
  @Test("The memory estimate is the sum of its parts, and overflow is no number")
  func theNeedOfMemoryIsThatOfItsParts() {
    func need(_ T: Int, _ B: Int) -> Int? {
      TrainableModel.byteCount(
        of: Checkpoint.small().architecture, window: T, columns: B, slotCount: 0)
    }
    let layers = Checkpoint.small().architecture.layers
    let widest = layers.reduce(Checkpoint.small().architecture.embeddingSize) {
      max($0, $1.hiddenSize)
    }
    // Two windows that have every token and more rows than a block of logits.
    let tapes = layers.reduce(0) { $0 + 6 * $1.hiddenSize }
    let floats = Checkpoint.small().architecture.embeddingSize + 2 * widest + tapes
    #expect(need(2000, 1).flatMap { large in need(1000, 1).map { large - $0 } } == 4000 * floats)
    #expect(need(.max, 1) == nil && need(1 << 31, 1 << 31) == nil)
  }

  @Test("A training stops if another one replaced its files")
  func aSecondTrainingDoesNotWriteToTheSameFiles() throws {
    try withTemporaryFolder { folder in
      let scene = try Scene(folder, .small())
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

  @Test("A loss that is not finite keeps the last good state, which a lower rate resumes")
  func aLossThatIsNotFiniteKeepsTheLastGoodState() throws {
    try withTemporaryFolder { folder in
      var scene = try Scene(folder, .small())
      scene.settings.hyperparameters[.learningRate] = 1e39
      scene.settings.hyperparameters[.momentum] = 0
      let files = scene.files("tuned")
      var run = try scene.begin()
      do {
        try scene.run(&run, files)
        Issue.record("a learning rate of 1e39 was to explode")
      } catch let error as Diverged {
        #expect(error.step == 1)
        #expect(error.description.contains("step 2: expected a finite loss"))
        #expect(error.description.contains("/model/embedding/weight"))
      }
      let kept = try Checkpoint(contentsOf: files.last)
      #expect(kept.training?.step == 0)
      // A lower rate goes on from there.
      var changes = TrainingChanges()
      (changes.maximumSteps, changes.learningRate) = (6, 0.5)
      var second = try scene.resume(files, changes: changes)
      try scene.run(&second, files)
      #expect(second.state.step == 6)
      #expect(
        try Checkpoint(contentsOf: files.last).provenance.last?.arguments
          .hasSuffix("\nfrom_step_0: steps=6 learning_rate=0.5") == true)
    }
  }

  @Test("Changes of settings on resumption are made and recorded")
  func changesAreMadeAndWrittenDown() throws {
    try withTemporaryFolder { folder in
      let scene = try Scene(folder, .small())
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
          "\nfrom_step_7: window=3 accumulation=2 regularize=output:element=0.5 seed=9 "
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
  func numbersOfAnotherRuleAreRefused() throws {
    try withTemporaryFolder { folder in
      var scene = try Scene(folder, .small())
      (scene.settings.optimizer, scene.settings.hyperparameters) = (.adam, [:])
      let files = scene.files("tuned")
      var first = try scene.begin()
      try scene.run(&first, files, until: 3)
      var (momentum, average) = (TrainingChanges(), TrainingChanges())
      (momentum.hyperparameters[.momentum], average.averageAfter) = (0.5, 5)
      for changes in [momentum, average] {
        #expect(throws: TrainingError.self) { try scene.resume(files, changes: changes) }
      }
    }
  }

  @Test("Another training text begins an epoch, and another validation text new evaluations")
  func otherTextsBeginAnEpochOrNewEvaluations() throws {
    try withTemporaryFolder { folder in
      let scene = try Scene(folder, .small())
      let whole = scene.files("whole")
      var uninterrupted = try scene.begin()
      try scene.run(&uninterrupted, whole)
      let files = scene.files("tuned")
      var first = try scene.begin()
      try scene.run(&first, files, until: 20)
      let saved = try Self.bytes(files)
      try Data(Self.text(lines: 50, seed: 3).utf8).write(to: URL(filePath: "\(folder)/other.txt"))
      // Parts that may change need not change.
      var changes = TrainingChanges()
      changes.allowsOtherTexts = true
      var same = try scene.resume(files, changes: changes)
      try scene.run(&same, files)
      #expect(try Self.bytes(files) == Self.bytes(whole))
      for (path, data) in zip([files.best, files.last], saved) {
        try data.write(to: URL(filePath: path))
      }
      #expect(throws: TrainingError.self) { try scene.resume(files, train: "other.txt") }
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

  @Test("The last states are kept by step, and states of other trainings stay")
  func theLastStatesAreKept() throws {
    try withTemporaryFolder { folder in
      var scene = try Scene(folder, .small())
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

  @Test("A training killed between its two saves is resumed to the same bytes")
  func aRunThatWasKilledBetweenItsSavesIsResumed() throws {
    try withTemporaryFolder { folder in
      let scene = try Scene(folder, .small())
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
      #expect(try Self.bytes(files) == Self.bytes(whole))
    }
  }

  @Test("A missing or different best model refuses the resumption")
  func aLostBestModelIsNamed() throws {
    try withTemporaryFolder { folder in
      let scene = try Scene(folder, .small())
      let files = scene.files("tuned")
      var run = try scene.begin()
      try scene.run(&run, files, until: 3)
      var resumed = try TrainingRun(
        resuming: Checkpoint(contentsOf: files.last), path: files.last,
        train: scene.text("train.txt"), valid: scene.text("valid.txt"))
      #expect(throws: TrainingError.self) { try resumed.restoreBest(files, weightsDigest: nil) }
      #expect(throws: TrainingError.self) { try resumed.restoreBest(files, weightsDigest: "00") }
    }
  }

  @Test("A changed training text refuses the resumption")
  func anotherTextIsNotResumedWith() throws {
    try withTemporaryFolder { folder in
      let scene = try Scene(folder, .small())
      let files = scene.files("tuned")
      var run = try scene.begin()
      try scene.run(&run, files, until: 3)
      try Data(Self.text(lines: 60, seed: 9).utf8)
        .write(to: URL(filePath: "\(folder)/train.txt"))
      #expect(throws: TrainingError.self) { try scene.resume(files) }
    }
  }

  @Test("A model without training state is not resumed")
  func aModelWithoutTrainingIsNotResumed() throws {
    try withTemporaryFolder { folder in
      let scene = try Scene(folder, .small())
      #expect(throws: TrainingError.self) {
        try TrainingRun(
          resuming: scene.checkpoint, path: "model.h5", train: scene.text("train.txt"),
          valid: scene.text("valid.txt"))
      }
    }
  }

  @Test("A text too short for the batch size is refused")
  func aTextThatIsTooShortIsRefused() throws {
    try withTemporaryFolder { folder in
      var scene = try Scene(folder, .small())
      scene.settings.columns = 1000
      #expect(throws: TrainingError.self) { try scene.begin() }
    }
  }

  @Test("A BPTT length beyond the text is one window an epoch")
  func aWindowLongerThanTheTextIsCut() throws {
    try withTemporaryFolder { folder in
      var scene = try Scene(folder, .small())
      scene.settings.window = 10_000
      scene.settings.maximumSteps = 3
      var run = try scene.begin()
      #expect(run.stepsPerEpoch == 1)
      try scene.run(&run, scene.files("tuned"))
      #expect(run.state.history.map(\.step) == [0, 1, 2, 3])
    }
  }

  @Test("Unknown words of a training text are listed with counts, or counted as unknown")
  func allWordsThatTheVocabularyLacksAreListed() throws {
    try withTemporaryFolder { folder in
      let scene = try Scene(folder, .small(unknown: false))
      try Data("the cat\nthe wug sat on wug é\n".utf8)
        .write(to: URL(filePath: "\(folder)/train.txt"))
      let error = #expect(throws: TextError.self) { try scene.text("train.txt") }
      #expect(error?.line == 2)
      #expect(error?.found == "3 words that it lacks: \"wug\" (2), \"é\" (1)")
      // With a token for unknown words they are counted.
      let open = try Scene(folder, .small())
      try Data("the cat\nthe wug sat on wug é\n".utf8)
        .write(to: URL(filePath: "\(folder)/train.txt"))
      #expect(try open.text("train.txt").unknown == 3)
    }
  }

  @Test(
    "The last state is named after the best model",
    arguments: [
      ("a/tuned.unroll.h5", "a/tuned.last.unroll.h5"), ("tuned.h5", "tuned.last.h5"),
      ("tuned", "tuned.last"), ("a.b/.h5", "a.b/.h5.last"),
    ])
  func theLastStateHasTheNameOfTheBest(best: String, last: String) {
    #expect(TrainingFiles(best: best).last == last)
  }
}

extension TrainableModel {
  /// The gradients of all parameters, whole.
  fileprivate var wholeGradients: [ParameterPath: [Float]] {
    var whole: [ParameterPath: [Float]] = [:]
    for (path, shape) in architecture.parameters {
      var sum = [Float](repeating: 0, count: shape.elementCount ?? 0)
      gradients[path]?.add(to: &sum)
      whole[path] = sum
    }
    return whole
  }
}
