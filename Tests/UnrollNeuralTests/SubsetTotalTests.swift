// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The total probability of some tokens, against the sum over PyTorch's log-probabilities.

import Foundation
import Testing

@testable import UnrollNeural

@Suite("Total probability of some tokens") struct SubsetTotalTests {
  @Test(
    "The total probability of some tokens is the sum of what PyTorch gives each",
    arguments: ["lstm-1-large-vocabulary", "gru-3-tied", "rnn-relu-3"])
  func totalsAgreeWithPyTorch(name: String) throws {
    let fixture = try NeuralFixture(name)
    let model = try fixture.model()
    let V = fixture.vocabularySize
    let B = fixture.columns
    let window = fixture.windows[0]
    // None, one, some in both panels of a large vocabulary, and all.
    let subsets: [[Int32]] = [
      [], [Int32(V - 1)], stride(from: 1, to: Int32(V), by: 3).map { $0 },
      (0..<Int32(V)).map { $0 },
    ]
    for subset in subsets {
      var state = model.zeroState(columns: B)
      var targets = [Int32](repeating: 0, count: window.inputs.count)
      targets[1] = -1
      let found = try model.predictions(
        ofTargets: targets, inputs: window.inputs, withEntropies: false, totalling: subset,
        state: &state)
      #expect(found.totals.count == (subset.isEmpty ? 0 : targets.count))
      for (row, total) in found.totals.enumerated() {
        let expected = log(
          subset.reduce(0.0) { $0 + exp(Double(window.logProbabilities[row * V + Int($1)])) })
        #expect(abs(total - (row == 1 ? 0 : expected)) < 2e-6, "\(row)")
        #expect(total <= 0)
      }
    }
    var state = model.zeroState(columns: B)
    #expect(throws: NeuralError.self) {
      try model.predictions(
        ofTargets: [0], inputs: [0], withEntropies: false, totalling: [Int32(V)], state: &state)
    }
  }
}
