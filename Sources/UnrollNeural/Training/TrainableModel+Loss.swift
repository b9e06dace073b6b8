// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The loss of a window and the gradients at the top of the recurrent layers.

import UnrollFormat
import UnrollTensors

extension TrainableModel {
  /// Computes the loss of a window and the gradients of the output layer and of the hidden states
  /// below it.
  ///
  /// - Returns: The sum of the losses in nats.
  func crossEntropy(_ targets: [Int32], share: Double, T: Int, B: Int) throws -> Double {
    let last = layers.count - 1
    let (raw, hidden) = (memory.tapes[last].hidden.start, memory.output(ofLayer: last))
    let H = architecture.topSize
    let count = T * B * H
    let total = try crossEntropy(
      targets, hidden: hidden, scale: Float(share / Double(targets.count)))
    swap(&memory.dHidden, &outputGradients.hidden)
    let gradient = memory.dHidden.start
    regularizer.addActivationGradient(to: gradient, hidden: hidden, count: count, share: share)
    regularizer.output?.apply(gradient, into: gradient, T: T, B: B, N: H)
    regularizer.addTemporalGradient(to: gradient, hidden: raw, T: T, size: B * H, share: share)
    return total
  }

  /// Computes the loss of the last time step of a window and its gradients, summed over the streams, of
  /// all hidden states of the top layer: zeros but for the last step.
  ///
  /// - Parameters:
  ///   - targets: `[B]`
  ///   - T: The number of time steps.
  /// - Returns: The sum of the losses in nats.
  /// - Throws: `NeuralError` if memory is short.
  func lastCrossEntropy(_ targets: [Int32], T: Int) throws -> Double {
    let last = layers.count - 1
    let size = targets.count * architecture.topSize
    let hidden = memory.output(ofLayer: last) + (T - 1) * size
    let total = try crossEntropy(targets, hidden: hidden, scale: 1)
    let gradient = memory.dHidden.room(for: T * size)
    gradient.update(repeating: 0, count: (T - 1) * size)
    (gradient + (T - 1) * size).update(from: outputGradients.hidden.start, count: size)
    return total
  }

  /// Computes a loss and leaves the gradients of the output layer and of its input.
  private func crossEntropy(
    _ targets: [Int32], hidden: UnsafePointer<Float>, scale: Float
  ) throws -> Double {
    guard architecture.tails.isEmpty else {
      return try adaptiveCrossEntropy(targets, hidden: hidden, scale: scale)
    }
    outputGradients.rows = nil
    if let sample = regularizer.sampledTokens(of: architecture.vocabularySize) {
      return try sampledCrossEntropy(targets, sample: sample, hidden: hidden, scale: scale)
    }
    return try output.crossEntropy(
      targets, scale: scale, hidden: hidden,
      projection: architecture.hasOutputProjection ? numbers(.outputProjection) : nil,
      weight: numbers(architecture.isTied ? .embeddingWeight : .outputWeight),
      bias: architecture.hasOutputBias ? numbers(.outputBias) : nil, gradients: &outputGradients)
  }
}
