// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Dropout, weight drop and penalties against PyTorch's autograd with the same masks.

import CUnrollKernels
import Foundation
import TestSupport
import Testing
import UnrollFormat

@testable import UnrollNeural

/// The output of scripts/make/regularization-fixtures.
private struct RegularizationFixture: Decodable {
  struct Term: Decodable {
    let site: String
    let kind: String
    let rate: Double
  }
  struct Window: Decodable {
    let draw: UInt32
    let inputs: [Int32]
    let targets: [Int32]
    let loss: Double
    let gradients: [String: [Float]]
  }
  let seed: UInt32
  let terms: [Term]
  let windows: [Window]

  func regularizer(draw: UInt32) throws -> Regularizer {
    Regularizer(
      try terms.map { term in
        RegularizationTerm(
          site: try #require(RegularizationTerm.Site(rawValue: term.site)),
          kind: try #require(RegularizationTerm.Kind(rawValue: term.kind)), rate: term.rate)
      }, seed: seed, draw: draw)
  }
}

@Suite("Regularization") struct RegularizationTests {
  private static let names = ["word_language_model", "AWD-LSTM", "gru", "rnn"]

  private func fixture<Value: Decodable>(_ name: String, as type: Value.Type) throws -> Value {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("training/regularization.json")))
    return try #require(try JSONDecoder().decode([String: Value].self, from: data)[name])
  }

  @Test("Losses and gradients with dropout and penalties equal those of PyTorch", arguments: names)
  func gradientsOfPyTorch(name: String) throws {
    let description = try fixture(name, as: FixtureModel.self)
    let fixture = try fixture(name, as: RegularizationFixture.self)
    let model = try TrainableModel(
      architecture: description.architecture(), parameters: description.tree())
    var state = model.zeroState(columns: description.columns)
    for window in fixture.windows {
      let regularizer = try fixture.regularizer(draw: window.draw)
      let isLawful = regularizer.terms.allSatisfy(\.isLawful)
      #expect(isLawful)
      let loss = try model.backpropagate(
        inputs: window.inputs, targets: window.targets, state: &state, regularizer: regularizer)
      #expect(abs(loss / window.loss - 1) < 1e-6)
      for (path, gradient) in model.denseGradients {
        let expected = try #require(window.gradients[path.description]).map(Double.init)
        let error = relativeError(gradient, expected)
        #expect(error < 1e-5, "\(path): \(error)")
      }
    }
    #expect(fixture.windows.count == 2)
  }

  /// After a window with dropout one without it is as if there had never been any.
  @Test("A window without regularization is unaffected by one with it before")
  func windowWithoutRegularization() throws {
    let description = try fixture("AWD-LSTM", as: FixtureModel.self)
    let fixture = try fixture("AWD-LSTM", as: RegularizationFixture.self)
    func run(first: Regularizer) throws -> (Double, [ParameterPath: [Float]]) {
      let model = try TrainableModel(
        architecture: description.architecture(), parameters: description.tree())
      for regularizer in [first, Regularizer()] {
        var state = model.zeroState(columns: description.columns)
        let window = fixture.windows[0]
        let loss = try model.backpropagate(
          inputs: window.inputs, targets: window.targets, state: &state, regularizer: regularizer)
        if regularizer.terms.isEmpty { return (loss, model.denseGradients) }
      }
      return (.nan, [:])
    }
    let with = try run(first: fixture.regularizer(draw: 3))
    let without = try run(first: Regularizer())
    #expect(with.0 == without.0 && with.1 == without.1 && with.1.count > 10)
  }

  /// The known answers of Random123 1.14, kat_vectors.
  @Test("Philox gives the known answers of Random123")
  func philox() {
    let cases: [([UInt32], UInt32, UInt32, [UInt32])] = [
      ([0, 0, 0, 0], 0, 0, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
      (
        [.max, .max, .max, .max], .max, .max,
        [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
      ),
      (
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], 0xa409_3822, 0x299f_31d0,
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
      ),
    ]
    for (counter, key0, key1, expected) in cases {
      var words = counter
      unroll_philox(&words, key0, key1)
      #expect(words == expected)
    }
  }

  /// Over a million numbers the share that is dropped is the rate, within five standard deviations.
  @Test(
    "Dropout drops numbers at its rate, and locked dropout the same at all steps",
    arguments: [0.1, 0.5, 0.9])
  func dropoutRate(rate: Float) {
    let (T, B, N) = (50, 20, 1000)
    let settings = unroll_dropout(seed: 5, site: 1, draw: 9, rate: rate, first_column: 0)
    let ones = [Float](repeating: 1, count: T * B * N)
    var masks = ones
    unroll_drop(ones, &masks, T, B, N, false, settings)
    let count = Double(masks.count { $0 == 0 })
    let deviation = (Double(masks.count) * Double(rate * (1 - rate))).squareRoot()
    #expect(abs(count - Double(rate) * Double(masks.count)) < 5 * deviation)
    let others = masks.filter { $0 != 0 && $0 != 1 / (1 - rate) }
    #expect(others.isEmpty)
    // Locked: the same at all time steps, and not the same in all columns.
    unroll_drop(ones, &masks, T, B, N, true, settings)
    #expect(masks.prefix(B * N) == masks.suffix(B * N) && masks.prefix(N) != masks[N..<2 * N])
  }
}
