// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The minimal gated recurrent unit.

import CUnrollKernels
import UnrollFormat

/// The minGRU of Feng and others (2024), "Were RNNs all we needed?".
///
/// `z = sigmoid(W_z x + b_z)`, `n = W_n x + b_n`, `h' = (1 - z) h + z n`. No gate sees the hidden state, so the cell
/// has no weight of its own.
struct MinGRUCell: RecurrentCell {
  private let H: Int

  static func tapeWidths(of layer: LayerArchitecture) -> TapeWidths {
    TapeWidths(gates: 2 * layer.hiddenSize)
  }

  init(_ layer: LayerArchitecture, precision: Precision, isTrained: Bool) {
    H = layer.hiddenSize
  }

  func forward(_ step: LayerStep, rounded: UnsafeMutablePointer<UInt16>, B: Int) {
    unroll_mingru_step(step.gates, step.h, step.hNext, B, H)
  }

  func backward(
    _ step: LayerStep, _ gradients: StepGradients, rounded: UnsafeMutablePointer<UInt16>, B: Int
  ) {
    unroll_mingru_step_backward(step.gates, step.h, gradients.dh, gradients.dhPrevious, B, H)
  }

  static func reference(
    _ layer: LayerArchitecture, _ x: [Double], _ state: ReferenceState, _ weights: ReferenceWeights
  ) -> ReferenceState {
    let H = layer.hiddenSize
    let next = (0..<H).map { j in
      let z = layer.gate(x[j])
      return (1 - z) * state.h[j] + z * layer.activate(x[H + j])
    }
    return ReferenceState(h: next, c: state.c)
  }
}
