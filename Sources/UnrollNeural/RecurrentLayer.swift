// swift-format-ignore-file: AlwaysUseLowerCamelCase
// One recurrent layer over a window.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

/// A recurrent layer with packed weights.
struct RecurrentLayer: Sendable {
  /// The cell and its sizes.
  let architecture: LayerArchitecture
  /// The compute precision.
  let precision: Precision
  /// `[G*H, D]` with the biases that do not depend on the hidden state.
  private let inputWeight: PackedWeight
  /// `[G*H, H|P]`; adds to the input's part, but for a GRU, whose reset gate comes between.
  ///
  /// If that comes before the product, the first panel is that of r and z, the second that of n.
  private let hiddenWeight: PackedWeight
  /// `[P, H]` of an LSTM with a projection.
  private let projection: PackedWeight?

  /// Packs the weights of a layer.
  ///
  /// - Parameters:
  ///   - architecture: The cell and its sizes.
  ///   - index: The layer, counted from 0.
  ///   - parameters: The model's parameters, of the shapes that the architecture says.
  ///   - precision: The compute precision.
  /// - Throws: `NeuralError` if memory is short.
  init(
    _ architecture: LayerArchitecture, index: Int, parameters: CheckedParameters,
    precision: Precision
  ) throws {
    self.architecture = architecture
    self.precision = precision
    let (D, H) = (architecture.inputSize, architecture.hiddenSize)
    let rows = architecture.cell.gateCount * H
    let (isGRU, bias) = (architecture.cell == .gru, architecture.bias)
    let hasBias = bias != .none || architecture.forgetBias != 0
    inputWeight = try PackedWeight(N: rows, K: D, hasBias: hasBias, precision: precision)
    hiddenWeight = try PackedWeight(
      N: rows, K: architecture.outputSize, hasBias: bias == .double && isGRU,
      panelWidth: architecture.resetsBefore ? 2 * H : nil, accumulates: !isGRU,
      precision: precision)
    projection = try architecture.projectionSize.map {
      try PackedWeight(N: $0, K: H, hasBias: false, precision: precision)
    }
    try pack(parameters, index: index)
  }

  /// Packs the current weights of the layer.
  ///
  /// - Parameters:
  ///   - parameters: The model's parameters, of the shapes that the architecture says.
  ///   - index: The layer, counted from 0.
  /// - Throws: `NeuralError` if memory is short.
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
    try projection?.pack(parameters.tensor(.layer(index, .weightHR)), bias: nil)
  }

  /// Runs a window of T steps with batch size B.
  ///
  /// The input's part of the gates does not depend on earlier steps, so it is one product for a chunk of steps,
  /// as large as stays in the cache until the steps read it.
  ///
  /// - Parameters:
  ///   - input: `[T*B, D]`
  ///   - state: In: the state before the window. Out: after it.
  ///   - tape: Out: the hidden states, and the results of each step if they are kept.
  ///   - keepsTape: `true` if a backward pass will read the tape.
  ///   - T: The number of time steps.
  ///   - B: The batch size.
  /// - Throws: `NeuralError` if memory is short.
  func forward(
    input: UnsafePointer<Float>, state: inout LayerState, tape: inout LayerTape, keepsTape: Bool,
    T: Int, B: Int
  ) throws {
    let extent = TapeExtent(T: T, B: B, isKept: keepsTape)
    try tape.withBuffers(of: architecture, precision: precision, extent) { buffers in
      try state.withBuffers { h, c in
        for start in stride(from: 0, to: T, by: extent.chunk) {
          let steps = start..<min(start + extent.chunk, T)
          let gates = LayerStep(
            start, of: architecture, buffers: buffers, h: h, c: c, extent: extent
          ).gates
          try inputWeight.multiply(
            input + start * B * architecture.inputSize, in: buffers.rounded, into: gates,
            M: steps.count * B)
          try forEachPart(of: B) { columns in
            for t in steps {
              let step = LayerStep(
                t, of: architecture, buffers: buffers, h: h, c: c, extent: extent,
                column: columns.lowerBound)
              let width = precision.scratchWidth(
                max(architecture.outputSize, architecture.hiddenSize))
              try forward(
                step, rounded: buffers.rounded + columns.lowerBound * width, B: columns.count)
            }
          }
        }
      }
      guard T > 0 else { return }
      let (size, cellSize) = (state.h.count, state.c.count)
      state.h = Array(
        UnsafeBufferPointer(start: buffers.hidden + (T - 1) * size, count: size))
      guard architecture.cell == .lstm else { return }
      state.c = Array(
        UnsafeBufferPointer(
          start: buffers.cells + extent.place(of: T - 1) * cellSize, count: cellSize))
    }
  }

  /// Runs one time step.
  private func forward(
    _ step: LayerStep, rounded: UnsafeMutablePointer<UInt16>, B: Int
  ) throws {
    let (H, kind) = (architecture.hiddenSize, architecture.gates)
    switch architecture.cell {
    case .lstm:
      try hiddenWeight.multiply(step.h, in: rounded, into: step.gates, M: B)
      let hidden = projection == nil ? step.hNext : step.recurrent
      unroll_lstm_step(step.gates, step.c, step.cNext, hidden, B, H, kind)
      try projection?.multiply(hidden, in: rounded, into: step.hNext, M: B)
    case .gru where architecture.resetsBefore:
      try hiddenWeight.multiply(step.h, in: rounded, into: step.recurrent, M: B, panel: 0)
      unroll_gru_reset_step(step.gates, step.recurrent, step.h, step.cNext, B, H, kind)
      try hiddenWeight.multiply(
        step.cNext, in: rounded, into: step.candidate, M: B, panel: 1)
      unroll_gru_candidate_step(step.gates, step.candidate, step.h, step.hNext, B, H)
    case .gru:
      try hiddenWeight.multiply(step.h, in: rounded, into: step.recurrent, M: B)
      unroll_gru_step(step.gates, step.recurrent, step.h, step.hNext, B, H, kind)
    case .rnn:
      try hiddenWeight.multiply(step.h, in: rounded, into: step.gates, M: B)
      switch architecture.activation {
      case .tanh: unroll_rnn_tanh_step(step.gates, step.hNext, B, H)
      case .relu: unroll_rnn_relu_step(step.gates, step.hNext, B, H)
      }
    }
  }
}

/// The addresses that one time step of a layer reads and writes; the same forwards and backwards.
///
/// Addresses of buffers that a cell does not use are meaningless.
struct LayerStep {
  /// `[B, H|P]` the hidden state at t-1.
  let h: UnsafePointer<Float>
  /// `[B, H]` the cell state at t-1.
  let c: UnsafePointer<Float>
  /// `[B, H|P]` the hidden state at t.
  let hNext: UnsafeMutablePointer<Float>
  /// `[B, H]` the cell state at t, or a GRU's `r * h`.
  let cNext: UnsafeMutablePointer<Float>
  /// `[B, G*H]` forwards in: the input's part, out: the activations; backwards their gradients.
  let gates: UnsafeMutablePointer<Float>
  /// `[B, 3H]` a GRU's recurrent part, `[B, 2H]` if it resets before the product; `[B, H]` the input of an
  /// LSTM's projection.
  let recurrent: UnsafeMutablePointer<Float>
  /// `[B, H]` the recurrent part of n of a GRU that resets before the product.
  let candidate: UnsafeMutablePointer<Float>

  /// Finds the addresses of a step in a window.
  ///
  /// - Parameters:
  ///   - t: The step, from 0.
  ///   - layer: The layer.
  ///   - buffers: The buffers of the layer's results in the window.
  ///   - h: `[B, H|P]` the hidden state before the window.
  ///   - c: `[B, H]` the cell state before the window.
  ///   - extent: The time steps that the buffers hold.
  ///   - column: The index of the first stream that the step runs.
  init(
    _ t: Int, of layer: LayerArchitecture, buffers: TapeBuffers, h: UnsafePointer<Float>,
    c: UnsafePointer<Float>, extent: TapeExtent, column: Int = 0
  ) {
    let (widths, H, B) = (layer.tapeWidths, layer.hiddenSize, extent.B)
    let row = extent.place(of: t) * B + column
    hNext = buffers.hidden + (t * B + column) * widths.hidden
    cNext = buffers.cells + row * H
    self.h =
      t == 0 ? h + column * widths.hidden : UnsafePointer(hNext - B * widths.hidden)
    self.c =
      t == 0
      ? c + column * H : UnsafePointer(buffers.cells + (extent.place(of: t - 1) * B + column) * H)
    gates = buffers.gates + (extent.gatePlace(of: t) * B + column) * widths.gates
    recurrent = buffers.recurrent + row * (layer.resetsBefore ? 2 * H : widths.recurrent)
    candidate = buffers.recurrent + (2 * extent.length * B + row) * H
  }
}

extension LayerArchitecture {
  /// The function of the gates, for the kernels.
  var gates: unroll_gates {
    switch gateActivation {
    case .sigmoid: unroll_gates(is_hard: false, alpha: 0, beta: 0)
    case .hardSigmoid(let alpha, let beta):
      unroll_gates(is_hard: true, alpha: Float(alpha), beta: Float(beta))
    }
  }
}
