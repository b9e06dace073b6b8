// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Gradients of parameters: whole, or only the rows that a window touched.

import CUnrollKernels
import UnrollFormat

/// The gradient of a loss with respect to one parameter.
enum Gradient: Sendable {
  /// One number for each number of the parameter.
  case dense([Float])
  /// Rows of a matrix; the others are zero.
  case rows(RowGradient)

  /// The sum of the squares of all numbers.
  var sumOfSquares: Double {
    switch self {
    case .dense(let values): unroll_sum_of_squares(values, values.count)
    case .rows(let rows): unroll_sum_of_squares(rows.values, rows.values.count)
    }
  }

  /// Adds the gradient to a sum of whole gradients.
  func add(to sum: inout [Float]) {
    switch self {
    case .dense(let values):
      sum.withUnsafeMutableBufferPointer { unroll_add($0.start, values, values.count) }
    case .rows(let rows): rows.add(to: &sum)
    }
  }

  /// `true` if all numbers are finite.
  var isFinite: Bool {
    switch self {
    case .dense(let values): unroll_all_finite(values, values.count)
    case .rows(let rows): unroll_all_finite(rows.values, rows.values.count)
    }
  }
}

/// The gradient of an embedding in a window that reads only some of its rows.
struct RowGradient: Sendable {
  /// The numbers of a row, D.
  let width: Int
  /// The U tokens of the window, each once, in order.
  let tokens: [Int32]
  /// The rows of those tokens, `[U, D]`.
  private(set) var values: [Float]

  /// No rows.
  init(width: Int) {
    self.width = width
    tokens = []
    values = []
  }

  /// Sums the gradients of the positions of each token, in the order of the positions.
  ///
  /// - Parameters:
  ///   - inputs: `[T*B]` the tokens.
  ///   - gradients: `[T*B, D]` the gradients of their embeddings.
  ///   - width: D.
  init(inputs: [Int32], gradients: UnsafePointer<Float>, width: Int) {
    let tokens = Set(inputs).sorted()
    var values = [Float](repeating: 0, count: tokens.count * width)
    let index = Dictionary(uniqueKeysWithValues: zip(tokens, 0...))
    values.withUnsafeMutableBufferPointer { values in
      for (place, token) in inputs.enumerated() {
        guard let row = index[token] else { continue }
        unroll_add(values.start + row * width, gradients + place * width, width)
      }
    }
    self.width = width
    self.tokens = tokens
    self.values = values
  }

  /// Multiplies each row by a number of its token.
  mutating func scale(by factor: (Int32) -> Float) {
    for (index, token) in tokens.enumerated() {
      let mask = factor(token)
      for place in index * width..<(index + 1) * width { values[place] *= mask }
    }
  }

  /// Adds the rows to a whole gradient.
  ///
  /// - Parameter gradient: `[V, D]`
  func add(to gradient: inout [Float]) {
    gradient.withUnsafeMutableBufferPointer { gradient in
      values.withUnsafeBufferPointer { values in
        for (index, token) in tokens.enumerated() {
          unroll_add(gradient.start + Int(token) * width, values.start + index * width, width)
        }
      }
    }
  }
}
