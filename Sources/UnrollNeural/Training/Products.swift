// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Matrix products with weights that change from step to step.

import CUnrollKernels
import UnrollFormat

/// An operand of a product, row-major.
struct Factor {
  let numbers: Operand
  var isTransposed = false

  /// A matrix as it stands.
  init(_ numbers: UnsafePointer<Float>) { self.init(Operand(numbers, width: 0)) }

  /// A matrix as it stands, that may have been rounded already.
  init(_ numbers: Operand) { self.numbers = numbers }

  /// Returns the transpose of a matrix.
  static func transpose(_ numbers: UnsafePointer<Float>) -> Factor {
    .transpose(Operand(numbers, width: 0))
  }

  /// Returns the transpose of a matrix, that may have been rounded already.
  static func transpose(_ numbers: Operand) -> Factor {
    var factor = Factor(numbers)
    factor.isTransposed = true
    return factor
  }
}

/// Products of plain matrices in one precision.
///
/// A class because it owns scratch memory. One thread at a time may use it.
final class Products {
  /// The compute precision.
  let precision: Precision
  /// The two operands of the current product, in another precision than f32.
  private let roundedA = ScratchBuffer<UInt16>()
  private let roundedB = ScratchBuffer<UInt16>()

  /// - Throws: `NeuralError` for int8.
  init(_ precision: Precision = .float32) throws {
    guard Precision.ofTraining.contains(precision) else { throw NeuralError.trainingPrecision }
    self.precision = precision
  }

  /// Computes `C = A B`, optionally `+ bias` and `+ C`.
  ///
  /// Floats are rounded first in other precisions than f32.
  ///
  /// - Parameters:
  ///   - a: `[M, K]`
  ///   - b: `[K, N]`
  ///   - bias: `[N]`, or `nil`.
  ///   - c: `[M, N]`. Out: the product.
  ///   - adds: `true` if the product is added to the contents of C.
  ///   - M: The number of rows of A and C.
  ///   - N: The number of columns of B and C.
  ///   - K: The length of the sums.
  /// - Throws: `NeuralError` if memory is short.
  func multiply(
    _ a: Factor, _ b: Factor, bias: UnsafePointer<Float>? = nil,
    into c: UnsafeMutablePointer<Float>, adds: Bool = false, M: Int, N: Int, K: Int
  ) throws {
    try check(
      unroll_multiply(
        precision.kernel, operand(a, count: M * K, in: roundedA),
        operand(b, count: K * N, in: roundedB), bias, c, adds, M, N, K))
  }

  /// Returns an operand in the precision of the products.
  private func operand(
    _ factor: Factor, count: Int, in scratch: ScratchBuffer<UInt16>
  ) -> unroll_operand {
    var numbers = factor.numbers
    if numbers.precision != precision {
      numbers = precision.operand(
        numbers.start.assumingMemoryBound(to: Float.self), rows: 1, width: count,
        in: scratch.room(for: precision.scratchWidth(count)))
    }
    return unroll_operand(numbers: numbers.start, transposed: factor.isTransposed)
  }
}
