// swift-format-ignore-file: AlwaysUseLowerCamelCase
// A weight that a cell multiplies by in every time step, in both directions.

import UnrollFormat
import UnrollTensors

/// Some rows of a parameter, packed to multiply states with and, in training, gradients of the product.
struct CellWeight: Sendable {
  /// The rows of the parameter, N of them.
  private let rows: Range<Int>
  /// `y = x W^T`, of K columns to N.
  private let forward: PackedWeight
  /// `dx = dy W`, of N columns to K; `nil` without training.
  private let backward: PackedWeight?

  /// Makes room for a weight; `pack` fills it.
  ///
  /// - Parameters:
  ///   - rows: The rows of the parameter.
  ///   - K: The number of its columns.
  ///   - hasBias: `true` if products forwards add a bias.
  ///   - adds: The products that are added to what is there: forwards to y, backwards to dx.
  ///   - precision: The compute precision.
  ///   - isTrained: `true` if there will be backward passes.
  /// - Throws: `NeuralError` if memory is short.
  init(
    rows: Range<Int>, K: Int, hasBias: Bool = false, adds: (forward: Bool, backward: Bool),
    precision: Precision, isTrained: Bool
  ) throws {
    self.rows = rows
    forward = try PackedWeight(
      N: rows.count, K: K, hasBias: hasBias, accumulates: adds.forward, precision: precision)
    backward =
      isTrained
      ? try PackedWeight(
        N: K, K: rows.count, hasBias: false, accumulates: adds.backward, precision: precision) : nil
  }

  /// Packs the rows of a parameter.
  ///
  /// - Parameters:
  ///   - parameter: `[..., K]`
  ///   - bias: One number for each row of the parameter, or `nil` if products add none.
  /// - Throws: `NeuralError` if memory is short.
  func pack(_ parameter: Tensor, bias: [Float]? = nil) throws {
    try forward.pack(parameter, from: rows.lowerBound, bias: bias.map { Array($0[rows]) })
    try backward?.pack(transposed: parameter, from: rows.lowerBound)
  }

  /// Multiplies M states: `y = x W^T`, with the bias.
  ///
  /// - Parameters:
  ///   - x: `[M, K]`
  ///   - rounded: Scratch for x in the weight's precision.
  ///   - y: `[M, N]`. Out: the product, or what is there with it added.
  ///   - M: The number of states.
  /// - Throws: `NeuralError` if memory is short.
  func multiply(
    _ x: UnsafePointer<Float>, in rounded: UnsafeMutablePointer<UInt16>,
    into y: UnsafeMutablePointer<Float>, M: Int
  ) throws {
    try forward.multiply(x, in: rounded, into: y, M: M)
  }

  /// Goes back through the product: `dx = dy W`.
  ///
  /// - Parameters:
  ///   - dy: `[M, N]` the gradients of the product.
  ///   - rounded: Scratch for dy in the weight's precision.
  ///   - dx: `[M, K]`. Out: the gradients of the states, or what is there with them added.
  ///   - M: The number of states.
  /// - Throws: `NeuralError` if memory is short.
  func multiplyBack(
    _ dy: UnsafePointer<Float>, in rounded: UnsafeMutablePointer<UInt16>,
    into dx: UnsafeMutablePointer<Float>, M: Int
  ) throws {
    try backward?.multiply(dy, in: rounded, into: dx, M: M)
  }
}
