// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The quasi-recurrent network.

import CUnrollKernels
import UnrollFormat

/// The QRNN of Bradbury and others (2016), with the pooling by a forget and an output gate.
///
/// The gates z, f, o are of this step's input and, with a window of 2, that of the step before;
/// `c' = f z + (1 - f) c`, `h' = o c'`, where f weighs the candidate as in salesforce's implementation (in the paper
/// it weighs the state before).
struct QRNNCell: RecurrentCell {
  private let H: Int

  static func tapeWidths(of layer: LayerArchitecture) -> TapeWidths {
    TapeWidths(gates: 3 * layer.hiddenSize, cells: layer.hiddenSize)
  }

  init(_ layer: LayerArchitecture, precision: Precision, isTrained: Bool) {
    H = layer.hiddenSize
  }

  func forward(_ step: LayerStep, rounded: UnsafeMutablePointer<UInt16>, B: Int) {
    unroll_qrnn_step(step.gates, step.c, step.cNext, step.hNext, B, H)
  }

  func backward(
    _ step: LayerStep, _ gradients: StepGradients, rounded: UnsafeMutablePointer<UInt16>, B: Int
  ) {
    unroll_qrnn_step_backward(
      step.gates, step.c, step.cNext, gradients.dh, gradients.dc, gradients.dCell, B, H)
  }

  static func reference(
    _ layer: LayerArchitecture, _ x: [Double], _ state: ReferenceState, _ weights: ReferenceWeights
  ) -> ReferenceState {
    let H = layer.hiddenSize
    var next = ReferenceState(h: state.c, c: state.c)
    for j in 0..<H {
      let (z, f, o) = (
        layer.activate(x[j]), layer.gate(x[H + j]), layer.gate(x[2 * H + j])
      )
      next.c[j] = f * z + (1 - f) * state.c[j]
      next.h[j] = o * next.c[j]
    }
    return next
  }
}
