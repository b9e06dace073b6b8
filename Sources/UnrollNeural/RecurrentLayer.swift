// swift-format-ignore-file: AlwaysUseLowerCamelCase
// One recurrent layer over a window.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

/// A recurrent layer with packed weights.
struct RecurrentLayer: Sendable {
  /// The cell and its sizes.
  let architecture: LayerArchitecture
  /// `[G*H, D]` with the biases that do not depend on the hidden state.
  private let inputWeight: PackedWeight
  /// `[G*H, H]`; adds to the input's part, but for a GRU, whose reset gate comes between.
  private let hiddenWeight: PackedWeight

  /// Packs the weights of a layer.
  ///
  /// - Parameters:
  ///   - architecture: The cell and its sizes.
  ///   - index: The layer, counted from 0.
  ///   - parameters: The model's parameters, of the shapes that the architecture says.
  /// - Throws: `NeuralError` if oneDNN fails or memory is short.
  init(
    _ architecture: LayerArchitecture, index: Int, parameters: CheckedParameters
  ) throws {
    self.architecture = architecture
    var biasIH = parameters.floats(.layer(index, .biasIH))
    var biasHH = parameters.floats(.layer(index, .biasHH))
    let isGRU = architecture.cell == .gru
    if !isGRU, let input = biasIH, let hidden = biasHH {
      (biasIH, biasHH) = (zip(input, hidden).map(+), nil)
    }
    inputWeight = try PackedWeight(parameters.tensor(.layer(index, .weightIH)), bias: biasIH)
    hiddenWeight = try PackedWeight(
      parameters.tensor(.layer(index, .weightHH)), bias: biasHH, accumulates: !isGRU)
  }

  /// Whether a column's result has the same bits whatever the other columns are.
  var rowsAreIndependent: Bool {
    inputWeight.rowsAreIndependent && hiddenWeight.rowsAreIndependent
  }

  /// Runs a window of T steps over B columns.
  ///
  /// - Parameters:
  ///   - input: `[T*B, D]`
  ///   - hidden: `[T*B, H]`. Out: the hidden states of all steps.
  ///   - state: In: the state before the window. Out: after it.
  ///   - gates: `[T*B, G*H]`. Out: the gates' activations.
  ///   - recurrent: `[B, G*H]`, scratch for a GRU.
  ///   - T: The number of time steps.
  ///   - B: The number of columns.
  /// - Throws: `NeuralError` if oneDNN fails or memory is short.
  func forward(
    input: UnsafePointer<Float>, hidden: UnsafeMutablePointer<Float>, state: inout LayerState,
    gates: UnsafeMutablePointer<Float>, recurrent: UnsafeMutablePointer<Float>, T: Int, B: Int
  ) throws {
    let H = architecture.hiddenSize
    let G = architecture.cell.gateCount
    // No step waits for another here, so the whole window is one product.
    try inputWeight.multiplyWindow(input, into: gates, M: T * B)
    try state.h.withUnsafeBufferPointer { initial in
      for t in 0..<T {
        let previous = t == 0 ? initial.start : UnsafePointer(hidden + (t - 1) * B * H)
        try step(
          h: previous, next: hidden + t * B * H, c: &state.c, gates: gates + t * B * G * H,
          recurrent: recurrent, B: B)
      }
    }
    if T > 0 {
      let last = UnsafeBufferPointer(start: hidden + (T - 1) * B * H, count: B * H)
      state.h = Array(last)
    }
  }

  /// Runs one time step.
  ///
  /// - Parameters:
  ///   - h: `[B, H]` the hidden state at t-1.
  ///   - next: `[B, H]`. Out: the hidden state at t.
  ///   - c: `[B, H]` for an LSTM. In: the cell state at t-1. Out: at t.
  ///   - gates: `[B, G*H]`. In: the input's part. Out: the activations.
  ///   - recurrent: `[B, G*H]`, scratch for a GRU.
  ///   - B: The number of columns.
  /// - Throws: `NeuralError` if oneDNN fails or memory is short.
  private func step(
    h: UnsafePointer<Float>, next: UnsafeMutablePointer<Float>, c: inout [Float],
    gates: UnsafeMutablePointer<Float>, recurrent: UnsafeMutablePointer<Float>, B: Int
  ) throws {
    let H = architecture.hiddenSize
    switch architecture.cell {
    case .lstm:
      try hiddenWeight.multiply(h, into: gates, M: B)
      c.withUnsafeMutableBufferPointer { unroll_lstm_step(gates, $0.start, $0.start, next, B, H) }
    case .gru:
      try hiddenWeight.multiply(h, into: recurrent, M: B)
      unroll_gru_step(gates, recurrent, h, next, B, H)
    case .rnn:
      try hiddenWeight.multiply(h, into: gates, M: B)
      switch architecture.activation {
      case .tanh: unroll_rnn_tanh_step(gates, next, B, H)
      case .relu: unroll_rnn_relu_step(gates, next, B, H)
      }
    }
  }
}
