// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The vanilla (Elman) RNN.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

/// Elman 1990: `h' = activation(W_ih x + b_ih + W_hh h + b_hh)` with tanh or `max(x, 0)`.
struct VanillaCell: RecurrentCell {
  private let layer: LayerArchitecture
  /// `[H, H]`; its product adds to the input's.
  private let hiddenWeight: CellWeight

  static func tapeWidths(of layer: LayerArchitecture) -> TapeWidths {
    TapeWidths(gates: layer.hiddenSize)
  }

  init(_ layer: LayerArchitecture, precision: Precision, isTrained: Bool) throws {
    self.layer = layer
    let H = layer.hiddenSize
    hiddenWeight = try CellWeight(
      rows: 0..<H, K: H, adds: (true, true), precision: precision, isTrained: isTrained)
  }

  func pack(_ parameter: (LayerParameter) -> Tensor, bias: [Float]?) throws {
    try hiddenWeight.pack(parameter(.weightHH))
  }

  func forward(_ step: LayerStep, rounded: UnsafeMutablePointer<UInt16>, B: Int) throws {
    try hiddenWeight.multiply(step.h, in: rounded, into: step.gates, M: B)
    if layer.activation == .relu {
      unroll_rnn_relu_step(step.gates, step.hNext, B, layer.hiddenSize)
    } else {
      unroll_rnn_tanh_step(step.gates, step.hNext, B, layer.hiddenSize)
    }
  }

  func backward(
    _ step: LayerStep, _ gradients: StepGradients, rounded: UnsafeMutablePointer<UInt16>, B: Int
  ) throws {
    let count = B * layer.hiddenSize
    if layer.activation == .relu {
      unroll_rnn_relu_step_backward(step.gates, step.hNext, gradients.dh, count)
    } else {
      unroll_rnn_tanh_step_backward(step.gates, step.hNext, gradients.dh, count)
    }
    guard let dhPrevious = gradients.dhPrevious else { return }
    try hiddenWeight.multiplyBack(step.gates, in: rounded, into: dhPrevious, M: B)
  }

  func addGradients(of window: BackwardWindow, to gradients: inout LayerGradients) throws {
    let H = layer.hiddenSize
    try gradients.change(.weightHH) {
      try window.multiplyHidden(window.buffers.gates, rows: H, width: H, into: $0)
    }
    gradients.copyBias()
  }

  static func reference(
    _ layer: LayerArchitecture, _ x: [Double], _ state: ReferenceState, _ weights: ReferenceWeights
  ) -> ReferenceState {
    let recurrent = sum(weights.product(.weightHH, state.h) ?? [], weights.values(.biasHH))
    return ReferenceState(h: sum(x, recurrent).map(layer.activate), c: state.c)
  }
}
