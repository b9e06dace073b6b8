// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The eigenvalues of a real square matrix.

import Foundation

/// A complex number.
public struct ComplexNumber: Sendable, Hashable {
  /// The real part.
  public let real: Double
  /// The imaginary part.
  public let imaginary: Double

  /// The absolute value.
  public var magnitude: Double { squaredMagnitude.squareRoot() }
  var squaredMagnitude: Double { real * real + imaginary * imaginary }

  /// Creates a number from its parts.
  public init(_ real: Double, _ imaginary: Double = 0) {
    (self.real, self.imaginary) = (real, imaginary)
  }

  fileprivate var conjugate: Self { Self(real, -imaginary) }

  /// The root with a real part of at least 0.
  fileprivate var squareRoot: Self {
    let root = ((magnitude + abs(real)) / 2).squareRoot()
    guard root > 0 else { return Self(0) }
    let other = imaginary / (2 * root)
    return real >= 0 ? Self(root, other) : Self(abs(other), imaginary < 0 ? -root : root)
  }

  fileprivate static func + (a: Self, b: Self) -> Self {
    Self(a.real + b.real, a.imaginary + b.imaginary)
  }
  fileprivate static func - (a: Self, b: Self) -> Self {
    Self(a.real - b.real, a.imaginary - b.imaginary)
  }
  fileprivate static func * (a: Self, b: Self) -> Self {
    Self(
      a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real)
  }
  fileprivate static func * (a: Self, b: Double) -> Self { Self(a.real * b, a.imaginary * b) }
}

/// Returns the eigenvalues of a matrix, the largest absolute value first.
///
/// The matrix is reduced to Hessenberg form by reflections, and that to a triangle by the QR algorithm with the shifts of
/// Wilkinson (Golub & Van Loan, Matrix Computations, chapter 7). The time grows with N³: about 0.1 s for N = 256.
///
/// - Parameters:
///   - matrix: `[N, N]`, of finite numbers, row by row.
///   - N: The size, at least 1.
/// - Returns: The N eigenvalues; `nil` if the algorithm does not converge.
func eigenvalues(of matrix: [Float], size N: Int) -> [ComplexNumber]? {
  precondition(N > 0 && matrix.count == N * N, "a square matrix has N rows of N numbers")
  var triangle = HessenbergMatrix(matrix.map(Double.init), N)
  guard triangle.deflate() else { return nil }
  return (0..<N).map { triangle[$0, $0] }.sorted { a, b in
    (a.magnitude, a.real, a.imaginary) > (b.magnitude, b.real, b.imaginary)
  }
}

/// A matrix that has zeros below the diagonal next to its main one.
private struct HessenbergMatrix {
  private var numbers: [ComplexNumber]
  private let N: Int

  /// The most steps for an eigenvalue; most take two or three.
  private static let stepLimit = 60

  /// Reduces a matrix `[N, N]` by a similarity, which keeps its eigenvalues.
  init(_ matrix: [Double], _ N: Int) {
    self.N = N
    var matrix = matrix
    for column in 0..<max(0, N - 2) { Self.reflect(&matrix, N, column) }
    numbers = matrix.map { ComplexNumber($0) }
    for row in stride(from: 2, to: N, by: 1) {
      for column in 0..<(row - 1) { self[row, column] = ComplexNumber(0) }
    }
  }

  subscript(row: Int, column: Int) -> ComplexNumber {
    get { numbers[row * N + column] }
    set { numbers[row * N + column] = newValue }
  }

  /// Makes the numbers of a column zero from two below the diagonal on: A becomes P A P with the reflection P.
  private static func reflect(_ matrix: inout [Double], _ N: Int, _ column: Int) {
    let first = column + 1
    var v = (first..<N).map { matrix[$0 * N + column] }
    let norm = v.reduce(0) { $0 + $1 * $1 }.squareRoot()
    guard norm > 0 else { return }
    v[0] += v[0] < 0 ? -norm : norm
    let square = v.reduce(0) { $0 + $1 * $1 }
    // Row by row, in the order of memory.
    var sums = [Double](repeating: 0, count: N)
    for (index, factor) in v.enumerated() {
      let row = (first + index) * N
      for place in column..<N { sums[place] += factor * matrix[row + place] }
    }
    for (index, factor) in v.enumerated() {
      let (row, scale) = ((first + index) * N, 2 * factor / square)
      for place in column..<N { matrix[row + place] -= scale * sums[place] }
    }
    for row in stride(from: 0, to: N * N, by: N) {
      var sum = 0.0
      for (index, factor) in v.enumerated() { sum += factor * matrix[row + first + index] }
      let scale = 2 * sum / square
      for (index, factor) in v.enumerated() { matrix[row + first + index] -= scale * factor }
    }
  }

  /// Makes the numbers below the diagonal zero, from the last row up.
  ///
  /// - Returns: `false` if that takes too many steps.
  mutating func deflate() -> Bool {
    var (end, steps) = (N - 1, 0)
    while end > 0 {
      var start = end
      while start > 0, !isNegligible(below: start - 1) { start -= 1 }
      if start == end {
        (end, steps) = (end - 1, 0)
        continue
      }
      steps += 1
      guard steps <= Self.stepLimit else { return false }
      // Every tenth shift is another one, in case that the steps go round in circles.
      let isOther = steps % 10 == 0
      let other = self[end, end] + ComplexNumber(self[end, end - 1].magnitude)
      step(start...end, isOther ? other : shift(end))
    }
    return true
  }

  /// Returns `true` if the number below a place of the diagonal is lost in rounding.
  private func isNegligible(below place: Int) -> Bool {
    let near = self[place, place].magnitude + self[place + 1, place + 1].magnitude
    let scale = near > 0 ? near : numbers.lazy.map(\.magnitude).max() ?? 0
    return self[place + 1, place].magnitude <= Double.ulpOfOne * scale
  }

  /// Returns the eigenvalue of the last two rows and columns that is closer to the last number.
  private func shift(_ end: Int) -> ComplexNumber {
    let (a, d) = (self[end - 1, end - 1], self[end, end])
    let half = (a - d) * 0.5
    let root = (half * half + self[end - 1, end] * self[end, end - 1]).squareRoot
    let (first, second) = ((a + d) * 0.5 + root, (a + d) * 0.5 - root)
    return (first - d).squaredMagnitude < (second - d).squaredMagnitude ? first : second
  }

  /// Takes a step of the QR algorithm in a block: A - sI = QR becomes RQ + sI.
  private mutating func step(_ block: ClosedRange<Int>, _ shift: ComplexNumber) {
    for place in block { self[place, place] = self[place, place] - shift }
    var rotations: [(a: ComplexNumber, b: ComplexNumber)] = []
    for place in block.dropLast() {
      let (a, b) = (self[place, place], self[place + 1, place])
      let norm = (a.squaredMagnitude + b.squaredMagnitude).squareRoot()
      // Of two zeros nothing is to be rotated.
      let rotation =
        norm > 0 ? (a * (1 / norm), b * (1 / norm)) : (ComplexNumber(1), ComplexNumber(0))
      rotations.append(rotation)
      for column in place...block.upperBound {
        let (upper, lower) = (self[place, column], self[place + 1, column])
        self[place, column] = rotation.0.conjugate * upper + rotation.1.conjugate * lower
        self[place + 1, column] = rotation.0 * lower - rotation.1 * upper
      }
    }
    for (place, rotation) in zip(block, rotations) {
      for row in block.lowerBound...(place + 1) {
        let (left, right) = (self[row, place], self[row, place + 1])
        self[row, place] = left * rotation.a + right * rotation.b
        self[row, place + 1] = right * rotation.a.conjugate - left * rotation.b.conjugate
      }
    }
    for place in block { self[place, place] = self[place, place] + shift }
  }
}
