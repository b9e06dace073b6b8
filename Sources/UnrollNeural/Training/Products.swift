// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Matrix products with weights that change from step to step.

import CUnrollKernels

/// A factor of a product, row-major.
struct Factor {
  let numbers: UnsafePointer<Float>
  var isTransposed = false

  /// A matrix as it stands.
  init(_ numbers: UnsafePointer<Float>) { self.numbers = numbers }

  /// The transpose of a matrix.
  static func transpose(_ numbers: UnsafePointer<Float>) -> Factor {
    var factor = Factor(numbers)
    factor.isTransposed = true
    return factor
  }

  fileprivate var operand: unroll_operand {
    unroll_operand(numbers: numbers, transposed: isTransposed)
  }
}

/// Products of plain matrices, with what is kept of their planning.
///
/// A class because the plans have identity and exactly one end.
final class Products {
  private let handle: OpaquePointer

  /// - Throws: `NeuralError` if memory is short.
  init() throws {
    var created: OpaquePointer?
    try check(unroll_products_create(&created))
    guard let created else { throw NeuralError.outOfMemory }
    handle = created
  }

  deinit { unroll_products_destroy(handle) }

  /// Computes `C = A B`, optionally `+ bias` and `+ C`.
  ///
  /// - Parameters:
  ///   - a: `[M, K]`
  ///   - b: `[K, N]`
  ///   - bias: `[N]`, or `nil`.
  ///   - c: `[M, N]`. Out: the product.
  ///   - adds: Whether the product is added to what C holds.
  ///   - M: The number of rows of A and C.
  ///   - N: The number of columns of B and C.
  ///   - K: The length of the sums.
  /// - Throws: `NeuralError` if oneDNN fails or memory is short.
  func multiply(
    _ a: Factor, _ b: Factor, bias: UnsafePointer<Float>? = nil,
    into c: UnsafeMutablePointer<Float>, adds: Bool = false, M: Int, N: Int, K: Int
  ) throws {
    try check(unroll_multiply(handle, a.operand, b.operand, bias, c, adds, M, N, K))
  }
}
