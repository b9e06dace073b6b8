// swift-format-ignore-file: AlwaysUseLowerCamelCase
// A language model as the specification has it, one formula a line, in double precision.

import CUnrollKernels
import Foundation
import UnrollFormat
import UnrollTensors

/// A slow model that computes like the textbook: every variant of the format, one token at a time.
///
/// The numbers are those of `spec/FORMAT.md`, section 4. They depend on the order of additions by some
/// 1e-14, so that they are the same everywhere but for their last digits.
public struct ReferenceModel: Sendable {
  private let architecture: Architecture
  private let parameters: ParameterTree<Tensor>

  /// Takes over a model.
  ///
  /// - Throws: `NeuralError` if a parameter is missing or does not fit the architecture.
  public init(architecture: Architecture, parameters: ParameterTree<Tensor>) throws {
    _ = try CheckedParameters(parameters, of: architecture)
    self.architecture = architecture
    self.parameters = parameters
  }

  /// Returns the log-probabilities of tokens after the first, each given those before it.
  ///
  /// - Parameter ids: The tokens, `[N]`, each below V.
  /// - Returns: `[N - 1]` natural logarithms, from a zero state.
  public func tokenLogProbabilities(of ids: [Int]) -> [Double] {
    var states = architecture.layers.map { layer in
      func zeros(_ count: Int) -> [Double] { Array(repeating: 0, count: count) }
      return ReferenceState(
        h: zeros(layer.outputSize), c: zeros(layer.hiddenSize), x: zeros(layer.inputSize))
    }
    let outputs = ids.dropLast().map { id in
      var x = input(id)
      for (index, layer) in architecture.layers.enumerated() {
        states[index] = step(layer, index, x, states[index])
        x = states[index].h
      }
      return x
    }
    // The weights of a large vocabulary are read once for four tokens.
    return stride(from: 0, to: outputs.count, by: 4).flatMap { start in
      zip(logits(Array(outputs[start...].prefix(4))), ids[(start + 1)...]).map(logSoftmax)
    }
  }

  /// Returns the first layer's input, `[D]`: a row of the embedding, or a vector with a single one.
  private func input(_ id: Int) -> [Double] {
    if let embedding = parameters[.embeddingWeight] { return embedding.row(id) }
    var x = [Double](repeating: 0, count: architecture.vocabularySize)
    x[id] = 1
    return x
  }

  /// Returns the logits of some tokens, each `[V]`.
  private func logits(_ outputs: [[Double]]) -> [[Double]] {
    let projected = parameters[.outputProjection].map { $0.products(outputs) } ?? outputs
    let weight = parameters[architecture.isTied ? .embeddingWeight : .outputWeight]
    let bias = parameters[.outputBias]?.values
    let head = weight?.products(projected).map { sum($0, bias) } ?? []
    return architecture.tails.isEmpty
      ? head : zip(head, projected).map { withTails(head: $0, hidden: $1) }
  }

  /// Returns logits `[V]` whose softmax is an adaptive one.
  ///
  /// The probability of a token of a tail is that of the tail, an entry of the head, times that in the tail.
  ///
  /// - Parameters:
  ///   - head: The logits of the head's tokens, then of the tails.
  ///   - hidden: `[H]`
  /// - Returns: The logits.
  private func withTails(head: [Double], hidden: [Double]) -> [Double] {
    let headSize = architecture.headSize
    let tails = architecture.tails.indices.map { index -> [Double] in
      let projected = parameters[.tail(index, .projection)]?.product(hidden) ?? []
      let logits = parameters[.tail(index, .weight)]?.product(projected) ?? []
      return logits.indices.map { head[headSize + index] + logSoftmax(logits, $0) }
    }
    return Array(head[..<headSize]) + tails.joined()
  }

  private func logSoftmax(_ logits: [Double], _ target: Int) -> Double {
    let largest = logits.max() ?? 0
    return logits[target] - largest - log(logits.reduce(0) { $0 + exp($1 - largest) })
  }

  /// Runs one time step of a layer.
  private func step(
    _ layer: LayerArchitecture, _ index: Int, _ x: [Double], _ state: ReferenceState
  ) -> ReferenceState {
    let weights = ReferenceWeights { parameters[.layer(index, $0)] }
    let seen = layer.inputWindow > 1 ? x + state.x : x
    let fromInput = sum(
      weights.product(.weightIH, seen) ?? [], weights.values(.biasIH) ?? weights.values(.bias))
    var next = layer.cellType.reference(layer, fromInput, state, weights)
    next.x = x
    return next
  }
}

/// The state that a layer carries.
struct ReferenceState {
  /// `[H|P]`.
  var h: [Double]
  /// `[H]`, of a cell that has one.
  var c: [Double]
  /// `[D]` the input of the step before.
  var x: [Double] = []
}

/// The parameters of a layer.
struct ReferenceWeights {
  let parameter: (LayerParameter) -> Tensor?

  /// Returns the numbers of a vector, exactly; `nil` where the layer has none.
  func values(_ name: LayerParameter) -> [Double]? { parameter(name)?.values }

  /// Returns `W x`; `nil` where the layer has no such weight.
  func product(_ name: LayerParameter, _ x: [Double]) -> [Double]? { parameter(name)?.product(x) }

  /// Returns one row of `W x`.
  func product(_ name: LayerParameter, _ x: [Double], row: Int) -> Double {
    parameter(name)?.product(x, row: row) ?? 0
  }
}

extension LayerArchitecture {
  /// The function of the candidate state, in double precision.
  func activate(_ x: Double) -> Double {
    switch activation {
    case .tanh: tanh(x)
    case .relu: max(x, 0)
    case .identity: x
    }
  }

  /// The function of the gates, in double precision.
  func gate(_ x: Double) -> Double {
    switch gateActivation {
    case .sigmoid: 1 / (1 + exp(-x))
    case .hardSigmoid(let alpha, let beta): min(max(alpha * x + beta, 0), 1)
    }
  }
}

/// Returns the sum of two vectors, the second of which may be absent.
func sum(_ a: [Double], _ b: [Double]?) -> [Double] {
  b.map { zip(a, $0).map(+) } ?? a
}

extension Tensor {
  /// All numbers, exactly.
  fileprivate var values: [Double] {
    guard dtype == .float64 else { return (floats() ?? []).map { Double($0) } }
    return withUnsafeBytes { $0.elements(of: UInt64.self) { Double(bitPattern: $0) } }
  }

  /// Returns a row, exactly.
  fileprivate func row(_ index: Int) -> [Double] {
    let size = rowElementCount * dtype.size
    let row = Tensor(
      shape: [rowElementCount], dtype: dtype, storage: storage[index * size..<(index + 1) * size])
    return row?.values ?? []
  }

  /// `W x` for W `[N, K]` and x `[K]`.
  fileprivate func product(_ x: [Double]) -> [Double] { products([x])[0] }

  /// `W x`, `[N]`, for W `[N, K]` and each x `[K]`.
  fileprivate func products(_ xs: [[Double]]) -> [[Double]] {
    let count = shape.dimensions.first ?? 0
    var products = xs.map { _ in [Double](repeating: 0, count: count) }
    for row in 0..<count {
      for (index, x) in xs.enumerated() { products[index][row] = product(x, row: row) }
    }
    return products
  }

  /// One row of `W x`.
  fileprivate func product(_ x: [Double], row index: Int) -> Double {
    guard dtype != .float64 else { return zip(row(index), x).reduce(0) { $0 + $1.0 * $1.1 } }
    return withFloats(ofRows: index..<index + 1) { unroll_dot($0, x, x.count) }
  }
}
