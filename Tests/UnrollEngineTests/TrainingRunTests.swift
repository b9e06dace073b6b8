// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Training runs: learning, the best checkpoint, settings, and texts that do not fit.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollNeural

@Suite("Training runs") struct TrainingRunTests {
  @Test("Training lowers the loss, and counts the tokens that it has seen")
  func lossOfTraining() throws {
    try withTemporaryFolder { folder in
      let scene = try TrainingScene(folder, .small())
      var run = try scene.begin()
      try scene.run(&run, scene.files("tuned"))
      let history = run.state.history
      #expect(try #require(history.last).trainNLL < #require(history.first).validNLL - 0.1)
      // Windows of 5 rows of 4 columns, but for a shorter one at the end of each epoch.
      let rows = run.state.data.tokens / 4
      #expect(run.state.tokensSeen == (run.state.epoch * (rows - 1) + run.state.data.cursor) * 4)
    }
  }

  @Test("The best checkpoint has the lowest validation loss, and plateaus divide the rate")
  func bestModel() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
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

  @Test("An optimizer has its default learning rate unless one is set")
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
  func keptOptimizer() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      scene.settings.optimizer = .adam
      scene.settings.hyperparameters = [:]
      scene.settings.maximumSteps = 8
      var first = try scene.begin()
      try scene.run(&first, scene.files("first"))
      var checkpoint = first.resumable
      checkpoint.training = nil
      try checkpoint.write(to: "\(folder)/optimizer.h5")
      var second = try TrainingScene(folder, try Checkpoint(contentsOf: "\(folder)/optimizer.h5"))
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
      #expect(throws: EngineError.self) { try scene.begin() }
    }
  }

  @Test("Frozen parts do not change, and a part that the model lacks is refused")
  func frozenParts() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
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
      #expect(throws: EngineError.self) { try scene.begin() }
    }
  }

  /// Of a tied model without momentum: the gradients of three windows make one step.
  @Test("Accumulated gradients are those of the mean loss over all windows")
  func accumulatedGradients() throws {
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

  @Test("A loss that is not finite keeps the last good state, which a lower rate resumes")
  func divergence() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
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

  @Test("A BPTT length beyond the memory is refused by its real need")
  func memoryLimit() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
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
      let error = #expect(throws: EngineError.self) { try begin(memory: need - 1) }
      #expect(error?.path == "BPTT length \(rows - 1) with batch size 4")
      #expect(error?.fix.contains("--bptt") == true)
      #expect(throws: EngineError.self) {
        try TrainingRun(
          resuming: run.resumable, path: "a.last.h5", train: train, valid: valid,
          memory: UInt64(need - 1))
      }
    }
  }

  /// The sum beyond every integer is none, and no trap.
  @Test("The memory estimate is the sum of its parts, and overflow is no number")
  func memoryEstimate() {
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

  @Test("A text too short for the batch size is refused")
  func shortText() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      scene.settings.columns = 1000
      #expect(throws: EngineError.self) { try scene.begin() }
    }
  }

  @Test("A BPTT length beyond the text is one window an epoch")
  func longWindow() throws {
    try withTemporaryFolder { folder in
      var scene = try TrainingScene(folder, .small())
      scene.settings.window = 10_000
      scene.settings.maximumSteps = 3
      var run = try scene.begin()
      #expect(run.stepsPerEpoch == 1)
      try scene.run(&run, scene.files("tuned"))
      #expect(run.state.history.map(\.step) == [0, 1, 2, 3])
    }
  }

  @Test("Unknown words of a training text are listed with counts, or counted as unknown")
  func unknownWords() throws {
    try withTemporaryFolder { folder in
      let scene = try TrainingScene(folder, .small(unknown: false))
      try Data("the cat\nthe wug sat on wug é\n".utf8)
        .write(to: URL(filePath: "\(folder)/train.txt"))
      let error = #expect(throws: TextError.self) { try scene.text("train.txt") }
      #expect(error?.line == 2)
      #expect(error?.found == "2 words that it lacks, 3 times: \"wug\" (2), \"é\" (1)")
      // With a token for unknown words they are counted.
      let open = try TrainingScene(folder, .small())
      try Data("the cat\nthe wug sat on wug é\n".utf8)
        .write(to: URL(filePath: "\(folder)/train.txt"))
      #expect(try open.text("train.txt").unknown == 3)
    }
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
