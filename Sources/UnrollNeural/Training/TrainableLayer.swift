// swift-format-ignore-file: AlwaysUseLowerCamelCase
// One recurrent layer with a backward pass.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

/// The gradients of a layer's parameters.
struct LayerGradients: Sendable {
  /// The gradient of `weight_ih`, `[G*H, D]`.
  var weightIH: [Float]
  /// The gradient of `weight_hh`, `[G*H, H|P]`.
  var weightHH: [Float]
  /// The gradient of `weight_hr`, `[P, H]`; empty without projection.
  var weightHR: [Float]
  /// The gradient of `bias_ih`, `[G*H]`, also if the layer has none.
  var biasIH: [Float]
  /// The gradient of `bias_hh`, `[G*H]`, also if the layer has none.
  var biasHH: [Float]

  init(_ layer: LayerArchitecture) {
    let (D, H) = (layer.inputSize, layer.hiddenSize)
    let rows = layer.cell.gateCount * H
    weightIH = Array(repeating: 0, count: rows * D)
    weightHH = Array(repeating: 0, count: rows * layer.outputSize)
    weightHR = Array(repeating: 0, count: (layer.projectionSize ?? 0) * H)
    biasIH = Array(repeating: 0, count: rows)
    biasHH = Array(repeating: 0, count: rows)
  }
}

/// A recurrent layer with its weights packed for both directions.
struct TrainableLayer {
  /// The forward pass.
  let forward: RecurrentLayer
  /// `[G*H, H|P]` as it stands: from the gradients of the gates to that of the state before; `[2H, H]`,
  /// that of r and z, of a GRU that resets before the product.
  private let hiddenWeight: PackedWeight
  /// `[H, H]` as it stands, of such a GRU: from the gradient of n to that of `r * h`.
  private let candidateWeight: PackedWeight?
  /// `[P, H]` as it stands: from the gradient of the projected state to that of `o tanh(c)`.
  private let projection: PackedWeight?
  private let index: Int
  private let products: Products

  /// Packs the weights of a layer.
  ///
  /// - Throws: `NeuralError` if memory is short.
  init(
    _ architecture: LayerArchitecture, index: Int, parameters: CheckedParameters,
    products: Products
  ) throws {
    let (H, G) = (architecture.hiddenSize, architecture.cell.gateCount)
    let precision = products.precision
    forward = try RecurrentLayer(
      architecture, index: index, parameters: parameters, precision: precision)
    hiddenWeight = try PackedWeight(
      N: architecture.outputSize, K: (architecture.resetsBefore ? 2 : G) * H, hasBias: false,
      accumulates: true, precision: precision)
    candidateWeight =
      architecture.resetsBefore
      ? try PackedWeight(N: H, K: H, hasBias: false, precision: precision) : nil
    projection = try architecture.projectionSize.map {
      try PackedWeight(N: H, K: $0, hasBias: false, precision: precision)
    }
    self.index = index
    self.products = products
    try packBackwards(parameters)
  }

  /// Packs the current weights of the layer.
  ///
  /// - Throws: `NeuralError` if memory is short.
  func pack(_ parameters: CheckedParameters) throws {
    try forward.pack(parameters, index: index)
    try packBackwards(parameters)
  }

  private func packBackwards(_ parameters: CheckedParameters) throws {
    let weightHH = parameters.tensor(.layer(index, .weightHH))
    try hiddenWeight.pack(columns: weightHH)
    try candidateWeight?.pack(columns: weightHH, from: hiddenWeight.K)
    try projection?.pack(columns: parameters.tensor(.layer(index, .weightHR)))
  }

  /// Runs the backward pass through a window.
  ///
  /// - Parameters:
  ///   - input: `[T*B, D]` the input of the layer.
  ///   - state: The state before the window; no gradient reaches beyond it.
  ///   - tape: The results of the forward pass. Out: gradients in place of gates and recurrent parts.
  ///   - dHidden: `[T*B, H|P]` In: the gradients of the hidden states through the layers above. Out: through
  ///     everything.
  ///   - dCells: `[T*B, H]`, of an LSTM, if requested. Out: the gradients of the cell states through
  ///     everything, `h = o tanh(c)` included.
  ///   - dInput: `[T*B, D]` Out: the gradients of the input; `nil` if they are not needed.
  ///   - weightIH: `[G*H, D]` the layer's weight.
  ///   - gradients: Out: the gradients of the parameters.
  ///   - T: The number of time steps.
  ///   - B: The batch size.
  /// - Throws: `NeuralError` if memory is short.
  func backward(
    input: UnsafePointer<Float>, state: LayerState, tape: inout LayerTape,
    dHidden: UnsafeMutablePointer<Float>, dCells: UnsafeMutablePointer<Float>? = nil,
    dInput: UnsafeMutablePointer<Float>?, weightIH: UnsafePointer<Float>,
    gradients: inout LayerGradients,
    T: Int, B: Int
  ) throws {
    let (layer, M) = (forward.architecture, T * B)
    let (D, H, rows) = (layer.inputSize, layer.hiddenSize, layer.cell.gateCount * layer.hiddenSize)
    try tape.withBuffers(
      of: layer, precision: products.precision, TapeExtent(T: T, B: B, isKept: true)
    ) { buffers in
      try state.withBuffers { h, c in
        try backward(
          h: h, c: c, buffers: buffers, dHidden: dHidden, dCells: dCells, T: T, B: B)
        // A GRU's gates see the two parts of their pre-activations apart.
        let dRecurrent = layer.cell == .gru ? buffers.recurrent : buffers.gates
        try gradients.weightHH.withUnsafeMutableBufferPointer {
          let rows = layer.resetsBefore ? 2 * H : rows
          try multiplyHidden(
            dRecurrent, rows: rows, h: h, hidden: buffers.hidden, into: $0.start, T: T, B: B)
          guard layer.resetsBefore else { return }
          try products.multiply(
            .transpose(buffers.recurrent + M * rows), Factor(buffers.cells),
            into: $0.start + rows * H, M: H, N: H, K: M)
        }
        if let P = layer.projectionSize {
          try gradients.weightHR.withUnsafeMutableBufferPointer {
            try products.multiply(
              .transpose(dHidden), Factor(buffers.recurrent), into: $0.start, M: P, N: H, K: M)
          }
        }
        try gradients.weightIH.withUnsafeMutableBufferPointer {
          try products.multiply(
            .transpose(buffers.gates), Factor(input), into: $0.start, M: rows, N: D, K: M)
        }
        if let dInput {
          try products.multiply(
            Factor(buffers.gates), Factor(weightIH), into: dInput, M: M, N: D, K: rows)
        }
        sumColumns(buffers.gates, M: M, into: &gradients.biasIH)
        if layer.cell == .gru && !layer.resetsBefore {
          // The reset gate comes between the recurrent bias and the gate of n.
          sumColumns(buffers.recurrent, M: M, into: &gradients.biasHH)
        } else {
          gradients.biasHH = gradients.biasIH
        }
      }
    }
  }

  /// Goes back through the time steps: from the gradients of hidden states to the gradients of gates.
  private func backward(
    h: UnsafePointer<Float>, c: UnsafePointer<Float>, buffers: TapeBuffers,
    dHidden: UnsafeMutablePointer<Float>, dCells: UnsafeMutablePointer<Float>?, T: Int, B: Int
  ) throws {
    let layer = forward.architecture
    let (H, extent) = (layer.hiddenSize, TapeExtent(T: T, B: B, isKept: true))
    // [B, H], the gradient of the cell state.
    var dc = [Float](repeating: 0, count: layer.cell == .lstm ? B * H : 0)
    // [B, H], the gradient of the input of another product: a projection's, or W_hn's.
    var inner = [Float](
      repeating: 0, count: layer.projectionSize != nil || layer.resetsBefore ? B * H : 0)
    try dc.withUnsafeMutableBufferPointer { dc in
      try inner.withUnsafeMutableBufferPointer { inner in
        try forEachPart(of: B) { columns in
          let (first, B) = (columns.lowerBound, columns.count)
          let rounded =
            buffers.rounded + first * products.precision.scratchWidth(layer.tapeWidths.gates)
          for t in (0..<T).reversed() {
            let step = LayerStep(
              t, of: layer, buffers: buffers, h: h, c: c, extent: extent, column: first)
            let row = t * extent.B + first
            let dh = dHidden + row * layer.outputSize
            let dhPrevious = t > 0 ? dh - extent.B * layer.outputSize : nil
            switch layer.cell {
            case .lstm:
              try backwardLSTM(
                step, dh: dh, inner: inner.start + first * H, dc: dc.start + first * H,
                dCell: dCells.map { $0 + row * H }, rounded: rounded, B: B)
            case .gru:
              try backwardGRU(
                step, dh: dh, dhPrevious: dhPrevious, inner: inner.start + first * H,
                rounded: rounded, B: B)
            case .rnn:
              switch layer.activation {
              case .tanh: unroll_rnn_tanh_step_backward(step.gates, step.hNext, dh, B * H)
              case .relu: unroll_rnn_relu_step_backward(step.gates, step.hNext, dh, B * H)
              }
            }
            guard let dhPrevious else { continue }
            try hiddenWeight.multiply(
              layer.cell == .gru ? step.recurrent : step.gates, in: rounded, into: dhPrevious, M: B)
          }
        }
      }
    }
  }

  /// Goes back through one step of an LSTM.
  ///
  /// - Parameters:
  ///   - step: Out: gradients in place of the gates.
  ///   - dh: `[B, H|P]` the gradient of the hidden state.
  ///   - inner: `[B, H]`, with a projection. Out: the gradient of the projection's input.
  ///   - dc: `[B, H]` In: the gradient of the cell state at t. Out: at t-1.
  ///   - dCell: `[B, H]`, if requested. Out: the gradient of the cell state through everything.
  ///   - rounded: Scratch for products.
  ///   - B: The batch size.
  /// - Throws: `NeuralError` if memory is short.
  private func backwardLSTM(
    _ step: LayerStep, dh: UnsafePointer<Float>, inner: UnsafeMutablePointer<Float>,
    dc: UnsafeMutablePointer<Float>, dCell: UnsafeMutablePointer<Float>?,
    rounded: UnsafeMutablePointer<UInt16>, B: Int
  ) throws {
    let (H, kind) = (forward.architecture.hiddenSize, forward.architecture.gates)
    var dh = dh
    if let projection {
      try projection.multiply(dh, in: rounded, into: inner, M: B)
      dh = UnsafePointer(inner)
    }
    if let dCell { unroll_lstm_cell_gradient(step.gates, step.cNext, dh, dc, dCell, B, H) }
    unroll_lstm_step_backward(step.gates, step.c, step.cNext, dh, dc, B, H, kind)
  }

  /// Goes back through one step of a GRU.
  ///
  /// - Parameters:
  ///   - step: Out: gradients in place of the gates and of the recurrent parts.
  ///   - dh: `[B, H]` the gradient of the hidden state.
  ///   - dhPrevious: `[B, H]` Out: the gradient that reaches the state at t-1 without `weight_hh`, and
  ///     as `r * h`, is added; `nil` for none.
  ///   - inner: `[B, H]`, if the reset gate comes before the product. Out: the gradient of `r * h`.
  ///   - rounded: Scratch for products.
  ///   - B: The batch size.
  /// - Throws: `NeuralError` if memory is short.
  private func backwardGRU(
    _ step: LayerStep, dh: UnsafePointer<Float>, dhPrevious: UnsafeMutablePointer<Float>?,
    inner: UnsafeMutablePointer<Float>, rounded: UnsafeMutablePointer<UInt16>, B: Int
  ) throws {
    let (H, kind) = (forward.architecture.hiddenSize, forward.architecture.gates)
    guard let candidateWeight else {
      return unroll_gru_step_backward(
        step.gates, step.recurrent, step.h, dh, dhPrevious, B, H, kind)
    }
    unroll_gru_candidate_step_backward(
      step.gates, step.recurrent, step.candidate, step.h, dh, dhPrevious, B, H, kind)
    try candidateWeight.multiply(step.candidate, in: rounded, into: inner, M: B)
    unroll_gru_reset_step_backward(
      step.gates, step.recurrent, step.h, inner, dhPrevious, B, H, kind)
  }

  /// Computes the gradient of `weight_hh`: gradients of the gates times the states before them.
  ///
  /// - Parameters:
  ///   - gates: `[T*B, rows]` the gradients of the recurrent parts.
  ///   - rows: The number of rows of the weight, or of those that multiply the states as they are.
  ///   - h: `[B, H|P]` the hidden state before the window.
  ///   - hidden: `[T*B, H|P]` the hidden states of the window; the last one comes before no gate.
  ///   - gradient: `[rows, H|P]`. Out: the gradient.
  ///   - T: The number of time steps.
  ///   - B: The batch size.
  /// - Throws: `NeuralError` if memory is short.
  private func multiplyHidden(
    _ gates: UnsafePointer<Float>, rows: Int, h: UnsafePointer<Float>,
    hidden: UnsafePointer<Float>, into gradient: UnsafeMutablePointer<Float>, T: Int, B: Int
  ) throws {
    let N = forward.architecture.outputSize
    try products.multiply(.transpose(gates), Factor(h), into: gradient, M: rows, N: N, K: B)
    guard T > 1 else { return }
    try products.multiply(
      .transpose(gates + B * rows), Factor(hidden), into: gradient, adds: true, M: rows, N: N,
      K: (T - 1) * B)
  }

  private func sumColumns(_ x: UnsafePointer<Float>, M: Int, into sums: inout [Float]) {
    let N = sums.count
    sums.withUnsafeMutableBufferPointer { sums in
      sums.update(repeating: 0)
      unroll_add_column_sums(x, M, N, sums.start)
    }
  }
}
