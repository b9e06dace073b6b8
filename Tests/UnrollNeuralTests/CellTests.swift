// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Each cell's step against its naive twin.

import CUnrollKernels
import Foundation
import Testing

@Suite struct CellTests {
  /// One row, sizes that fill no vector, and enough rows to be shared out over threads.
  static let shapes = [(1, 1), (1, 16), (1, 650), (3, 17), (7, 33), (20, 200), (65, 101)]

  @Test(arguments: shapes)
  func lstmIsTheTextbooks(B: Int, H: Int) {
    var generator = SeededGenerator(seed: UInt64(B * 1000 + H))
    let before = generator.floats(B * 4 * H, in: -6...6)
    let c = generator.floats(B * H)
    let expected = Naive.lstm(gates: before, c: c, B: B, H: H)
    var (gates, next, h) = (before, c, [Float](repeating: 0, count: B * H))
    unroll_lstm_step(&gates, c, &next, &h, B, H)
    #expect(largestError(gates, expected.activations) < 2e-7)
    #expect(largestError(next, expected.c) < 1e-6)
    #expect(largestError(h, expected.h) < 1e-6)
  }

  @Test(arguments: shapes)
  func lstmMayOverwriteItsCellState(B: Int, H: Int) {
    var generator = SeededGenerator(seed: UInt64(B * 1000 + H))
    let before = generator.floats(B * 4 * H, in: -6...6)
    let c = generator.floats(B * H)
    var (gates, apart, inPlace, h) = (before, c, c, c)
    unroll_lstm_step(&gates, c, &apart, &h, B, H)
    gates = before
    inPlace.withUnsafeMutableBufferPointer { cells in
      unroll_lstm_step(&gates, cells.baseAddress, cells.baseAddress, &h, B, H)
    }
    #expect(inPlace == apart)
  }

  @Test(arguments: shapes)
  func gruIsTheTextbooks(B: Int, H: Int) {
    var generator = SeededGenerator(seed: UInt64(B * 1000 + H))
    let before = generator.floats(B * 3 * H, in: -4...4)
    let recurrent = generator.floats(B * 3 * H)
    let h = generator.floats(B * H)
    let expected = Naive.gru(gates: before, recurrent: recurrent, h: h, B: B, H: H)
    var (gates, next) = (before, h)
    unroll_gru_step(&gates, recurrent, h, &next, B, H)
    #expect(largestError(gates, expected.activations) < 1e-6)
    #expect(largestError(next, expected.h) < 1e-6)
  }

  @Test(arguments: shapes)
  func plainCellsAreTheTextbooks(B: Int, H: Int) {
    var generator = SeededGenerator(seed: UInt64(B * 1000 + H))
    let gates = generator.floats(B * H)
    var h = [Float](repeating: 0, count: B * H)
    unroll_rnn_tanh_step(gates, &h, B, H)
    #expect(largestError(h, gates.map { tanh(Double($0)) }) < 2e-7)
    unroll_rnn_relu_step(gates, &h, B, H)
    #expect(h == gates.map { max($0, 0) })
  }

  @Test func rectifierKeepsNotANumber() {
    var h: [Float] = [0, 0]
    unroll_rnn_relu_step([.nan, -1], &h, 1, 2)
    #expect(h[0].isNaN)
    #expect(h[1] == 0)
  }
}
