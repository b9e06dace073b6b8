// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Models of Keras: their log-probabilities, and the losses with which Keras trains them on.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollNeural

/// The files of `fixtures/keras`, made by `scripts/make/keras-fixtures`.
@Suite("Numbers of Keras models") struct KerasModelTests {
  private struct References: Decodable {
    struct Model: Decodable {
      let log_probabilities: [Double]
      let losses: [Double]?
    }
    let ids: [Int]
    /// Columns of tokens, `[B, T + 1]`.
    let batch: [[Int32]]
    let models: [String: Model]

    init() throws {
      self = try JSONDecoder().decode(
        References.self,
        from: Data(contentsOf: URL(filePath: Fixtures.path("keras/references.json"))))
    }
  }

  private func convert(_ name: String) throws -> Conversion {
    try convertFixture("keras/\(name)")
  }

  private static let files = [
    "lstm.keras", "lstm.weights.h5", "lstm.h5", "gru.keras", "gru-before.keras", "rnn.keras",
    "narrow.keras", "lora.keras", "keras2-cudnn-lstm.h5", "keras2-cudnn-gru.h5", "keras2-hard.h5",
  ]

  @Test("A Keras file gives the log-probabilities of Keras", arguments: files)
  func numbersOfKeras(file: String) throws {
    let references = try References()
    let checkpoint = try convert(file).checkpoint
    let name = String(file.split(separator: ".")[0])
    let expected = try #require(references.models[name]).log_probabilities
    // Keras computed in single precision.
    try expectLogProbabilities(of: checkpoint, references.ids, expected, within: 2e-6, name)
  }

  /// Adam with amsgrad, weight decay and a clip by variable; RMSprop, centred, with momentum and a clip by
  /// value; SGD with Nesterov's momentum and a clip by the norm of all.
  @Test(
    "Training continues with the losses of Keras",
    arguments: ["lstm.keras", "lstm.h5", "gru.keras", "rnn.keras", "gru-before.keras"])
  func nextLosses(file: String) throws {
    let references = try References()
    let checkpoint = try convert(file).checkpoint
    let name = file.split(separator: ".")[0]
    let losses = try #require(references.models[String(name)]?.losses)
    let state = try #require(checkpoint.optimizer)
    #expect(state.step == 3 && state.groups.map(\.step) == [3] && losses.count == 3)
    let (B, T) = (references.batch.count, references.batch[0].count - 1)
    func rows(_ first: Int) -> [Int32] {
      (first..<first + T).flatMap { t in (0..<B).map { references.batch[$0][t] } }
    }
    let model = try TrainableModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    var optimizer = Optimizer(state, for: checkpoint.architecture)
    let zeros = RecurrentState(
      columns: B,
      layers: checkpoint.architecture.layers.map { layer in
        let zeros = [Float](repeating: 0, count: B * layer.hiddenSize)
        return LayerState(h: zeros, c: layer.cell == .lstm ? zeros : [])
      })
    for loss in losses {
      var fresh = zeros
      let found = try model.backpropagate(inputs: rows(0), targets: rows(1), state: &fresh)
      #expect(abs(found / loss - 1) < 2e-6, "\(found), Keras \(loss)")
      optimizer.step(model, gradientNorm: optimizer.gradientNorm(of: model))
    }
  }
}
