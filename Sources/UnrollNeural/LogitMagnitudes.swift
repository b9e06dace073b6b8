// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Bounds of the sums of magnitudes behind logits, from which their rounding follows.

import UnrollFormat
import UnrollTensors

/// The largest magnitudes of the output layer's weights, for bounds of the rounding of logits.
public struct LogitMagnitudes: Sendable {
  /// The number of terms of a logit.
  public let terms: Int
  /// The width of the top layer, H.
  private let H: Int
  /// For each input of the output layer the largest magnitude of its weights, `[H]` or `[D]`.
  private let columns: [Double]
  /// The magnitudes of the projection, `[D, H]`; `nil` if there is none.
  private let projection: [Double]?
  /// The largest magnitude of a bias.
  private let bias: Double

  /// Reads the output layer.
  ///
  /// - Throws: `NeuralError` if a parameter is missing or does not fit the architecture.
  public init(architecture: Architecture, parameters: ParameterTree<Tensor>) throws {
    let parameters = try CheckedParameters(parameters, of: architecture)
    let weight = parameters.tensor(architecture.isTied ? .embeddingWeight : .outputWeight)
    let width = weight.rowElementCount
    var largest = [Float](repeating: 0, count: width)
    let rows = weight.shape.dimensions[0]
    // A few rows at a time, since a large weight stays in its file.
    for start in stride(from: 0, to: rows, by: 256) {
      let part = start..<min(start + 256, rows)
      weight.withFloats(ofRows: part) { floats in
        for row in part.indices {
          let values = floats + (row - part.lowerBound) * width
          for k in 0..<width { largest[k] = max(largest[k], abs(values[k])) }
        }
      }
    }
    columns = largest.map { Double($0) }
    bias = parameters.floats(.outputBias)?.map { Double(abs($0)) }.max() ?? 0
    H = architecture.topSize
    if architecture.hasOutputProjection {
      let tensor = parameters.tensor(.outputProjection)
      projection = tensor.withFloats(ofRows: 0..<width) { floats in
        (0..<width * tensor.rowElementCount).map { Double(abs(floats[$0])) }
      }
      terms = width + H + 1
    } else {
      projection = nil
      terms = width + 1
    }
  }

  /// For each hidden state a bound of the sum of the magnitudes of a logit's terms, over all logits.
  ///
  /// - Parameter hiddenStates: `[M, H]`
  /// - Returns: `[M]`
  public func largest(hiddenStates: [Float]) -> [Double] {
    stride(from: 0, to: hiddenStates.count, by: H).map { start in
      let hidden = hiddenStates[start..<start + H].map { Double(abs($0)) }
      let inputs =
        projection.map { projection in
          columns.indices.map { d in
            zip(projection[d * H..<(d + 1) * H], hidden).reduce(0) { $0 + $1.0 * $1.1 }
          }
        } ?? hidden
      return zip(columns, inputs).reduce(bias) { $0 + $1.0 * $1.1 }
    }
  }
}
