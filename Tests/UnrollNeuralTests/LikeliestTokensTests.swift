// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The likeliest tokens and ranks, against a sort of PyTorch's log-probabilities.

import Foundation
import Testing

@testable import UnrollNeural

@Suite("Likeliest tokens") struct LikeliestTokensTests {
  @Test(
    "The likeliest tokens and ranks are those of PyTorch's distributions",
    arguments: ["lstm-1-large-vocabulary", "gru-3-tied", "rnn-relu-3"], [1, 5, 100_000])
  func agreesWithPyTorch(name: String, count: Int) throws {
    let fixture = try NeuralFixture(name)
    let model = try fixture.model()
    let V = fixture.vocabularySize
    let window = fixture.windows[0]
    var state = model.zeroState(columns: fixture.columns)
    var targets = window.inputs.indices.map { Int32($0 * 7 % V) }
    targets[1] = -1
    let found = try model.predictions(
      ofTargets: targets, inputs: window.inputs, withEntropies: false, guessing: count,
      state: &state
    ).likeliest
    try #require(found.guesses.count == targets.count && found.ranks.count == targets.count)
    for (row, guesses) in found.guesses.enumerated() {
      guard row != 1 else {
        #expect(guesses.isEmpty && found.ranks[row] == 0)
        continue
      }
      let expected = Array(window.logProbabilities[row * V..<(row + 1) * V])
      #expect(guesses.count == min(count, V))
      #expect(Set(guesses.map(\.token)).count == guesses.count)
      let sorted = expected.sorted(by: >)
      for (place, guess) in guesses.enumerated() {
        // Tokens of nearly equal probability may change places.
        #expect(abs(guess.logProbability - expected[Int(guess.token)]) < 2e-6)
        #expect(abs(guess.logProbability - sorted[place]) < 2e-6)
      }
      let own = expected[Int(targets[row])]
      let likelier = expected.count { $0 > own + 4e-6 }
      let equal = expected.count { abs($0 - own) <= 4e-6 }
      #expect(likelier + 1...likelier + equal ~= found.ranks[row])
    }
  }

  @Test("Guesses and ranks are empty unless requested")
  func nothingWithoutARequest() throws {
    let fixture = try NeuralFixture("gru-3-tied")
    let model = try fixture.model()
    var state = model.zeroState(columns: 1)
    let found = try model.predictions(
      ofTargets: [1, 2], inputs: [0, 1], withEntropies: false, state: &state)
    #expect(found.likeliest.guesses.isEmpty && found.likeliest.ranks.isEmpty)
  }
}
