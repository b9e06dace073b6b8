// The reference model and the engine against numbers that Keras and PyTorch gave.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollEngine
@testable import UnrollNeural

@Suite("Self-tests of checkpoints") struct SelfTestTests {
  /// Checkpoints that h5py wrote, one for each variant of the format.
  static let variants = [
    "keras-gru-after", "keras-gru-before", "keras-lstm-hard", "keras-lstm-one-hot",
    "keras-rnn-relu", "torch-lstm-projection-tied", "torch-mixed", "torch-mixed-bf16",
    "torch-mixed-f16-archive",
  ]

  private func checkpoint(_ name: String) throws -> Checkpoint {
    try Checkpoint(
      contentsOf: Fixtures.root.appending(path: "fixtures/checkpoints/\(name).unroll.h5").path())
  }

  private func largestDifference(_ a: [Double], _ b: [Double]) -> Double {
    #expect(a.count == b.count)
    return zip(a, b).map { abs($0 - $1) }.max() ?? .infinity
  }

  @Test("The reference model gives the log-probabilities of Keras and PyTorch", arguments: variants)
  func referenceModelOnVariants(name: String) throws {
    let model = try checkpoint(name)
    let test = try #require(model.selfTest)
    let reference = try ReferenceModel(
      architecture: model.architecture, parameters: model.parameters)
    let values = reference.tokenLogProbabilities(of: test.tokenIDs.map { Int($0) })
    // PyTorch computed in double precision, Keras in single.
    let bound = test.arithmetic == "f64" ? 1e-12 : 5e-7
    #expect(largestDifference(values, test.logProbabilities) < bound)
  }

  @Test(
    "Engine and reference model agree on the tokens of a self-test",
    arguments: [Cell.lstm, .gru, .rnn], [false, true])
  func engineAndReferenceModel(cell: Cell, tied: Bool) throws {
    let model = Checkpoint.small(cell: cell, tied: tied, hidden: [7, 5])
    let test = try #require(try SelfTest(of: model))
    #expect(test.tokenIDs.count == 17 && Set(test.tokenIDs).count > 5)
    #expect(test.weightsDigest == model.weightsDigest)
    #expect(
      largestDifference(try replay(model, test).logProbabilities, test.logProbabilities) < 1e-6)
  }

  @Test(
    "A replay of large logits agrees within rounding, and other values are found",
    arguments: [Cell.lstm, .gru, .rnn])
  func largeLogitsReplay(cell: Cell) throws {
    var model = Checkpoint.small(cell: cell, hidden: [7, 64])
    let path = ParameterPath.outputWeight
    let weight = try #require(model.parameters[path]?.floats())
    let shape = try #require(model.parameters[path]?.shape)
    var generator = SeededGenerator(seed: 3)
    // Logits of some thousands.
    model.parameters[path] = Tensor(
      weight.map { $0 * 1e3 + generator.number(100) }, shape: shape)
    let test = try #require(try SelfTest(of: model))
    model.selfTest = test
    let largest = largestDifference(
      try replay(model, test).logProbabilities, test.logProbabilities)
    // The limit without the size of the logits.
    #expect(largest > test.tolerance, "\(largest)")
    try withTemporaryFolder { folder in
      func findings(_ model: Checkpoint) throws -> [String] {
        try model.write(to: "\(folder)/a.h5", replacing: true)
        let examination = try Examination(of: "\(folder)/a.h5", upTo: .bytes)
        #expect(examination.hasSelfTest)
        return try examination.replaying(UnrollEngine.replay).findings.map(\.rule)
          .filter { $0 == "I006" }
      }
      #expect(try findings(model) == [])
      for place in [0, 7, 15] {
        var other = model
        let limit = try replay(model, test).roundings[place] + test.tolerance
        #expect(limit < 1)
        other.selfTest?.logProbabilities[place] -= 1.5 * limit
        #expect(try findings(other) == ["I006"], "\(place)")
      }
    }
  }

  @Test("A model whose outputs are NaN gets no self-test")
  func modelOfNaN() throws {
    var model = Checkpoint.small()
    let shape = try #require(model.parameters[.outputBias]?.shape)
    model.parameters[.outputBias] = .init(
      [Float](repeating: .nan, count: shape.elementCount ?? 0), shape: shape)
    #expect(try SelfTest(of: model) == nil)
  }

  @Test("The engine gives the log-probabilities of Keras and PyTorch", arguments: variants)
  func engineOnVariants(name: String) throws {
    let model = try checkpoint(name)
    let test = try #require(model.selfTest)
    let replayed = try replay(model, test).logProbabilities
    #expect(largestDifference(replayed, test.logProbabilities) < 2e-6)
    let language = try LanguageModel(model, path: name)
    var state = language.network.zeroState(columns: 1)
    let ids = test.tokenIDs.map { Int32($0) }
    let values = try language.network.logProbabilities(
      ofTargets: Array(ids.dropFirst()), inputs: Array(ids.dropLast()), state: &state)
    #expect(largestDifference(values.map(Double.init), test.logProbabilities) < 2e-6)
  }
}
