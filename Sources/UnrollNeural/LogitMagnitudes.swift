// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Bounds of the sums of magnitudes behind logits, from which their rounding follows.

import UnrollFormat
import UnrollTensors

/// The largest magnitudes of the output layer's weights, for bounds of the rounding of logits.
///
/// With an adaptive softmax, a token of a tail has two logits, one in the head and one in the tail; their bounds add up.
public struct LogitMagnitudes: Sendable {
  /// The number of terms of a logit.
  public let terms: Int
  /// The width of the top layer, H.
  private let H: Int
  private let head: LinearMagnitudes
  private let tails: [LinearMagnitudes]

  /// Reads the output layer.
  ///
  /// - Throws: `NeuralError` if a parameter is missing or does not fit the architecture.
  public init(architecture: Architecture, parameters: ParameterTree<Tensor>) throws {
    let parameters = try CheckedParameters(parameters, of: architecture)
    H = architecture.topSize
    head = LinearMagnitudes(
      weight: parameters.tensor(architecture.isTied ? .embeddingWeight : .outputWeight),
      bias: parameters.floats(.outputBias),
      projection: architecture.hasOutputProjection ? parameters.tensor(.outputProjection) : nil)
    tails = architecture.tails.indices.map { index in
      LinearMagnitudes(
        weight: parameters.tensor(.tail(index, .weight)), bias: nil,
        projection: parameters.tensor(.tail(index, .projection)))
    }
    terms = head.terms + (tails.map(\.terms).max() ?? 0)
  }

  /// For each hidden state a bound of the sum of the magnitudes of a logit's terms, over all logits.
  ///
  /// - Parameter hiddenStates: `[M, H]`
  /// - Returns: `[M]`
  public func largest(hiddenStates: [Float]) -> [Double] {
    stride(from: 0, to: hiddenStates.count, by: H).map { start in
      let hidden = hiddenStates[start..<start + H].map { Double(abs($0)) }
      return head.bound(hidden) + (tails.map { $0.bound(hidden) }.max() ?? 0)
    }
  }
}

/// The largest magnitudes of the weights of a linear layer.
private struct LinearMagnitudes: Sendable {
  /// The number of terms of an output.
  let terms: Int
  /// For each input the largest magnitude of its weights, `[H]` or `[P]`.
  private let columns: [Double]
  /// The magnitudes of a projection before the weight, `[P, H]`; `nil` if there is none.
  private let projection: [Double]?
  /// The largest magnitude of a bias.
  private let bias: Double

  /// - Parameters:
  ///   - weight: `[N, H]`, or `[N, P]` with a projection.
  ///   - bias: `[N]`, or `nil`.
  ///   - projection: `[P, H]`, or `nil`.
  init(weight: Tensor, bias: [Float]?, projection: Tensor?) {
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
    self.bias = bias?.map { Double(abs($0)) }.max() ?? 0
    self.projection = projection.map { tensor in
      tensor.withFloats(ofRows: 0..<width) { floats in
        (0..<width * tensor.rowElementCount).map { Double(abs(floats[$0])) }
      }
    }
    terms = width + (projection?.rowElementCount ?? 0) + 1
  }

  /// Returns a bound of the sum of the magnitudes of an output's terms.
  ///
  /// - Parameter hidden: `[H]` the magnitudes of the input.
  /// - Returns: The bound.
  func bound(_ hidden: [Double]) -> Double {
    let H = hidden.count
    let inputs =
      projection.map { projection in
        columns.indices.map { d in
          zip(projection[d * H..<(d + 1) * H], hidden).reduce(0) { $0 + $1.0 * $1.1 }
        }
      } ?? hidden
    return zip(columns, inputs).reduce(bias) { $0 + $1.0 * $1.1 }
  }
}
