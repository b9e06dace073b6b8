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
    let (D, H) = (architecture.inputSize, architecture.hiddenSize)
    let rows = architecture.cell.gateCount * H
    let (isGRU, bias) = (architecture.cell == .gru, architecture.bias)
    let hasBias = bias != .none || architecture.forgetBias != 0
    inputWeight = try PackedWeight(N: rows, K: D, hasBias: hasBias)
    hiddenWeight = try PackedWeight(
      N: rows, K: H, hasBias: bias == .double && isGRU, accumulates: !isGRU)
    try pack(parameters, index: index)
  }

  /// Packs the weights that the layer has now.
  ///
  /// - Parameters:
  ///   - parameters: The model's parameters, of the shapes that the architecture says.
  ///   - index: The layer, counted from 0.
  /// - Throws: `NeuralError` if oneDNN fails.
  func pack(_ parameters: CheckedParameters, index: Int) throws {
    var biasIH =
      parameters.floats(.layer(index, .biasIH)) ?? parameters.floats(.layer(index, .bias))
    var biasHH = parameters.floats(.layer(index, .biasHH))
    if architecture.cell != .gru, let input = biasIH, let hidden = biasHH {
      (biasIH, biasHH) = (zip(input, hidden).map(+), nil)
    }
    if architecture.forgetBias != 0 {
      let H = architecture.hiddenSize
      var shifted = biasIH ?? Array(repeating: 0, count: architecture.cell.gateCount * H)
      for place in H..<2 * H { shifted[place] += Float(architecture.forgetBias) }
      biasIH = shifted
    }
    try inputWeight.pack(parameters.tensor(.layer(index, .weightIH)), bias: biasIH)
    try hiddenWeight.pack(parameters.tensor(.layer(index, .weightHH)), bias: biasHH)
  }

  /// Whether a column's result has the same bits whatever the other columns are.
  var rowsAreIndependent: Bool {
    inputWeight.rowsAreIndependent && hiddenWeight.rowsAreIndependent
  }

  /// Runs a window of T steps over B columns.
  ///
  /// - Parameters:
  ///   - input: `[T*B, D]`
  ///   - state: In: the state before the window. Out: after it.
  ///   - tape: Out: what each step computed.
  ///   - T: The number of time steps.
  ///   - B: The number of columns.
  /// - Throws: `NeuralError` if oneDNN fails or memory is short.
  func forward(
    input: UnsafePointer<Float>, state: inout LayerState, tape: inout LayerTape, T: Int, B: Int
  ) throws {
    let size = B * architecture.hiddenSize
    let gateSize = architecture.cell.gateCount * size
    try tape.withBuffers(of: architecture.cell, steps: T, size: size) { buffers in
      // No step waits for another here, so the whole window is one product.
      try inputWeight.multiplyWindow(input, into: buffers.gates, M: T * B)
      try state.withBuffers { h, c in
        for t in 0..<T {
          let step = LayerStep(
            h: t == 0 ? h : UnsafePointer(buffers.hidden + (t - 1) * size),
            c: t == 0 ? c : UnsafePointer(buffers.cells + (t - 1) * size),
            hNext: buffers.hidden + t * size, cNext: buffers.cells + t * size,
            gates: buffers.gates + t * gateSize, recurrent: buffers.recurrent + t * gateSize)
          try forward(step, B: B)
        }
      }
      guard T > 0 else { return }
      let last = (T - 1) * size
      state.h = Array(UnsafeBufferPointer(start: buffers.hidden + last, count: size))
      guard architecture.cell == .lstm else { return }
      state.c = Array(UnsafeBufferPointer(start: buffers.cells + last, count: size))
    }
  }

  /// Runs one time step.
  private func forward(_ step: LayerStep, B: Int) throws {
    let H = architecture.hiddenSize
    switch architecture.cell {
    case .lstm:
      try hiddenWeight.multiply(step.h, into: step.gates, M: B)
      unroll_lstm_step(step.gates, step.c, step.cNext, step.hNext, B, H)
    case .gru:
      try hiddenWeight.multiply(step.h, into: step.recurrent, M: B)
      unroll_gru_step(step.gates, step.recurrent, step.h, step.hNext, B, H)
    case .rnn:
      try hiddenWeight.multiply(step.h, into: step.gates, M: B)
      switch architecture.activation {
      case .tanh: unroll_rnn_tanh_step(step.gates, step.hNext, B, H)
      case .relu: unroll_rnn_relu_step(step.gates, step.hNext, B, H)
      }
    }
  }
}

/// Where one time step of a layer finds and leaves its numbers.
///
/// Cell states are an LSTM's, recurrent
/// parts a GRU's; elsewhere these addresses mean nothing.
struct LayerStep {
  /// `[B, H]` the hidden state at t-1.
  let h: UnsafePointer<Float>
  /// `[B, H]` the cell state at t-1.
  let c: UnsafePointer<Float>
  /// `[B, H]` the hidden state at t.
  let hNext: UnsafeMutablePointer<Float>
  /// `[B, H]` the cell state at t.
  let cNext: UnsafeMutablePointer<Float>
  /// `[B, G*H]` forwards in: the input's part, out: the activations; backwards their gradients.
  let gates: UnsafeMutablePointer<Float>
  /// `[B, 3H]` the recurrent part.
  let recurrent: UnsafeMutablePointer<Float>
}
