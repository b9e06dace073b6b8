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
  public func logProbabilities(of ids: [Int]) -> [Double] {
    var states = architecture.layers.map {
      State(
        h: [Double](repeating: 0, count: $0.outputSize),
        c: [Double](repeating: 0, count: $0.hiddenSize))
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

  /// The state that a layer carries: h `[H|P]`, and c `[H]` for an LSTM.
  private struct State {
    var h: [Double]
    var c: [Double]
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
    return weight?.products(projected).map { sum($0, bias) } ?? []
  }

  private func logSoftmax(_ logits: [Double], _ target: Int) -> Double {
    let largest = logits.max() ?? 0
    return logits[target] - largest - log(logits.reduce(0) { $0 + exp($1 - largest) })
  }

  // MARK: - Cells

  private func step(
    _ layer: LayerArchitecture, _ index: Int, _ x: [Double], _ state: State
  ) -> State {
    func parameter(_ name: LayerParameter) -> Tensor? { parameters[.layer(index, name)] }
    let bias = parameter(.biasIH) ?? parameter(.bias)
    let fromInput = sum(parameter(.weightIH)?.product(x) ?? [], bias?.values)
    switch layer.cell {
    case .lstm:
      let fromState = sum(parameter(.weightHH)?.product(state.h) ?? [], parameter(.biasHH)?.values)
      let next = lstm(layer, sum(fromInput, fromState), state.c)
      return State(h: parameter(.weightHR)?.product(next.h) ?? next.h, c: next.c)
    case .rnn:
      let fromState = sum(parameter(.weightHH)?.product(state.h) ?? [], parameter(.biasHH)?.values)
      return State(h: sum(fromInput, fromState).map(layer.activate), c: state.c)
    case .gru:
      let h = gru(layer, fromInput, parameter(.weightHH), parameter(.biasHH)?.values, state.h)
      return State(h: h, c: state.c)
    }
  }

  /// Gates in the order i, f, g, o, `[4H]`.
  private func lstm(_ layer: LayerArchitecture, _ gates: [Double], _ c: [Double]) -> State {
    let H = layer.hiddenSize
    var next = State(h: c, c: c)
    for j in 0..<H {
      let i = layer.gate(gates[j])
      let f = layer.gate(gates[H + j] + layer.forgetBias)
      let g = layer.activate(gates[2 * H + j])
      let o = layer.gate(gates[3 * H + j])
      next.c[j] = f * c[j] + i * g
      next.h[j] = o * layer.activate(next.c[j])
    }
    return next
  }

  /// Gates in the order r, z, n, `[3H]`.
  private func gru(
    _ layer: LayerArchitecture, _ fromInput: [Double], _ weight: Tensor?, _ bias: [Double]?,
    _ h: [Double]
  ) -> [Double] {
    let H = layer.hiddenSize
    guard let weight else { return h }
    let fromState = sum(weight.product(h), bias)
    let r = (0..<H).map { layer.gate(fromInput[$0] + fromState[$0]) }
    let z = (0..<H).map { layer.gate(fromInput[H + $0] + fromState[H + $0]) }
    let n: [Double]
    switch layer.reset {
    case .after:
      n = (0..<H).map { layer.activate(fromInput[2 * H + $0] + r[$0] * fromState[2 * H + $0]) }
    case .before:
      let reset = zip(r, h).map { $0 * $1 }
      n = (0..<H).map { j in
        layer.activate(
          fromInput[2 * H + j] + weight.product(reset, row: 2 * H + j) + (bias?[2 * H + j] ?? 0))
      }
    }
    return (0..<H).map { (1 - z[$0]) * n[$0] + z[$0] * h[$0] }
  }
}

extension LayerArchitecture {
  fileprivate func activate(_ x: Double) -> Double {
    switch activation {
    case .tanh: tanh(x)
    case .relu: max(x, 0)
    }
  }

  fileprivate func gate(_ x: Double) -> Double {
    switch gateActivation {
    case .sigmoid: 1 / (1 + exp(-x))
    case .hardSigmoid(let alpha, let beta): min(max(alpha * x + beta, 0), 1)
    }
  }
}

/// Returns the sum of two vectors, the second of which may be absent.
private func sum(_ a: [Double], _ b: [Double]?) -> [Double] {
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
