// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The memory of a training, known before it is allocated.

import UnrollFormat

extension TrainableModel {
  /// Returns the bytes that a training takes at its peak, without the texts and small things.
  ///
  /// - Parameters:
  ///   - architecture: The sizes and cells.
  ///   - T: The time steps of a window.
  ///   - B: The batch size.
  ///   - slotCount: The number of optimizer slots of a parameter.
  ///   - drops: `true` if there is dropout.
  /// - Returns: The bytes, or `nil` beyond the largest integer.
  public static func byteCount(
    of architecture: Architecture, window T: Int, columns B: Int, slotCount: Int,
    drops: Bool = false
  ) -> Int? {
    let widest = architecture.layers.reduce(architecture.embeddingSize) { max($0, $1.outputSize) }
    var perColumn = 0
    // Embeddings, and the gradients that go from layer to layer: of hidden states and of inputs.
    var perPrediction = architecture.embeddingSize + 2 * widest
    for layer in architecture.layers {
      let tape = layer.tapeWidths
      perPrediction += layer.outputSize + tape.gates + tape.cells + tape.recurrent
      if layer.inputWindow > 1 { perPrediction += layer.seenSize }
      // The hidden states after dropout; the recurrent weight after it counts as if all had it.
      if drops { perPrediction += layer.outputSize }
      // The state before the window and after it.
      perColumn += 2 * layer.states.reduce(0) { $0 + $1.width }
    }
    // The projected states, and their gradients.
    if architecture.hasOutputProjection { perPrediction += 2 * architecture.embeddingSize }
    // The hidden states that a tail needs, their projections, and the gradients of both.
    if let widest = architecture.tails.map(\.projectionSize).max() {
      perPrediction += 2 * (architecture.outputInputSize + widest)
    }
    let predictions = Optional(T).times(B)
    var model = architecture.parameters.reduce(0 as Int?) { sum, parameter in
      let isEmbedding = parameter.path == .embeddingWeight && !architecture.isTied
      // Numbers, gradients, optimizer slots; of an embedding's gradient only the rows that a window reads.
      let copies = (isEmbedding ? 1 : 2) + slotCount
      return sum.plus(parameter.shape.elementCount.times(copies))
    }
    let rowsRead = predictions.map { min($0, architecture.vocabularySize) }
    model = model.plus(rowsRead.times(architecture.embeddingSize))
    for layer in architecture.layers {
      // Packed for products: both weights forwards, the recurrent one backwards too.
      let packed = Optional(layer.cell.gateCount * layer.hiddenSize)
      let recurrent = layer.cell.facts.hasRecurrentWeight ? layer.outputSize : 0
      model = model.plus(packed.times(layer.seenSize + (drops ? 3 : 2) * recurrent))
      let projection = Optional(layer.projectionSize ?? 0).times(layer.hiddenSize)
      model = model.plus(projection.times(2))
    }
    let rows = predictions.map { min($0, TrainableOutput.largestBlock) }
    // Head and tails are computed one after the other.
    let logits = rows.times(architecture.tails.reduce(architecture.outputRows) { max($0, $1.size) })
    return model.plus(logits).plus(Optional(perColumn).times(B))
      .plus(predictions.times(perPrediction)).times(MemoryLayout<Float>.size)
  }
}

extension Int? {
  /// Returns the sum, or `nil` beyond the largest integer.
  fileprivate func plus(_ other: Int?) -> Int? {
    guard let self, let other else { return nil }
    let (sum, overflow) = self.addingReportingOverflow(other)
    return overflow ? nil : sum
  }

  /// Returns the product, or `nil` beyond the largest integer.
  fileprivate func times(_ other: Int?) -> Int? {
    guard let self, let other else { return nil }
    let (product, overflow) = self.multipliedReportingOverflow(by: other)
    return overflow ? nil : product
  }
}
