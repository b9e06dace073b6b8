// swift-format-ignore-file: AlwaysUseLowerCamelCase
// One recurrent layer that can go backwards.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

/// The gradients of a layer's parameters.
struct LayerGradients: Sendable {
  /// That of `weight_ih`, `[G*H, D]`.
  var weightIH: [Float]
  /// That of `weight_hh`, `[G*H, H]`.
  var weightHH: [Float]
  /// That of `bias_ih`, `[G*H]`, also where the layer has none.
  var biasIH: [Float]
  /// That of `bias_hh`, `[G*H]`, also where the layer has none.
  var biasHH: [Float]

  init(_ layer: LayerArchitecture) {
    let (D, H) = (layer.inputSize, layer.hiddenSize)
    let rows = layer.cell.gateCount * H
    weightIH = Array(repeating: 0, count: rows * D)
    weightHH = Array(repeating: 0, count: rows * H)
    biasIH = Array(repeating: 0, count: rows)
    biasHH = Array(repeating: 0, count: rows)
  }
}

/// A recurrent layer with its weights packed for both directions.
struct TrainableLayer {
  /// The way forwards.
  let forward: RecurrentLayer
  /// `[G*H, H]` as it stands: from the gradients of the gates to that of the state before.
  private let hiddenWeight: PackedWeight
  private let index: Int
  private let products: Products

  /// Packs the weights of a layer.
  ///
  /// - Throws: `NeuralError` if oneDNN fails or memory is short.
  init(
    _ architecture: LayerArchitecture, index: Int, parameters: CheckedParameters,
    products: Products
  ) throws {
    let H = architecture.hiddenSize
    forward = try RecurrentLayer(architecture, index: index, parameters: parameters)
    hiddenWeight = try PackedWeight(
      N: H, K: architecture.cell.gateCount * H, hasBias: false, accumulates: true)
    self.index = index
    self.products = products
    try hiddenWeight.pack(columns: parameters.tensor(.layer(index, .weightHH)))
  }

  /// Packs the weights that the layer has now.
  ///
  /// - Throws: `NeuralError` if oneDNN fails.
  func pack(_ parameters: CheckedParameters) throws {
    try forward.pack(parameters, index: index)
    try hiddenWeight.pack(columns: parameters.tensor(.layer(index, .weightHH)))
  }

  /// Goes back through a window.
  ///
  /// - Parameters:
  ///   - input: `[T*B, D]` what the layer read.
  ///   - state: The state before the window; no gradient reaches beyond it.
  ///   - tape: What the forward pass left. Out: gradients in the place of gates and recurrent parts.
  ///   - dHidden: `[T*B, H]` In: the gradients of the hidden states by what lies above.
  ///     Out: by everything.
  ///   - dCells: `[T*B, H]`, of an LSTM, if wanted. Out: the gradients of the cell states by everything,
  ///     `h = o tanh(c)` included.
  ///   - dInput: `[T*B, D]` Out: the gradients of the input.
  ///   - weightIH: `[G*H, D]` the layer's weight.
  ///   - gradients: Out: those of the parameters.
  ///   - T: The number of time steps.
  ///   - B: The number of columns.
  /// - Throws: `NeuralError` if oneDNN fails or memory is short.
  func backward(
    input: UnsafePointer<Float>, state: LayerState, tape: inout LayerTape,
    dHidden: UnsafeMutablePointer<Float>, dCells: UnsafeMutablePointer<Float>? = nil,
    dInput: UnsafeMutablePointer<Float>, weightIH: UnsafePointer<Float>,
    gradients: inout LayerGradients,
    T: Int, B: Int
  ) throws {
    let (D, cell) = (forward.architecture.inputSize, forward.architecture.cell)
    let size = B * forward.architecture.hiddenSize
    let rows = cell.gateCount * forward.architecture.hiddenSize
    try tape.withBuffers(of: cell, steps: T, size: size) { buffers in
      try state.withBuffers { h, c in
        try backward(
          h: h, c: c, buffers: buffers, dHidden: dHidden, dCells: dCells, T: T, B: B)
        // A GRU's gates see the two parts of their pre-activations apart.
        let dRecurrent = cell == .gru ? buffers.recurrent : buffers.gates
        try multiplyHidden(
          dRecurrent, h: h, hidden: buffers.hidden, into: &gradients.weightHH, T: T, B: B)
        try gradients.weightIH.withUnsafeMutableBufferPointer {
          try products.multiply(
            .transpose(buffers.gates), Factor(input), into: $0.start, M: rows, N: D, K: T * B)
        }
        try products.multiply(
          Factor(buffers.gates), Factor(weightIH), into: dInput, M: T * B, N: D, K: rows)
        sumColumns(buffers.gates, M: T * B, into: &gradients.biasIH)
        sumColumns(dRecurrent, M: T * B, into: &gradients.biasHH)
      }
    }
  }

  /// Goes back through the time steps: from the gradients of hidden states to those of gates.
  private func backward(
    h: UnsafePointer<Float>, c: UnsafePointer<Float>, buffers: TapeBuffers,
    dHidden: UnsafeMutablePointer<Float>, dCells: UnsafeMutablePointer<Float>?, T: Int, B: Int
  ) throws {
    let (cell, H) = (forward.architecture.cell, forward.architecture.hiddenSize)
    let (size, gateSize) = (B * H, cell.gateCount * B * H)
    // [B, H], the gradient of the cell state.
    var dc = [Float](repeating: 0, count: cell == .lstm ? size : 0)
    for t in (0..<T).reversed() {
      let gates = buffers.gates + t * gateSize
      let recurrent = buffers.recurrent + t * gateSize
      let (hNext, dh) = (buffers.hidden + t * size, dHidden + t * size)
      let dhPrevious = t > 0 ? dHidden + (t - 1) * size : nil
      switch cell {
      case .lstm:
        let before = t == 0 ? c : UnsafePointer(buffers.cells + (t - 1) * size)
        let after = buffers.cells + t * size
        if let dCells {
          unroll_lstm_cell_gradient(gates, after, dh, dc, dCells + t * size, B, H)
        }
        unroll_lstm_step_backward(gates, before, after, dh, &dc, B, H)
      case .gru:
        let before = t == 0 ? h : UnsafePointer(buffers.hidden + (t - 1) * size)
        unroll_gru_step_backward(gates, recurrent, before, dh, dhPrevious, B, H)
      case .rnn:
        switch forward.architecture.activation {
        case .tanh: unroll_rnn_tanh_step_backward(gates, hNext, dh, size)
        case .relu: unroll_rnn_relu_step_backward(gates, hNext, dh, size)
        }
      }
      guard let dhPrevious else { continue }
      try hiddenWeight.multiply(cell == .gru ? recurrent : gates, into: dhPrevious, M: B)
    }
  }

  /// Computes the gradient of `weight_hh`: gradients of the gates times the states before them.
  ///
  /// - Parameters:
  ///   - gates: `[T*B, G*H]` the gradients of the recurrent parts.
  ///   - h: `[B, H]` the hidden state before the window.
  ///   - hidden: `[T*B, H]` the hidden states of the window; the last one comes before no gate.
  ///   - gradient: `[G*H, H]`. Out: the gradient.
  ///   - T: The number of time steps.
  ///   - B: The number of columns.
  /// - Throws: `NeuralError` if oneDNN fails or memory is short.
  private func multiplyHidden(
    _ gates: UnsafePointer<Float>, h: UnsafePointer<Float>, hidden: UnsafePointer<Float>,
    into gradient: inout [Float], T: Int, B: Int
  ) throws {
    let H = forward.architecture.hiddenSize
    let rows = forward.architecture.cell.gateCount * H
    try gradient.withUnsafeMutableBufferPointer { gradient in
      try products.multiply(.transpose(gates), Factor(h), into: gradient.start, M: rows, N: H, K: B)
      guard T > 1 else { return }
      try products.multiply(
        .transpose(gates + B * rows), Factor(hidden), into: gradient.start, adds: true, M: rows,
        N: H, K: (T - 1) * B)
    }
  }

  private func sumColumns(_ x: UnsafePointer<Float>, M: Int, into sums: inout [Float]) {
    let N = sums.count
    sums.withUnsafeMutableBufferPointer { sums in
      sums.update(repeating: 0)
      unroll_add_column_sums(x, M, N, sums.start)
    }
  }
}
