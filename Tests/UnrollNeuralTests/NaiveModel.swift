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
    let B = state.columns
    var x = inputs.flatMap { input(Int($0)) }  // [T*B, D]
    for (index, layer) in architecture.layers.enumerated() {
      x = run(layer, index: index, x, state: state.layers[index], B: B)
    }
    let H = architecture.topSize
    let weight = parameters[architecture.isTied ? .embeddingWeight : .outputWeight, default: []]
    let bias = parameters[.outputBias]
    var total = 0.0
    for (row, target) in targets.enumerated() {
      var h = Array(x[row * H..<(row + 1) * H])
      if let projection = parameters[.outputProjection] {
        h = Self.product(projection, h, bias: nil)
      }
      let logits = Self.product(weight, h, bias: bias)
      let largest = logits.max() ?? 0
      total += largest + log(logits.reduce(0) { $0 + exp($1 - largest) }) - logits[Int(target)]
    }
    return total / Double(targets.count)
  }

  /// The input of the first layer for a token, `[D]`.
  private func input(_ token: Int) -> [Double] {
    let D = architecture.embeddingSize
    if let rows = parameters[.embeddingWeight] { return Array(rows[token * D..<(token + 1) * D]) }
    var x = [Double](repeating: 0, count: D)
    x[token] = 1
    return x
  }

  /// Runs a layer: `[T*B, D]` to `[T*B, H|P]`.
  private func run(
    _ layer: LayerArchitecture, index: Int, _ x: [Double], state: LayerState, B: Int
  ) -> [Double] {
    let (D, H, P) = (layer.inputSize, layer.hiddenSize, layer.outputSize)
    func parameter(_ name: LayerParameter) -> [Double]? { parameters[.layer(index, name)] }
    var (h, c) = (state.h.map(Double.init), state.c.map(Double.init))
    let before = state.x.map(Double.init)
    var all: [Double] = []
    for t in 0..<x.count / D / B {
      var (gates, recurrent) = ([Double](), [Double]())
      for b in 0..<B {
        let row = (t * B + b) * D
        var seen = Array(x[row..<row + D])
        if layer.inputWindow > 1 {
          let (last, place) = t == 0 ? (before, b * D) : (x, row - B * D)
          seen.append(contentsOf: last[place..<place + D])
        }
        gates += Self.product(
          parameter(.weightIH) ?? [], seen,
          bias: parameter(.biasIH) ?? parameter(.bias))
        guard let weight = parameter(.weightHH) else { continue }
        recurrent += Self.product(
          weight, Array(h[b * P..<(b + 1) * P]), bias: parameter(.biasHH))
      }
      let sum = zip(gates, recurrent).map(+)
      switch (layer.cell, layer.activation) {
      case (.lstm, _):
        let shifted = sum.enumerated().map { place, sum in
          sum + (place / H % 4 == 1 ? layer.forgetBias : 0)
        }
        (c, h, _) = Naive.lstm(gates: shifted, c: c, B: B, H: H, kind: layer.gateActivation)
        if let weight = parameter(.weightHR) {
          h = (0..<B).flatMap {
            Self.product(weight, Array(h[$0 * H..<($0 + 1) * H]), bias: nil)
          }
        }
      case (.gru, _) where layer.reset == .before:
        h = (0..<B).flatMap { b in
          gruBefore(
            layer, gates: Array(gates[b * 3 * H..<(b + 1) * 3 * H]),
            recurrent: Array(recurrent[b * 3 * H..<(b + 1) * 3 * H]),
            h: Array(h[b * H..<(b + 1) * H]), weight: parameter(.weightHH) ?? [],
            bias: parameter(.biasHH))
        }
      case (.gru, _):
        (h, _) = Naive.gru(
          gates: gates, recurrent: recurrent, h: h, B: B, H: H, kind: layer.gateActivation)
      case (.rnn, .relu): h = sum.map { max($0, 0) }
      case (.rnn, _): h = sum.map { tanh($0) }
      case (.minGRU, _):
        h = h.indices.map { index in
          let (b, j) = index.quotientAndRemainder(dividingBy: H)
          let z = Naive.sigmoid(gates[b * 2 * H + j])
          return (1 - z) * h[index] + z * gates[b * 2 * H + H + j]
        }
      case (.qrnn, _):
        for index in c.indices {
          let (b, j) = index.quotientAndRemainder(dividingBy: H)
          let row = Array(gates[b * 3 * H..<(b + 1) * 3 * H])
          let f = Naive.sigmoid(row[H + j])
          c[index] = f * tanh(row[j]) + (1 - f) * c[index]
          h[index] = Naive.sigmoid(row[2 * H + j]) * c[index]
        }
      }
      all += h
    }
    return all
  }

  /// One step of one column of a GRU with the reset gate before the product, `[H]`.
  private func gruBefore(
    _ layer: LayerArchitecture, gates: [Double], recurrent: [Double], h: [Double],
    weight: [Double], bias: [Double]?
  ) -> [Double] {
    let (H, gate) = (layer.hiddenSize, Naive.gate(layer.gateActivation))
    let r = (0..<H).map { gate(gates[$0] + recurrent[$0]) }
    let z = (H..<2 * H).map { gate(gates[$0] + recurrent[$0]) }
    let inner = Self.product(
      Array(weight[(2 * H * H)...]), zip(r, h).map { $0 * $1 },
      bias: bias.map { Array($0[(2 * H)...]) })
    let n = zip(gates[(2 * H)...], inner).map { tanh($0 + $1) }
    return (0..<H).map { (1 - z[$0]) * n[$0] + z[$0] * h[$0] }
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
