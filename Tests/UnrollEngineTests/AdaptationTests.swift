// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Models that learn from the text that they are measured on, against their definitions in plain loops.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollNeural

@Suite("Models that adapt to the text at test time") struct AdaptationTests {
  private func withText(_ body: (_ path: String, _ ids: [Int32]) throws -> Void) throws {
    var generator = SeededGenerator(seed: 12)
    let words = ["the", "cat", "sat", "on", "a", "mat", "dog"]
    let text = (0..<60).map { _ in
      (0..<Int.random(in: 1...9, using: &generator)).map { _ in
        words.randomElement(using: &generator) ?? ""
      }.joined(separator: " ") + "\n"
    }.joined()
    try withTemporaryFolder { folder in
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/text.txt"))
      let encoder = try LanguageModel.encoder(of: .small(), path: "")
      try body("\(folder)/text.txt", encoder.ids(ofLines: Array(text.utf8)))
    }
  }

  @Test(
    "The neural cache gives the loss of its definition",
    arguments: [(7, 1.0, 0.2), (10_000, 3.5, 0.5), (1, 0, 1e-3)])
  func neuralCache(size: Int, theta: Double, weight: Double) throws {
    try withText { path, ids in
      let model = try LanguageModel(.small(), path: "small")
      let cache = NeuralCache(size: size, theta: theta, weight: weight)
      let result = try model.perplexity(ofText: path, with: cache)
      var state = model.network.zeroState(columns: 1)
      let inputs = Array(ids.dropLast())
      let H = model.network.topSize
      let hidden = try model.network.hiddenStates(inputs: inputs, state: &state).map(Double.init)
      var other = model.network.zeroState(columns: 1)
      let own = try model.network.logProbabilities(
        ofTargets: Array(ids.dropFirst()), inputs: inputs, state: &other)
      #expect(state == other)
      var total = 0.0
      for t in inputs.indices {
        let target = ids[t + 1]
        let weights = (max(0, t - size)..<t).map { i in
          exp(theta * (0..<H).reduce(0) { $0 + hidden[i * H + $1] * hidden[t * H + $1] })
        }
        let matching = zip(max(0, t - size)..<t, weights).reduce(0) {
          $0 + (ids[$1.0 + 1] == target ? $1.1 : 0)
        }
        let p = exp(Double(own[t]))
        total -= log(t == 0 ? p : (1 - weight) * p + weight * matching / weights.reduce(0, +))
      }
      #expect(abs(result.totalNLL / total - 1) < 1e-6)
      #expect(result.predictions == ids.count - 1)
      #expect(result.adaptation?.hasPrefix("adapted at test time: neural cache of ") == true)
    }
  }

  @Test("Dynamic evaluation predicts each segment before it learns from it")
  func dynamicEvaluation() throws {
    try withText { path, ids in
      let checkpoint = Checkpoint.small()
      let rate = 0.3
      let result = try perplexity(
        ofText: path, adapting: checkpoint, path: "small",
        by: DynamicEvaluation(learningRate: rate, segment: 4))
      // Each segment by the model of before it, then the parameters move against the gradient.
      var parameters = checkpoint.parameters
      let learner = try TrainableModel(
        architecture: checkpoint.architecture, parameters: parameters)
      var (state, learnt) = (learner.zeroState(columns: 1), learner.zeroState(columns: 1))
      var total = 0.0
      for start in stride(from: 0, to: ids.count - 1, by: 4) {
        let inputs = Array(ids[start..<min(start + 4, ids.count - 1)])
        let targets = Array(ids[start + 1..<start + 1 + inputs.count])
        let model = try RecurrentModel(
          architecture: checkpoint.architecture, parameters: parameters)
        total -= try model.logProbabilities(ofTargets: targets, inputs: inputs, state: &state)
          .reduce(0.0) { $0 + Double($1) }
        try learner.replaceParameters(by: parameters)
        _ = try learner.backpropagate(inputs: inputs, targets: targets, state: &learnt)
        for (place, shape) in checkpoint.architecture.parameters {
          var gradient = [Float](repeating: 0, count: shape.elementCount ?? 0)
          learner.gradients[place]?.add(to: &gradient)
          let old = try #require(parameters[place]?.floats())
          parameters[place] = Tensor(
            zip(old, gradient).map { $0 - Float(rate) * $1 }, shape: shape)
        }
      }
      #expect(abs(result.totalNLL / total - 1) < 1e-5)
      let plain = try LanguageModel(checkpoint, path: "").perplexity(
        ofText: path, protocol: .stream)
      #expect(plain.adaptation == nil && result.nll < plain.nll)
      #expect(throws: NotFinite.self) {
        try perplexity(
          ofText: path, adapting: checkpoint, path: "small",
          by: DynamicEvaluation(learningRate: 1e38))
      }
    }
  }
}
