// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The sampled softmax: a loss over the targets and some drawn tokens in place of the whole vocabulary.

import UnrollFormat
import UnrollTensors

/// The tokens that one window's sampled softmax draws.
///
/// See Jean and others 2015, "On using very large target vocabulary for neural machine translation".
/// Tokens are drawn with replacement, token k with the probability `log((k + 2)/(k + 1)) / log(V + 1)`: that of Zipf's
/// law in a vocabulary by frequency. A logit is corrected by the logarithm of the expected number of its draws.
struct SampledTokens: Sendable {
  /// The drawn tokens, ascending.
  let tokens: [Int32]
  /// The number of times that each was drawn.
  let counts: [Int]
  /// The number of draws, N.
  let drawCount: Int
  private let V: Int

  /// Draws tokens.
  ///
  /// - Parameters:
  ///   - drawCount: The number of draws, N.
  ///   - V: The size of the vocabulary.
  ///   - seed: The random seed.
  ///   - draw: The number of the window that draws.
  init(_ drawCount: Int, of V: Int, seed: UInt32, draw: UInt32) {
    var generator = CounterGenerator(seed: seed, stream: draw)
    let range = Elementary.log(Double(V + 1))
    let drawn = (0..<drawCount).map { _ -> Int32 in
      let uniform = Double(generator.next() >> 11) * 0x1p-53
      return Int32(max(0, min(V - 1, Int(Elementary.exp(uniform * range)) - 1)))
    }
    self.init(Dictionary(grouping: drawn, by: { $0 }).mapValues(\.count), of: V)
  }

  /// Takes tokens with the number of times that each was drawn.
  init(_ drawn: [Int32: Int], of V: Int) {
    tokens = drawn.keys.sorted()
    counts = tokens.map { drawn[$0, default: 0] }
    drawCount = counts.reduce(0, +)
    self.V = V
  }

  /// Returns the logarithm of the expected number of draws of a token.
  func logExpectedCount(_ token: Int32) -> Double {
    let k = Double(token)
    return Elementary.log(
      Double(drawCount) * (Elementary.log((k + 2) / (k + 1)) / Elementary.log(Double(V + 1))))
  }
}

/// The outputs of a window with a sampled softmax: the drawn tokens, then those of the targets that were not drawn.
struct SampledOutputs: Sendable {
  /// The tokens of the columns, `[C]`: drawn ones first.
  let tokens: [Int32]
  /// The number of drawn tokens.
  let drawnCount: Int
  /// The correction of each column's logit for rows whose target is another token, `[C]`.
  let corrections: [Float]
  /// The column of each row's target, `[M]`.
  let targets: [Int32]
  /// For each row the number that its target's logit gets so that its correction is that of one draw, `[M]`.
  let targetCorrections: [Float]

  /// - Parameters:
  ///   - targets: `[M]` tokens.
  ///   - sample: The drawn tokens.
  init(targets: [Int32], sample: SampledTokens) {
    let drawn = Dictionary(uniqueKeysWithValues: zip(sample.tokens, sample.tokens.indices))
    let others = Set(targets).filter { drawn[$0] == nil }.sorted()
    let columns = drawn.merging(zip(others, sample.tokens.count...)) { first, _ in first }
    tokens = sample.tokens + others
    drawnCount = sample.tokens.count
    let counts = sample.counts + others.map { _ in 1 }
    corrections = zip(tokens, counts).map {
      Float(Elementary.log(Double($1)) - sample.logExpectedCount($0))
    }
    self.targets = targets.map { Int32(columns[$0] ?? 0) }
    targetCorrections = self.targets.map { Float(-Elementary.log(Double(counts[Int($0)]))) }
  }

  /// Leaves each row the drawn tokens and its own target.
  ///
  /// - Parameters:
  ///   - logits: `[rows.count, panel.count]` corrected by `corrections`. Out: -infinity for the targets of other rows
  ///     that were not drawn.
  ///   - rows: The rows.
  ///   - panel: The columns.
  func mask(_ logits: UnsafeMutablePointer<Float>, rows: Range<Int>, panel: Range<Int>) {
    let others = panel.clamped(to: drawnCount..<tokens.count)
    for (place, row) in rows.enumerated() {
      let own = logits + place * panel.count - panel.lowerBound
      let target = Int(targets[row])
      let isInPanel = panel.contains(target)
      let logit = isInPanel ? own[target] + targetCorrections[row] : 0
      for column in others { own[column] = -.infinity }
      if isInPanel { own[target] = logit }
    }
  }
}

extension TrainableModel {
  /// Computes a loss over drawn tokens and leaves the gradients of the output layer and of its input.
  ///
  /// - Parameters:
  ///   - targets: `[M]` tokens.
  ///   - sample: The drawn tokens.
  ///   - hidden: `[M, H]`
  ///   - scale: The factor of the gradients of the sum: 1/M for the gradients of the mean.
  /// - Returns: The sum of the losses of the rows in nats, each that of a softmax over the drawn tokens and its target.
  /// - Throws: `NeuralError` if memory is short.
  func sampledCrossEntropy(
    _ targets: [Int32], sample: SampledTokens, hidden: UnsafePointer<Float>, scale: Float
  ) throws -> Double {
    let outputs = SampledOutputs(targets: targets, sample: sample)
    let path = architecture.isTied ? ParameterPath.embeddingWeight : .outputWeight
    let H = architecture.outputInputSize
    let (weight, bias) = (numbers(path), architecture.hasOutputBias ? numbers(.outputBias) : nil)
    var layer = TrainableOutput(V: outputs.tokens.count, H: H, products: output.products)
    layer.sampled = outputs
    let loss = try layer.crossEntropy(
      outputs.targets, scale: scale, hidden: hidden,
      projection: architecture.hasOutputProjection ? numbers(.outputProjection) : nil,
      weight: outputs.tokens.flatMap { weight[Int($0) * H..<(Int($0) + 1) * H] },
      bias: zip(outputs.tokens, outputs.corrections).map { (bias?[Int($0)] ?? 0) + $1 },
      gradients: &outputGradients)
    outputGradients.rows = outputGradients.weight.withUnsafeBufferPointer {
      RowGradient(inputs: outputs.tokens, gradients: $0.start, width: H)
    }
    if bias != nil {
      var whole = [Float](repeating: 0, count: architecture.vocabularySize)
      for (token, gradient) in zip(outputs.tokens, outputGradients.bias) {
        whole[Int(token)] = gradient
      }
      outputGradients.bias = whole
    }
    return loss
  }
}
