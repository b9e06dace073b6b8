// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The cross-entropy of an adaptive softmax: that of the head, and those of the tails after the rows that need them.

import CUnrollKernels
import UnrollFormat

extension TrainableModel {
  /// Computes the loss of an adaptive softmax and leaves the gradients of its head, its tails and its input.
  ///
  /// - Parameters:
  ///   - targets: `[M]` tokens.
  ///   - hidden: `[M, H]`
  ///   - scale: The factor of the gradients of the sum: 1/M for the gradients of the mean.
  /// - Returns: The sum over the rows of the negative log-probability of the target, in nats.
  /// - Throws: `NeuralError` if memory is short.
  func adaptiveCrossEntropy(
    _ targets: [Int32], hidden: UnsafePointer<Float>, scale: Float
  ) throws -> Double {
    let tailTokens = architecture.tailTokens
    let headSize = Int32(architecture.headSize)
    let H = architecture.outputInputSize
    let entries = targets.map { token in
      tailTokens.firstIndex { $0.contains(Int(token)) }.map { headSize + Int32($0) } ?? token
    }
    var total = try output.crossEntropy(
      entries, scale: scale, hidden: hidden, projection: nil, weight: numbers(.outputWeight),
      bias: architecture.hasOutputBias ? numbers(.outputBias) : nil, gradients: &outputGradients)
    for (index, tokens) in tailTokens.enumerated() {
      let tail = architecture.tails[index]
      let rows = entries.indices.filter { entries[$0] == headSize + Int32(index) }
      guard !rows.isEmpty else {
        tailGradients[index].clear(
          weight: tail.size * tail.projectionSize, projection: tail.projectionSize * H)
        continue
      }
      // The logits of head and tails take the same memory, one after the other.
      swap(&outputGradients.logits, &tailGradients[index].logits)
      defer { swap(&outputGradients.logits, &tailGradients[index].logits) }
      total += try TrainableOutput(V: tail.size, H: tail.projectionSize, products: output.products)
        .crossEntropy(
          rows.map { targets[$0] - Int32(tokens.lowerBound) }, scale: scale,
          hidden: rows.flatMap { UnsafeBufferPointer(start: hidden + $0 * H, count: H) },
          projection: numbers(.tail(index, .projection)), weight: numbers(.tail(index, .weight)),
          bias: nil, gradients: &tailGradients[index])
      for (place, row) in rows.enumerated() {
        unroll_add(
          outputGradients.hidden.start + row * H, tailGradients[index].hidden.start + place * H, H)
      }
    }
    return total
  }
}
