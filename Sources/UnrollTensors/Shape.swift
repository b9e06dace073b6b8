// The shape of a tensor: its dimensions, slowest first (row-major).

/// The dimensions of a tensor, slowest first; empty for a scalar.
public struct Shape: Sendable, Hashable, ExpressibleByArrayLiteral, CustomStringConvertible {
  /// The dimensions, none of them negative.
  public let dimensions: [Int]

  /// Creates a shape; a negative dimension is a caller's mistake.
  public init(_ dimensions: [Int]) {
    precondition(dimensions.allSatisfy { $0 >= 0 }, "a dimension is never negative")
    self.dimensions = dimensions
  }

  /// Creates a shape from its dimensions.
  public init(arrayLiteral elements: Int...) {
    self.init(elements)
  }

  /// The number of dimensions.
  public var rank: Int { dimensions.count }

  /// The number of elements, or `nil` if it does not fit in an `Int`.
  public var elementCount: Int? {
    var product = 1
    for dimension in dimensions {
      let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
      if overflow { return nil }
      product = next
    }
    return product
  }

  /// Returns the number of bytes that elements of a type take, or `nil` if it does not fit in an `Int`.
  public func byteCount(of dtype: DType) -> Int? {
    guard let elementCount else { return nil }
    let (bytes, overflow) = elementCount.multipliedReportingOverflow(by: dtype.size)
    return overflow ? nil : bytes
  }

  /// The dimensions in brackets, as `[96, 64]`.
  public var description: String {
    "[" + dimensions.map(String.init).joined(separator: ", ") + "]"
  }
}
