// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The forward pass against PyTorch's.

import Testing
import UnrollNeural

@Suite("Log-probabilities beside PyTorch") struct PyTorchParityTests {
  @Test("Log-probabilities of all tokens equal those of PyTorch", arguments: NeuralFixture.names)
  func allTokens(name: String) throws {
    let fixture = try NeuralFixture(name)
    let model = try fixture.model()
    var state = model.zeroState(columns: fixture.columns)
    for window in fixture.windows {
      let found = try model.logDistributions(inputs: window.inputs, state: &state)
      #expect(found.count == window.logProbabilities.count)
      let errors = zip(found, window.logProbabilities).map { abs($0 - $1) }
      #expect(errors.allSatisfy { $0 < 1e-5 }, "\(errors.max() ?? 0)")
    }
  }

  @Test(
    "Log-probabilities of targets equal those of PyTorch, and skipped targets are 0",
    arguments: NeuralFixture.names)
  func targetsOnly(name: String) throws {
    let fixture = try NeuralFixture(name)
    let model = try fixture.model()
    let V = fixture.vocabularySize
    var state = model.zeroState(columns: fixture.columns)
    for window in fixture.windows {
      // Every third target is not wanted.
      let targets = window.inputs.indices.map { place in
        place % 3 == 2 ? -1 : Int32((place * 31 + 5) % V)
      }
      let found = try model.logProbabilities(
        ofTargets: targets, inputs: window.inputs, state: &state)
      #expect(found.count == targets.count)
      for (place, target) in targets.enumerated() {
        let expected = target < 0 ? 0 : window.logProbabilities[place * V + Int(target)]
        #expect(abs(found[place] - expected) < 1e-5)
      }
    }
  }
}
