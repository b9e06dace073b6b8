// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Gated recurrent unit, the reset gate after the recurrent product.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

/// The GRU of cuDNN and PyTorch.
///
/// Gates r, z, n; `n = tanh(W_in x + b_in + r (W_hn h + b_hn))`, `h' = (1 - z) n + z h`.
struct GRUCell: RecurrentCell {
  private let layer: LayerArchitecture
  /// `[3H, H]`, with `bias_hh`: the reset gate comes between the two products.
  private let hiddenWeight: CellWeight

  static func tapeWidths(of layer: LayerArchitecture) -> TapeWidths {
    TapeWidths(gates: 3 * layer.hiddenSize, recurrent: 3 * layer.hiddenSize)
  }

  static var keepsHiddenBias: Bool { true }

  init(_ layer: LayerArchitecture, precision: Precision, isTrained: Bool) throws {
    self.layer = layer
    let H = layer.hiddenSize
    hiddenWeight = try CellWeight(
      rows: 0..<3 * H, K: H, hasBias: layer.bias == .double, adds: (false, true),
      precision: precision, isTrained: isTrained)
  }

  func pack(_ parameter: (LayerParameter) -> Tensor, bias: [Float]?) throws {
    try hiddenWeight.pack(parameter(.weightHH), bias: bias)
  }

  func forward(_ step: LayerStep, rounded: UnsafeMutablePointer<UInt16>, B: Int) throws {
    try hiddenWeight.multiply(step.h, in: rounded, into: step.recurrent, M: B)
    unroll_gru_step(
      step.gates, step.recurrent, step.h, step.hNext, B, layer.hiddenSize, layer.gates)
  }

  func backward(
    _ step: LayerStep, _ gradients: StepGradients, rounded: UnsafeMutablePointer<UInt16>, B: Int
  ) throws {
    unroll_gru_step_backward(
      step.gates, step.recurrent, step.h, gradients.dh, gradients.dhPrevious, B, layer.hiddenSize,
      layer.gates)
    guard let dhPrevious = gradients.dhPrevious else { return }
    try hiddenWeight.multiplyBack(step.recurrent, in: rounded, into: dhPrevious, M: B)
  }

  func addGradients(of window: BackwardWindow, to gradients: inout LayerGradients) throws {
    let H = layer.hiddenSize
    try gradients.change(.weightHH) {
      try window.multiplyHidden(window.buffers.recurrent, rows: 3 * H, width: H, into: $0)
    }
    gradients.sumColumns(window.buffers.recurrent, M: window.T * window.B, into: .biasHH)
  }

  static func reference(
    _ layer: LayerArchitecture, _ x: [Double], _ state: ReferenceState, _ weights: ReferenceWeights
  ) -> ReferenceState {
    let (H, h) = (layer.hiddenSize, state.h)
    let recurrent = sum(weights.product(.weightHH, h) ?? [], weights.values(.biasHH))
    let next = (0..<H).map { j in
      let r = layer.gate(x[j] + recurrent[j])
      let z = layer.gate(x[H + j] + recurrent[H + j])
      let n = layer.activate(x[2 * H + j] + r * recurrent[2 * H + j])
      return (1 - z) * n + z * h[j]
    }
    return ReferenceState(h: next, c: state.c)
  }
}

/// The GRU of the first paper (Cho and others 2014), whose reset gate comes before the recurrent product.
///
/// `n = tanh(W_in x + b_in + W_hn (r h) + b_hn)`; the rest as `GRUCell`.
struct ResetBeforeGRUCell: RecurrentCell {
  private let layer: LayerArchitecture
  /// `[2H, H]`, the rows of r and z: of h.
  private let gateWeight: CellWeight
  /// `[H, H]`, the rows of n: of `r h`.
  private let candidateWeight: CellWeight

  static func tapeWidths(of layer: LayerArchitecture) -> TapeWidths {
    // The recurrent parts of r and z, [T*B, 2H], then those of n, [T*B, H], so that each is a matrix.
    let H = layer.hiddenSize
    return TapeWidths(gates: 3 * H, cells: H, recurrent: 3 * H)
  }

  static var keepsHiddenBias: Bool { true }

  init(_ layer: LayerArchitecture, precision: Precision, isTrained: Bool) throws {
    self.layer = layer
    let H = layer.hiddenSize
    gateWeight = try CellWeight(
      rows: 0..<2 * H, K: H, hasBias: layer.bias == .double, adds: (false, true),
      precision: precision, isTrained: isTrained)
    candidateWeight = try CellWeight(
      rows: 2 * H..<3 * H, K: H, hasBias: layer.bias == .double, adds: (false, false),
      precision: precision, isTrained: isTrained)
  }

  func pack(_ parameter: (LayerParameter) -> Tensor, bias: [Float]?) throws {
    try gateWeight.pack(parameter(.weightHH), bias: bias)
    try candidateWeight.pack(parameter(.weightHH), bias: bias)
  }

  func forward(_ step: LayerStep, rounded: UnsafeMutablePointer<UInt16>, B: Int) throws {
    let (H, row) = (layer.hiddenSize, step.row)
    let recurrent = step.tape.recurrent + row * 2 * H
    let candidate = step.tape.recurrent + (2 * step.rows + row) * H
    try gateWeight.multiply(step.h, in: rounded, into: recurrent, M: B)
    unroll_gru_reset_step(step.gates, recurrent, step.h, step.cNext, B, H, layer.gates)
    try candidateWeight.multiply(step.cNext, in: rounded, into: candidate, M: B)
    unroll_gru_candidate_step(step.gates, candidate, step.h, step.hNext, B, H)
  }

  func backward(
    _ step: LayerStep, _ gradients: StepGradients, rounded: UnsafeMutablePointer<UInt16>, B: Int
  ) throws {
    let (H, row) = (layer.hiddenSize, step.row)
    let recurrent = step.tape.recurrent + row * 2 * H
    let candidate = step.tape.recurrent + (2 * step.rows + row) * H
    unroll_gru_candidate_step_backward(
      step.gates, recurrent, candidate, step.h, gradients.dh, gradients.dhPrevious, B, H,
      layer.gates)
    try candidateWeight.multiplyBack(candidate, in: rounded, into: gradients.inner, M: B)
    unroll_gru_reset_step_backward(
      step.gates, recurrent, step.h, gradients.inner, gradients.dhPrevious, B, H, layer.gates)
    guard let dhPrevious = gradients.dhPrevious else { return }
    try gateWeight.multiplyBack(recurrent, in: rounded, into: dhPrevious, M: B)
  }

  func addGradients(of window: BackwardWindow, to gradients: inout LayerGradients) throws {
    let (H, M, buffers) = (layer.hiddenSize, window.T * window.B, window.buffers)
    try gradients.change(.weightHH) {
      try window.multiplyHidden(buffers.recurrent, rows: 2 * H, width: H, into: $0)
      try window.products.multiply(
        .transpose(buffers.recurrent + M * 2 * H), Factor(buffers.cells), into: $0 + 2 * H * H,
        M: H, N: H, K: M)
    }
    gradients.copyBias()
  }

  static func reference(
    _ layer: LayerArchitecture, _ x: [Double], _ state: ReferenceState, _ weights: ReferenceWeights
  ) -> ReferenceState {
    let (H, h, bias) = (layer.hiddenSize, state.h, weights.values(.biasHH))
    let recurrent = sum(weights.product(.weightHH, h) ?? [], bias)
    let reset = (0..<H).map { layer.gate(x[$0] + recurrent[$0]) * h[$0] }
    let next = (0..<H).map { j in
      let z = layer.gate(x[H + j] + recurrent[H + j])
      let inner = weights.product(.weightHH, reset, row: 2 * H + j) + (bias?[2 * H + j] ?? 0)
      return (1 - z) * layer.activate(x[2 * H + j] + inner) + z * h[j]
    }
    return ReferenceState(h: next, c: state.c)
  }
}
