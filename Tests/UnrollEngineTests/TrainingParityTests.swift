// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Ten steps of word_language_model's training, against PyTorch's losses.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollNeural

@testable import UnrollEngine

/// The output of scripts/make/training-fixtures.
private struct Reference: Decodable {
  struct Settings: Decodable {
    let lr: Double
    let momentum: Double?
    let weight_decay: Double?
  }
  struct Training: Decodable {
    let settings: Settings
    let losses: [Double]
    let norms: [Double]
  }
  let columns: Int
  let window: Int
  let clip: Double
  let trainings: [String: Training]
}

@Suite("Training beside PyTorch") struct TrainingParityTests {
  private static let reference = Result {
    try JSONDecoder().decode(
      Reference.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("training/characters-sgd.json"))))
  }

  /// The characters model, converted once.
  private static let model = Result {
    try convert(
      Fixtures.path("characters/model.pt"),
      options: ConversionOptions(vocabulary: .corpus(Fixtures.path("characters")))
    ).checkpoint
  }

  private static let text = Result {
    try TrainingText(
      path: Fixtures.path("characters/train.txt"),
      encoder: LanguageModel.encoder(of: model.get(), path: "model.pt"))
  }

  @Test(
    "Ten steps of SGD have the losses and gradient norms of PyTorch",
    arguments: ["learning rate 20", "learning rate 1", "momentum and weight decay"])
  func tenSteps(name: String) throws {
    let reference = try Self.reference.get()
    let training = try #require(reference.trainings[name])
    let checkpoint = try Self.model.get()
    let ids = try Self.text.get().ids
    let model = try TrainableModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    var optimizer = Optimizer(
      .sgd,
      [
        .learningRate: training.settings.lr, .momentum: training.settings.momentum ?? 0,
        .weightDecay: training.settings.weight_decay ?? 0,
      ], clip: .globalNorm(reference.clip), for: checkpoint.architecture)
    let (B, T) = (reference.columns, reference.window)
    let n = ids.count / B
    func row(_ t: Int) -> [Int32] { (0..<B).map { ids[$0 * n + t] } }
    var state = model.zeroState(columns: B)
    for (step, (loss, norm)) in zip(training.losses, training.norms).enumerated() {
      let found = try model.backpropagate(
        inputs: (0..<T).flatMap { row(step * T + $0) },
        targets: (0..<T).flatMap { row(step * T + $0 + 1) }, state: &state)
      #expect(abs(found / loss - 1) < 1e-5, "step \(step + 1): \(found), PyTorch \(loss)")
      let foundNorm = optimizer.gradientNorm(of: model)
      #expect(abs(foundNorm / norm - 1) < 1e-4, "step \(step + 1): \(foundNorm), \(norm)")
      optimizer.step(model, gradientNorm: foundNorm)
    }
    #expect(training.losses.count == 10)
  }
}
