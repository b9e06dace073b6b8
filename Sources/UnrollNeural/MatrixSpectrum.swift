// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The factor by which a square matrix, applied again and again or once, can stretch a vector.

import CUnrollKernels
import Foundation
import UnrollTensors

/// The two numbers of a recurrent weight that bound the growth of a gradient.
public struct MatrixSpectrum: Sendable, Hashable {
  /// The largest absolute value of an eigenvalue: the growth of a vector with each application, in the
  /// long run.
  public let spectralRadius: Double
  /// The largest singular value: the most that one application can stretch a vector.
  public let largestSingularValue: Double
  /// All eigenvalues, the largest absolute value first; `nil` unless they were requested, and if they
  /// were not found.
  public let eigenvalues: [ComplexNumber]?

  /// Computes both, to about five digits for matrices that are not close to a defective one.
  ///
  /// By Gelfand's formula, ‖Aᵐ‖^(1/m) for m = 2²⁰, with a matrix squared 20 times. It also converges if the
  /// largest eigenvalues are a complex pair, where a power iteration does not. The largest singular value is
  /// the root of the spectral radius of AᵀA.
  ///
  /// - Parameters:
  ///   - matrix: `[H, H]`, of finite numbers; `[H, P]` after a projection.
  ///   - projection: `[P, H]`, which the matrix is multiplied by, or `nil`.
  ///   - H: The size, at least 1.
  ///   - listsEigenvalues: `true` to compute all eigenvalues, in a time of H³.
  /// - Throws: `NeuralError` if memory is short.
  public init(
    of matrix: [Float], after projection: [Float]? = nil, size H: Int,
    listsEigenvalues: Bool = false
  ) throws {
    let products = try Products()
    let matrix =
      try projection.map { try Self.product(matrix, $0, H, K: matrix.count / H, products) }
      ?? matrix
    precondition(H > 0 && matrix.count == H * H, "a square matrix has H rows of H numbers")
    spectralRadius = try Self.radius(of: matrix, H, products)
    eigenvalues = listsEigenvalues ? UnrollNeural.eigenvalues(of: matrix, size: H) : nil
    // Scaled first, so that no square leaves the range of a float.
    var scaled = matrix
    let scale = Self.normalize(&scaled) ?? 0
    let gram = try Self.product(scaled, scaled, isTransposed: true, H, K: H, products)
    largestSingularValue = try scale * Self.radius(of: gram, H, products).squareRoot()
  }

  private static let squarings = 20

  private static func radius(
    of matrix: [Float], _ H: Int, _ products: Products
  ) throws -> Double {
    var power = matrix
    var logarithm = 0.0
    for index in 0...squarings {
      guard let scale = normalize(&power) else { return 0 }
      // A scale divided out of A^(2^index) enters the root with the exponent 2^-index.
      logarithm += Elementary.log(scale) / Double(1 << index)
      if index < squarings { power = try product(power, power, H, K: H, products) }
    }
    return Elementary.exp(logarithm + Elementary.log(norm(power)) / Double(1 << squarings))
  }

  /// Returns the Frobenius norm.
  private static func norm(_ matrix: [Float]) -> Double {
    unroll_sum_of_squares(matrix, matrix.count).squareRoot()
  }

  /// Divides a matrix by a power of two, exactly, so that its norm is from 1 up to 2.
  ///
  /// - Returns: The power of two, or `nil` for a matrix of zeros, or of less than a float can invert.
  private static func normalize(_ matrix: inout [Float]) -> Double? {
    let norm = norm(matrix)
    guard norm >= Double(Float.leastNormalMagnitude) else { return nil }
    let scale = Double(sign: .plus, exponent: Int(norm.exponent), significand: 1)
    var scaled = [Float](repeating: 0, count: matrix.count)
    scaled.withUnsafeMutableBufferPointer {
      unroll_add_scaled($0.start, matrix, Float(1 / scale), matrix.count)
    }
    matrix = scaled
    return scale
  }

  /// `A B`, `[H, H]`, of A `[H, K]` and B `[K, H]`; `AᵀB` of A `[K, H]`.
  private static func product(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, isTransposed: Bool = false, _ H: Int,
    K: Int, _ products: Products
  ) throws -> [Float] {
    var result = [Float](repeating: 0, count: H * H)
    try result.withUnsafeMutableBufferPointer {
      try products.multiply(
        isTransposed ? .transpose(a) : Factor(a), Factor(b), into: $0.start, M: H, N: H, K: K)
    }
    return result
  }
}
