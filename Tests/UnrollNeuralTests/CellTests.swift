// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Each cell's step against its naive twin.

import CUnrollKernels
import Foundation
import Testing
import UnrollFormat

@testable import UnrollNeural

@Suite("Steps of cells") struct CellTests {
  /// One row, sizes that fill no vector, and enough rows to be shared out over threads.
  static let shapes = [(1, 1), (1, 16), (1, 650), (3, 17), (7, 33), (20, 200), (65, 101)]

  /// The last ones cut off everything, and almost nothing.
  static let gates: [GateActivation] = [
    .sigmoid, .hardSigmoid(alpha: 0.2, beta: 0.5), .hardSigmoid(alpha: 1.0 / 6, beta: 0.5),
    .hardSigmoid(alpha: -40, beta: 0.25), .hardSigmoid(alpha: 0.01, beta: 0.5),
  ]

  /// The function of gates, for the kernels.
  private func kind(_ activation: GateActivation) -> unroll_gates {
    var layer = LayerArchitecture(cell: .lstm, inputSize: 1, hiddenSize: 1)
    layer.gateActivation = activation
    return layer.gates
  }

  @Test(
    "An LSTM step equals the textbook formula for every gate function",
    arguments: shapes, gates)
  func lstm(shape: (Int, Int), gate: GateActivation) {
    let (B, H) = shape
    var generator = SeededGenerator(seed: UInt64(B * 1000 + H))
    let before = generator.floats(B * 4 * H, in: -6...6)
    let c = generator.floats(B * H)
    let expected = Naive.lstm(gates: before, c: c, B: B, H: H, kind: gate)
    var (gates, next, h) = (before, c, [Float](repeating: 0, count: B * H))
    unroll_lstm_step(&gates, c, &next, &h, B, H, kind(gate))
    #expect(largestError(gates, expected.activations) < 0.2 * hardError(gate))
    #expect(largestError(next, expected.c) < hardError(gate))
    #expect(largestError(h, expected.h) < hardError(gate))
  }

  @Test("An LSTM step in place gives the same cell state", arguments: shapes)
  func lstmInPlace(B: Int, H: Int) {
    var generator = SeededGenerator(seed: UInt64(B * 1000 + H))
    let before = generator.floats(B * 4 * H, in: -6...6)
    let c = generator.floats(B * H)
    var (gates, apart, inPlace, h) = (before, c, c, c)
    unroll_lstm_step(&gates, c, &apart, &h, B, H, kind(.sigmoid))
    gates = before
    inPlace.withUnsafeMutableBufferPointer { cells in
      unroll_lstm_step(
        &gates, cells.baseAddress, cells.baseAddress, &h, B, H, kind(.sigmoid))
    }
    #expect(inPlace == apart)
  }

  @Test("A GRU step equals the textbook formula for every gate function", arguments: shapes, gates)
  func gru(shape: (Int, Int), gate: GateActivation) {
    let (B, H) = shape
    var generator = SeededGenerator(seed: UInt64(B * 1000 + H))
    let before = generator.floats(B * 3 * H, in: -4...4)
    let recurrent = generator.floats(B * 3 * H)
    let h = generator.floats(B * H)
    let expected = Naive.gru(
      gates: before, recurrent: recurrent, h: h, B: B, H: H, kind: gate)
    var (gates, next) = (before, h)
    unroll_gru_step(&gates, recurrent, h, &next, B, H, kind(gate))
    #expect(largestError(gates, expected.activations) < hardError(gate))
    #expect(largestError(next, expected.h) < hardError(gate))
  }

  /// Both halves of the GRU that resets before the product, with a product that is given.
  @Test(
    "A GRU step with the reset gate before the product equals the formula",
    arguments: shapes, gates)
  func gruWithResetBefore(shape: (Int, Int), gate: GateActivation) {
    let (B, H) = shape
    var generator = SeededGenerator(seed: UInt64(B * 1000 + H))
    let before = generator.floats(B * 3 * H, in: -4...4)
    let recurrent = generator.floats(B * 2 * H)
    let product = generator.floats(B * H)
    let h = generator.floats(B * H)
    let function = Naive.gate(gate)
    var (resetH, next) = ([Double](), [Double]())
    for (place, h) in h.enumerated() {
      let (b, j) = (place / H, place % H)
      let r = function(Double(before[b * 3 * H + j]) + Double(recurrent[b * 2 * H + j]))
      let z = function(Double(before[b * 3 * H + H + j]) + Double(recurrent[b * 2 * H + H + j]))
      let n = tanh(Double(before[b * 3 * H + 2 * H + j]) + Double(product[place]))
      resetH.append(r * Double(h))
      next.append((1 - z) * n + z * Double(h))
    }
    var (gates, foundReset, foundNext) = (before, h, h)
    unroll_gru_reset_step(&gates, recurrent, h, &foundReset, B, H, kind(gate))
    unroll_gru_candidate_step(&gates, product, h, &foundNext, B, H)
    #expect(largestError(foundReset, resetH) < hardError(gate))
    #expect(largestError(foundNext, next) < hardError(gate))
  }

  /// Alpha times a rounded sum: an error of the sum grows with alpha.
  private func hardError(_ gate: GateActivation) -> Double {
    guard case .hardSigmoid(let alpha, _) = gate else { return 1e-6 }
    return 1e-6 * max(abs(alpha), 1)
  }

  @Test("Hard gates propagate NaN", arguments: [0.2, -3])
  func nanInHardGates(alpha: Double) {
    var gates: [Float] = [.nan, 0, 0, 0]
    var (c, h): ([Float], [Float]) = ([1], [0])
    unroll_lstm_step(
      &gates, [1], &c, &h, 1, 1, kind(.hardSigmoid(alpha: alpha, beta: 0.5)))
    #expect(gates[0].isNaN && c[0].isNaN && h[0].isNaN)
  }

  @Test("Vanilla RNN steps equal tanh and relu", arguments: shapes)
  func vanillaCells(B: Int, H: Int) {
    var generator = SeededGenerator(seed: UInt64(B * 1000 + H))
    let gates = generator.floats(B * H)
    var h = [Float](repeating: 0, count: B * H)
    unroll_rnn_tanh_step(gates, &h, B, H)
    #expect(largestError(h, gates.map { tanh(Double($0)) }) < 2e-7)
    unroll_rnn_relu_step(gates, &h, B, H)
    #expect(h == gates.map { max($0, 0) })
  }

  @Test("relu propagates NaN")
  func nanInRectifier() {
    var h: [Float] = [0, 0]
    unroll_rnn_relu_step([.nan, -1], &h, 1, 2)
    #expect(h[0].isNaN)
    #expect(h[1] == 0)
  }
}
