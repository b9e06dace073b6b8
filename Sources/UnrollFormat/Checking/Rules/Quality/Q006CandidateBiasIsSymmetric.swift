// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Rule Q006.

import UnrollTensors

extension Rule {
  /// The biases of an LSTM's block g SHOULD have a mean of about 0.
  static let candidateBiasIsSymmetric = Rule(
    id: "Q006", level: .note, cost: .bytes,
    summary: """
      The biases of the block g of an LSTM layer of at least 32 units SHOULD have a mean within 4 of \
      its standard errors from 0, if that of another block is within 2.
      """,
    why: """
      With the sign of a unit's candidate and cell state the model stays the same, so training makes \
      the biases of g positive as often as negative; those of the gates it pushes one way. A \
      block g that leans, beside a gate that does not, smells of another order of the blocks.
      """,
    example: """
      The blocks of `/model/layers/00/bias` are in TensorFlow's order i, g, f, o: the mean of the \
      third is 0.98, and that of the second -0.01.
      """,
    fix: "compare the order of the gates where the model came from with i, f, g, o"
  ) { contents in
    (contents.architecture?.layers ?? []).enumerated().compactMap { index, layer in
      let H = layer.hiddenSize
      guard layer.cell == .lstm, H >= 32, let biases = contents.biases(ofLayer: index),
        biases.count == 4 * H
      else { return nil }
      let blocks = (0..<4).map { Lean(biases[$0 * H..<($0 + 1) * H]) }
      guard blocks[2].inErrors > 4,
        let level = [0, 1, 3].min(by: { blocks[$0].inErrors < blocks[$1].inErrors }),
        blocks[level].inErrors < 2
      else { return nil }
      return Violation(
        object: ParameterPath.layerGroup(index),
        expected: "biases of the block g with a mean of about 0",
        found: """
          mean \(Float(blocks[2].mean)), \(Float(blocks[2].inErrors)) standard errors from 0, but \
          \(Float(blocks[level].mean)) in the block \(["i", "f", "g", "o"][level])
          """)
    }
  }
}

/// The mean of numbers and its distance from 0.
private struct Lean {
  let mean: Double
  /// The distance in standard errors of the mean; infinite for equal numbers other than 0.
  let inErrors: Double

  init(_ numbers: ArraySlice<Double>) {
    let count = Double(numbers.count)
    mean = numbers.reduce(0, +) / count
    let squares = numbers.reduce(0) { [mean] in $0 + ($1 - mean) * ($1 - mean) }
    inErrors = mean == 0 ? 0 : abs(mean) / (squares.squareRoot() / count)
  }
}

extension Contents {
  /// Returns the sum of a layer's biases, `[G*H]`; `nil` where there are none or they are not finite.
  fileprivate func biases(ofLayer index: Int) -> [Double]? {
    let tensors = [LayerParameter.bias, .biasIH, .biasHH].compactMap {
      tensor(ParameterPath.layer(index, $0).description)?.floats()
    }
    guard var sum = tensors.first?.map(Double.init) else { return nil }
    for other in tensors.dropFirst() where other.count == sum.count {
      for place in sum.indices { sum[place] += Double(other[place]) }
    }
    return sum.allSatisfy(\.isFinite) ? sum : nil
  }
}
