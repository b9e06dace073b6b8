// The reach of gradients: the differences between cells, and that nothing else differs.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollNeural
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine

@Suite("Gradient flow") struct GradientFlowTests {
  private static let lines = Result {
    try String(contentsOfFile: Fixtures.path("characters/train.txt"), encoding: .utf8)
      .split(separator: "\n", omittingEmptySubsequences: false)
  }

  private func withText(_ count: Int, _ body: (String) throws -> Void) throws {
    try withTemporaryFolder { folder in
      let text = try Self.lines.get().prefix(count).map { $0 + "\n" }.joined()
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      try body("\(folder)/text.txt")
    }
  }

  /// A model that learnt a text for some steps.
  private func trained(_ cell: Cell, on path: String) throws -> Checkpoint {
    var new = NewModel()
    (new.cell, new.embeddingSize, new.hiddenSizes) = (cell, 16, [32])
    let vocabulary = try Vocabulary(trainedOn: [path], by: VocabularyTraining())
    let checkpoint = try new.checkpoint(vocabulary: vocabulary, tokenizer: Tokenizer())
    let encoder = try LanguageModel.encoder(of: checkpoint, path: "")
    let text = try TrainingText(path: path, encoder: encoder)
    var settings = TrainingSettings()
    (settings.optimizer, settings.hyperparameters) = (.adam, [.learningRate: 0.01])
    (settings.maximumEpochs, settings.maximumSteps) = (nil, 60)
    var run = try TrainingRun(checkpoint, settings: settings, train: text, valid: text)
    while run.state.step < 60 { _ = try run.advance() }
    return run.weights
  }

  private static let settings = {
    var settings = GradientSettings()
    (settings.lags, settings.positions, settings.windows) = (20, 100, 10)
    return settings
  }()

  @Test("Gradients of a vanilla RNN decay faster than those of an LSTM")
  func decayOfCells() throws {
    try withText(400) { path in
      let rates = try [Cell.lstm, .rnn].map { cell in
        let flow = try GradientFlow(
          of: trained(cell, on: path), path: "", text: path, settings: Self.settings)
        #expect(flow.curves.map(\.quantity) == (cell == .lstm ? [.hidden, .cell] : [.hidden]))
        #expect(flow.curves.allSatisfy { $0.medians.count == 21 && $0.medians[0] == 1 })
        #expect(flow.recurrences.count == cell.gateCount)
        return try #require(flow.curves.last?.decay).rate
      }
      #expect(rates[0] > rates[1] + 0.05, "\(rates)")
    }
  }

  @Test("Gradient flow is the same with any number of threads, and differs with the seed")
  func threadsAndSeeds() throws {
    try withText(60) { path in
      let before = Threads.count
      defer { Threads.count = before }
      func medians(seed: UInt32 = 1) throws -> [[Double]] {
        var settings = Self.settings
        (settings.seed, settings.columns, settings.positions) = (seed, 5, 40)
        return try GradientFlow(
          of: Checkpoint.characters(on: path), path: "", text: path, settings: settings
        ).curves.map(\.medians)
      }
      Threads.count = 1
      let one = try medians()
      Threads.count = 2
      #expect(try medians() == one)
      #expect(try medians(seed: 2) != one)
    }
  }

  @Test("Gradient norms and clipping counts are those of the training's windows")
  func clipping() throws {
    try withText(60) { path in
      let checkpoint = try Checkpoint.characters(on: path)
      let text = try TrainingText(
        path: path, encoder: LanguageModel.encoder(of: checkpoint, path: ""))
      var training = TrainingSettings()
      (training.columns, training.window, training.clip) = (5, 7, nil)
      training.hyperparameters = [.learningRate: 1e-30]
      var run = try TrainingRun(checkpoint, settings: training, train: text, valid: text)
      var norms: [Double] = []
      while norms.count < 20 {
        if case .step(let step) = try run.advance() { norms.append(step.gradientNorm) }
      }
      var settings = Self.settings
      (settings.columns, settings.window, settings.windows) = (5, 7, 10_000)
      settings.clip = norms.sorted()[10]
      let flow = try GradientFlow(of: checkpoint, path: "", text: path, settings: settings)
      for (found, expected) in zip(flow.clipping.norms, norms) {
        #expect(abs(found / expected - 1) < 1e-6)
      }
      #expect(flow.clipping.windows == Array(0..<flow.clipping.norms.count))
      #expect(flow.clipping.clipped == flow.clipping.norms.count { $0 > settings.clip })
    }
  }

  @Test("A text that is too short, or lags beyond the memory, are refused")
  func unsuitableTexts() throws {
    try withText(2) { path in
      let checkpoint = try Checkpoint.characters(on: path)
      #expect(throws: EngineError.self) {
        try GradientFlow(of: checkpoint, path: "", text: path, settings: Self.settings)
      }
      var settings = Self.settings
      (settings.lags, settings.columns) = (10, 1)
      #expect(throws: EngineError.self) {
        try GradientFlow(
          of: checkpoint, path: "", text: path, settings: settings, memory: 1000)
      }
    }
  }

  @Test("Decay rate, half-life and horizon of a curve follow their definitions")
  func summariesOfCurves() throws {
    // Two positions that halve, one that starts with nothing.
    let norms = (0...6).map { k in [4 * pow(0.5, Double(k)), pow(0.5, Double(k)), 0] }
    let curve = LagCurve(layer: 0, quantity: .hidden, norms: norms, threshold: 0.1)
    #expect(curve.positions == 2 && curve.horizon == 3)
    let decay = try #require(curve.decay)
    #expect(abs(decay.rate - 0.5) < 1e-12 && abs(decay.halfLife - 1) < 1e-12)
    #expect(decay.lags == 1...6)
    // Numbers that a float cannot hold end the fit, and nothing gives nothing.
    let sunk = LagCurve(
      layer: 0, quantity: .hidden, norms: [[1], [0.5], [0.25], [0], [0]], threshold: 0.01)
    #expect(sunk.decay?.lags == 1...2 && sunk.horizon == 2)
    let none = LagCurve(layer: 0, quantity: .hidden, norms: [[0], [0]], threshold: 0.01)
    #expect(none.decay == nil && none.horizon == nil && none.medians.isEmpty)
    let grown = LagCurve(
      layer: 0, quantity: .hidden, norms: [[1], [2], [4], [.infinity]], threshold: 0.01)
    #expect(abs(try #require(grown.decay).halfLife + 1) < 1e-12)
  }
}

extension Checkpoint {
  /// A drawn model whose vocabulary is that of a text.
  fileprivate static func characters(on path: String) throws -> Checkpoint {
    var new = NewModel()
    (new.embeddingSize, new.hiddenSizes) = (6, [8, 7])
    new.initialization = .orthogonal
    return try new.checkpoint(
      vocabulary: Vocabulary(trainedOn: [path], by: VocabularyTraining()), tokenizer: Tokenizer())
  }
}
