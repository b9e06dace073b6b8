// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Long short-term memory.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

/// The LSTM of Hochreiter and Schmidhuber (1997), with the forget gate of Gers, Schmidhuber and Cummins (2000) and
/// the projection of Sak, Senior and Beaufays (2014).
///
/// Gates i, f, g, o; `c' = f c + i g`, `h' = W_hr (o tanh(c'))`.
struct LSTMCell: RecurrentCell {
  private let layer: LayerArchitecture
  /// `[4H, H|P]`; its product adds to the input's.
  private let hiddenWeight: CellWeight
  /// `[P, H]`, of `o tanh(c')`.
  private let projection: CellWeight?

  static func tapeWidths(of layer: LayerArchitecture) -> TapeWidths {
    let H = layer.hiddenSize
    return TapeWidths(gates: 4 * H, cells: H, recurrent: layer.projectionSize == nil ? 0 : H)
  }

  static func biases(
    of layer: LayerArchitecture, input: [Float]?, hidden: [Float]?
  ) -> (input: [Float]?, hidden: [Float]?) {
    var bias = input
    if let input, let hidden { bias = zip(input, hidden).map(+) }
    guard layer.forgetBias != 0 else { return (bias, nil) }
    let H = layer.hiddenSize
    var shifted = bias ?? Array(repeating: 0, count: 4 * H)
    for place in H..<2 * H { shifted[place] += Float(layer.forgetBias) }
    return (shifted, nil)
  }

  init(_ layer: LayerArchitecture, precision: Precision, isTrained: Bool) throws {
    self.layer = layer
    let (H, width) = (layer.hiddenSize, layer.outputSize)
    hiddenWeight = try CellWeight(
      rows: 0..<4 * H, K: width, adds: (true, true), precision: precision, isTrained: isTrained)
    projection = try layer.projectionSize.map {
      try CellWeight(
        rows: 0..<$0, K: H, adds: (false, false), precision: precision, isTrained: isTrained)
    }
  }

  func pack(_ parameter: (LayerParameter) -> Tensor, bias: [Float]?) throws {
    try hiddenWeight.pack(parameter(.weightHH))
    try projection?.pack(parameter(.weightHR))
  }

  func forward(_ step: LayerStep, rounded: UnsafeMutablePointer<UInt16>, B: Int) throws {
    try hiddenWeight.multiply(step.h, in: rounded, into: step.gates, M: B)
    let hidden = projection == nil ? step.hNext : step.recurrent
    unroll_lstm_step(step.gates, step.c, step.cNext, hidden, B, layer.hiddenSize, layer.gates)
    try projection?.multiply(hidden, in: rounded, into: step.hNext, M: B)
  }

  func backward(
    _ step: LayerStep, _ gradients: StepGradients, rounded: UnsafeMutablePointer<UInt16>, B: Int
  ) throws {
    let H = layer.hiddenSize
    var dh = gradients.dh
    if let projection {
      try projection.multiplyBack(dh, in: rounded, into: gradients.inner, M: B)
      dh = gradients.inner
    }
    if let dCell = gradients.dCell {
      unroll_lstm_cell_gradient(step.gates, step.cNext, dh, gradients.dc, dCell, B, H)
    }
    unroll_lstm_step_backward(
      step.gates, step.c, step.cNext, dh, gradients.dc, B, H, layer.gates)
    guard let dhPrevious = gradients.dhPrevious else { return }
    try hiddenWeight.multiplyBack(step.gates, in: rounded, into: dhPrevious, M: B)
  }

  func addGradients(of window: BackwardWindow, to gradients: inout LayerGradients) throws {
    let (H, width, buffers) = (layer.hiddenSize, layer.outputSize, window.buffers)
    try gradients.change(.weightHH) {
      try window.multiplyHidden(buffers.gates, rows: 4 * H, width: width, into: $0)
    }
    if let P = layer.projectionSize {
      try gradients.change(.weightHR) {
        try window.products.multiply(
          .transpose(window.dHidden), Factor(buffers.recurrent), into: $0, M: P, N: H,
          K: window.T * window.B)
      }
    }
    gradients.copyBias()
  }

  static func reference(
    _ layer: LayerArchitecture, _ x: [Double], _ state: ReferenceState, _ weights: ReferenceWeights
  ) -> ReferenceState {
    let H = layer.hiddenSize
    let gates = sum(x, sum(weights.product(.weightHH, state.h) ?? [], weights.values(.biasHH)))
    var next = ReferenceState(h: state.c, c: state.c)
    for j in 0..<H {
      let i = layer.gate(gates[j])
      let f = layer.gate(gates[H + j] + layer.forgetBias)
      let g = layer.activate(gates[2 * H + j])
      let o = layer.gate(gates[3 * H + j])
      next.c[j] = f * state.c[j] + i * g
      next.h[j] = o * layer.activate(next.c[j])
    }
    next.h = weights.product(.weightHR, next.h) ?? next.h
    return next
  }
}
