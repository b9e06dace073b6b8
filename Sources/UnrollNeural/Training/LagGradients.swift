// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The share of the gradient of one step's loss that arrives at the states of earlier steps.

import CUnrollKernels
import UnrollFormat

/// The norms of the gradients of one step's loss with respect to the states of one layer, lag by lag.
public struct LagNorms: Sendable, Hashable {
  /// `[K+1][B]` the norm of dL_t/dh_{t-k} of each stream for each lag k from 0.
  public var h: [[Double]]
  /// `[K+1][B]` the norm of dL_t/dc_{t-k}; empty for cells without a cell state.
  public var c: [[Double]]
}

extension TrainableModel {
  /// Reads a window and does nothing else, to carry the state to the start of a measurement.
  ///
  /// - Parameters:
  ///   - inputs: `[T, B]` the tokens to read.
  ///   - state: In: the state before the window. Out: after it; unchanged if an error is thrown.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or a state of another model.
  public func read(_ inputs: [Int32], state: inout RecurrentState) throws {
    let B = try architecture.check(inputs: inputs, state: state)
    guard !inputs.isEmpty else { return }
    try begin()
    state = try forward(inputs, from: state, T: inputs.count / B, B: B)
  }

  /// Goes back from the loss of a window's last step, and of no other, to its first step.
  ///
  /// dL_t/dh_{t-k} is the total derivative of the loss L_t of step t with respect to the hidden state h_{t-k}
  /// of a layer, through everything that is computed from it, in later steps and in layers above. The
  /// derivative with respect to the cell state c_{t-k} of an LSTM or QRNN includes the path through
  /// `h_{t-k} = o tanh(c_{t-k})`. The norm is the Euclidean one. There is no dropout. The gradients of parameters
  /// from an earlier window are lost.
  ///
  /// - Parameters:
  ///   - inputs: `[K+1, B]` the tokens of the steps t-K to t.
  ///   - targets: `[B]` the tokens that step t predicts.
  ///   - state: The state before step t-K.
  /// - Returns: The norms of each layer, and the sum of L_t over the streams in nats.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or a state of another model.
  public func lagNorms(
    inputs: [Int32], targets: [Int32], state: RecurrentState
  ) throws -> (layers: [LagNorms], loss: Double) {
    let B = try architecture.check(inputs: inputs, state: state)
    guard targets.count == B, !inputs.isEmpty else {
      throw NeuralError.window(
        expected: "at least one step, and \(B) targets, one for each column",
        found: "\(inputs.count / B) steps and \(targets.count) targets")
    }
    try architecture.check(tokens: targets, lowest: 0)
    let T = inputs.count / B
    try begin()
    _ = try forward(inputs, from: state, T: T, B: B)
    let loss = try lastCrossEntropy(targets, T: T)
    var norms = architecture.layers.map { _ in LagNorms(h: [], c: []) }
    try backwardLayers(T: T, B: B) { layer, hidden, cells in
      let sizes = self.architecture.layers[layer]
      norms[layer].h = normsByLag(hidden, T: T, B: B, H: sizes.outputSize)
      norms[layer].c = cells.map { normsByLag($0, T: T, B: B, H: sizes.hiddenSize) } ?? []
    }
    return (norms, loss)
  }
}

/// Returns the norms of rows, the last time step first: `[T*B, H]` to `[T][B]`.
private func normsByLag(_ rows: UnsafePointer<Float>, T: Int, B: Int, H: Int) -> [[Double]] {
  (0..<T).reversed().map { t in
    (0..<B).map { b in unroll_sum_of_squares(rows + (t * B + b) * H, H).squareRoot() }
  }
}
