// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The textbook, in double precision: what each kernel is compared with.

import Foundation
import UnrollFormat

/// A seeded generator (SplitMix64, Steele and others 2014), so that a failure comes again.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }

  /// Numbers spread evenly over a range.
  mutating func floats(_ count: Int, in range: ClosedRange<Float> = -2...2) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &self) }
  }
}

/// Plain loops over `[Double]`, one formula a line.
enum Naive {
  static func sigmoid(_ x: Double) -> Double {
    x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x))
  }

  /// `x W^T + bias`, with x `[M, K]` and weight `[N, K]`.
  static func product(
    _ x: [Float], _ weight: [Float], bias: [Float]?, M: Int, N: Int, K: Int
  ) -> [Double] {
    var y = [Double](repeating: 0, count: M * N)
    for m in 0..<M {
      for n in 0..<N {
        var sum = Double(bias?[n] ?? 0)
        for k in 0..<K { sum += Double(x[m * K + k]) * Double(weight[n * K + k]) }
        y[m * N + n] = sum
      }
    }
    return y
  }

  /// The function of gates.
  static func gate(_ kind: GateActivation) -> (Double) -> Double {
    switch kind {
    case .sigmoid: sigmoid
    case .hardSigmoid(let alpha, let beta): { min(max(alpha * $0 + beta, 0), 1) }
    }
  }

  /// One LSTM step from gates `[B, 4H]` and c `[B, H]`.
  static func lstm(
    gates: [Float], c: [Float], B: Int, H: Int, kind: GateActivation = .sigmoid
  ) -> (c: [Double], h: [Double], activations: [Double]) {
    lstm(gates: gates.map(Double.init), c: c.map(Double.init), B: B, H: H, kind: kind)
  }

  static func lstm(
    gates: [Double], c: [Double], B: Int, H: Int, kind: GateActivation = .sigmoid
  ) -> (c: [Double], h: [Double], activations: [Double]) {
    let gate = gate(kind)
    var (next, h) = ([Double](), [Double]())
    var activations = gates
    for b in 0..<B {
      for j in 0..<H {
        let at = { (gate: Int) in b * 4 * H + gate * H + j }
        let i = gate(activations[at(0)])
        let f = gate(activations[at(1)])
        let g = tanh(activations[at(2)])
        let o = gate(activations[at(3)])
        (activations[at(0)], activations[at(1)]) = (i, f)
        (activations[at(2)], activations[at(3)]) = (g, o)
        next.append(f * c[b * H + j] + i * g)
        h.append(o * tanh(f * c[b * H + j] + i * g))
      }
    }
    return (next, h, activations)
  }

  /// One GRU step from the two parts of the gates `[B, 3H]` and h `[B, H]`.
  static func gru(
    gates: [Float], recurrent: [Float], h: [Float], B: Int, H: Int,
    kind: GateActivation = .sigmoid
  ) -> (h: [Double], activations: [Double]) {
    gru(
      gates: gates.map(Double.init), recurrent: recurrent.map(Double.init),
      h: h.map(Double.init), B: B, H: H, kind: kind)
  }

  static func gru(
    gates: [Double], recurrent: [Double], h: [Double], B: Int, H: Int,
    kind: GateActivation = .sigmoid
  ) -> (h: [Double], activations: [Double]) {
    let gate = gate(kind)
    var next: [Double] = []
    var activations = gates
    for b in 0..<B {
      for j in 0..<H {
        let at = { (gate: Int) in b * 3 * H + gate * H + j }
        let r = gate(activations[at(0)] + recurrent[at(0)])
        let z = gate(activations[at(1)] + recurrent[at(1)])
        let n = tanh(activations[at(2)] + r * recurrent[at(2)])
        (activations[at(0)], activations[at(1)], activations[at(2)]) = (r, z, n)
        next.append((1 - z) * n + z * h[b * H + j])
      }
    }
    return (next, activations)
  }

  /// `log(sum of exp(x))`.
  static func logSumExp(_ x: some Sequence<Float>) -> Double {
    let x = x.map(Double.init)
    let largest = x.max() ?? -.infinity
    return largest + log(x.reduce(0) { $0 + exp($1 - largest) })
  }
}

/// The largest difference of two sequences; a NaN on either side counts as infinite.
func largestError(_ found: [Float], _ expected: [Double]) -> Double {
  guard found.count == expected.count else { return .infinity }
  return zip(found, expected).map { Double($0) - $1 }.map { $0.isNaN ? .infinity : abs($0) }.max()
    ?? 0
}
