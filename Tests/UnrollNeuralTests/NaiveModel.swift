// swift-format-ignore-file: AlwaysUseLowerCamelCase
// A language model as the textbook has it, in double precision, and its derivatives by differences.

import Foundation
import UnrollFormat
import UnrollNeural
import UnrollTensors

/// The loss of a window, one formula a line.
struct NaiveModel {
  let architecture: Architecture
  var parameters: [ParameterPath: [Double]]

  /// The parameters in single precision.
  var tensors: ParameterTree<Tensor> {
    var tree = ParameterTree<Tensor>()
    for (path, shape) in architecture.parameters {
      tree[path] = parameters[path].map { Tensor($0.map { Float($0) }, shape: shape) }
    }
    return tree
  }

  /// The mean cross-entropy of a window `[T, B]`, in nats.
  func loss(inputs: [Int32], targets: [Int32], state: RecurrentState) -> Double {
    let (B, D) = (state.columns, architecture.embeddingSize)
    let embedding = parameters[.embeddingWeight, default: []]
    var x = inputs.flatMap { embedding[Int($0) * D..<(Int($0) + 1) * D] }  // [T*B, D]
    for (index, layer) in architecture.layers.enumerated() {
      x = run(layer, index: index, x, state: state.layers[index], B: B)
    }
    let H = architecture.layers.last?.hiddenSize ?? D
    let weight = parameters[architecture.isTied ? .embeddingWeight : .outputWeight, default: []]
    let bias = parameters[.outputBias]
    var total = 0.0
    for (row, target) in targets.enumerated() {
      let h = Array(x[row * H..<(row + 1) * H])
      let logits = Self.product(weight, h, bias: bias)
      let largest = logits.max() ?? 0
      total += largest + log(logits.reduce(0) { $0 + exp($1 - largest) }) - logits[Int(target)]
    }
    return total / Double(targets.count)
  }

  /// Runs a layer: `[T*B, D]` to `[T*B, H]`.
  private func run(
    _ layer: LayerArchitecture, index: Int, _ x: [Double], state: LayerState, B: Int
  ) -> [Double] {
    let (D, H) = (layer.inputSize, layer.hiddenSize)
    func parameter(_ name: LayerParameter) -> [Double]? { parameters[.layer(index, name)] }
    var (h, c) = (state.h.map(Double.init), state.c.map(Double.init))
    var all: [Double] = []
    for t in 0..<x.count / D / B {
      var (gates, recurrent) = ([Double](), [Double]())
      for b in 0..<B {
        let row = (t * B + b) * D
        gates += Self.product(
          parameter(.weightIH) ?? [], Array(x[row..<row + D]), bias: parameter(.biasIH))
        recurrent += Self.product(
          parameter(.weightHH) ?? [], Array(h[b * H..<(b + 1) * H]), bias: parameter(.biasHH))
      }
      let sum = zip(gates, recurrent).map(+)
      switch (layer.cell, layer.activation) {
      case (.lstm, _): (c, h, _) = Naive.lstm(gates: sum, c: c, B: B, H: H)
      case (.gru, _): (h, _) = Naive.gru(gates: gates, recurrent: recurrent, h: h, B: B, H: H)
      case (.rnn, .tanh): h = sum.map { tanh($0) }
      case (.rnn, .relu): h = sum.map { max($0, 0) }
      }
      all += h
    }
    return all
  }

  /// `W x + bias`, with W `[N, K]` and x `[K]`.
  private static func product(_ W: [Double], _ x: [Double], bias: [Double]?) -> [Double] {
    let K = x.count
    return (0..<W.count / K).map { n in
      var sum = bias?[n] ?? 0
      for k in 0..<K { sum += W[n * K + k] * x[k] }
      return sum
    }
  }

  /// The derivatives of a function of the model by each number of a parameter, by central
  /// differences: exact to about 1e-9.
  func derivatives(_ path: ParameterPath, of function: (NaiveModel) -> Double) -> [Double] {
    let step = 1e-5
    return (parameters[path] ?? []).indices.map { index in
      var moved = self
      moved.parameters[path]?[index] += step
      let above = function(moved)
      moved.parameters[path]?[index] -= 2 * step
      return (above - function(moved)) / (2 * step)
    }
  }
}
