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
  private let hiddenWeight: PackedWeight
  /// `[3H, H]` as it stands: from the gradients of the recurrent parts to that of the state before.
  private let hiddenBackward: PackedWeight?

  static func tapeWidths(of layer: LayerArchitecture) -> TapeWidths {
    TapeWidths(gates: 3 * layer.hiddenSize, recurrent: 3 * layer.hiddenSize)
  }

  static var keepsHiddenBias: Bool { true }

  init(_ layer: LayerArchitecture, precision: Precision, isTrained: Bool) throws {
    self.layer = layer
    let H = layer.hiddenSize
    hiddenWeight = try PackedWeight(
      N: 3 * H, K: H, hasBias: layer.bias == .double, precision: precision)
    hiddenBackward =
      isTrained
      ? try PackedWeight(N: H, K: 3 * H, hasBias: false, accumulates: true, precision: precision)
      : nil
  }

  func pack(_ parameter: (LayerParameter) -> Tensor, bias: [Float]?) throws {
    try hiddenWeight.pack(parameter(.weightHH), bias: bias)
    try hiddenBackward?.pack(columns: parameter(.weightHH))
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
    try hiddenBackward?.multiply(step.recurrent, in: rounded, into: dhPrevious, M: B)
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
  /// `[3H, H]`: the first panel is that of r and z, the second that of n.
  private let hiddenWeight: PackedWeight
  /// `[2H, H]` as it stands: from the gradients of r and z to that of the state before.
  private let hiddenBackward: PackedWeight?
  /// `[H, H]` as it stands: from the gradient of n to that of `r * h`.
  private let candidateBackward: PackedWeight?

  static func tapeWidths(of layer: LayerArchitecture) -> TapeWidths {
    // The recurrent parts of r and z, [T*B, 2H], then those of n, [T*B, H], so that each is a matrix.
    let H = layer.hiddenSize
    return TapeWidths(gates: 3 * H, cells: H, recurrent: 3 * H)
  }

  static var keepsHiddenBias: Bool { true }

  init(_ layer: LayerArchitecture, precision: Precision, isTrained: Bool) throws {
    self.layer = layer
    let H = layer.hiddenSize
    hiddenWeight = try PackedWeight(
      N: 3 * H, K: H, hasBias: layer.bias == .double, panelWidth: 2 * H, precision: precision)
    hiddenBackward =
      isTrained
      ? try PackedWeight(N: H, K: 2 * H, hasBias: false, accumulates: true, precision: precision)
      : nil
    candidateBackward =
      isTrained ? try PackedWeight(N: H, K: H, hasBias: false, precision: precision) : nil
  }

  func pack(_ parameter: (LayerParameter) -> Tensor, bias: [Float]?) throws {
    try hiddenWeight.pack(parameter(.weightHH), bias: bias)
    try hiddenBackward?.pack(columns: parameter(.weightHH))
    try candidateBackward?.pack(columns: parameter(.weightHH), from: 2 * layer.hiddenSize)
  }

  func forward(_ step: LayerStep, rounded: UnsafeMutablePointer<UInt16>, B: Int) throws {
    let (H, row) = (layer.hiddenSize, step.row)
    let recurrent = step.tape.recurrent + row * 2 * H
    let candidate = step.tape.recurrent + (2 * step.rows + row) * H
    try hiddenWeight.multiply(step.h, in: rounded, into: recurrent, M: B, panel: 0)
    unroll_gru_reset_step(step.gates, recurrent, step.h, step.cNext, B, H, layer.gates)
    try hiddenWeight.multiply(step.cNext, in: rounded, into: candidate, M: B, panel: 1)
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
    try candidateBackward?.multiply(candidate, in: rounded, into: gradients.inner, M: B)
    unroll_gru_reset_step_backward(
      step.gates, recurrent, step.h, gradients.inner, gradients.dhPrevious, B, H, layer.gates)
    guard let dhPrevious = gradients.dhPrevious else { return }
    try hiddenBackward?.multiply(recurrent, in: rounded, into: dhPrevious, M: B)
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
