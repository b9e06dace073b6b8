// A tensor: a shape, an element type and little-endian bytes.

/// An immutable dense array of numbers, row-major and little-endian.
public struct Tensor: Sendable {
  /// The dimensions, slowest first.
  public let shape: Shape
  /// The type of the elements.
  public let dtype: DType
  /// The elements, `shape.byteCount(of: dtype)` bytes.
  public let storage: ByteStorage

  /// Creates a tensor, or `nil` if the bytes are not as many as shape and type say.
  public init?(shape: Shape, dtype: DType, storage: ByteStorage) {
    guard shape.byteCount(of: dtype) == storage.count else { return nil }
    self.shape = shape
    self.dtype = dtype
    self.storage = storage
  }

  /// Creates an `f32` tensor from its values in row-major order, without copying them.
  public init(_ values: [Float], shape: Shape) {
    precondition(shape.elementCount == values.count, "\(values.count) values for shape \(shape)")
    self.shape = shape
    dtype = .float32
    storage = .floats(values)
  }

  /// Creates a one-dimensional tensor of unsigned 64-bit numbers.
  public init(_ values: [UInt64]) {
    shape = [values.count]
    dtype = .uint64
    storage = .owned(values.withUnsafeBytes { Array($0) })
  }

  /// Creates a one-dimensional tensor of unsigned 32-bit numbers.
  public init(_ values: [UInt32]) {
    shape = [values.count]
    dtype = .uint32
    storage = .owned(values.withUnsafeBytes { Array($0) })
  }

  /// Creates a one-dimensional tensor of 64-bit floating-point numbers.
  public init(_ values: [Double]) {
    shape = [values.count]
    dtype = .float64
    storage = .owned(values.withUnsafeBytes { Array($0) })
  }

  /// Creates a one-dimensional tensor of bytes.
  public init(_ bytes: [UInt8]) {
    shape = [bytes.count]
    dtype = .uint8
    storage = .owned(bytes)
  }

  /// The number of elements.
  public var elementCount: Int { storage.count / dtype.size }

  /// Calls a closure with the bytes, which are valid only during the call.
  public func withUnsafeBytes<Result>(
    _ body: (UnsafeRawBufferPointer) throws -> Result
  ) rethrows -> Result {
    try storage.withUnsafeBytes(body)
  }

  /// Returns the elements as 32-bit floats, widened exactly from the narrow types and rounded from `f64`;
  /// `nil` for integers.
  public func floats() -> [Float]? {
    if case .floats(let values) = storage { return values }
    return withUnsafeBytes { bytes in
      switch dtype {
      case .float32: bytes.elements(of: UInt32.self) { Float(bitPattern: $0) }
      case .float64: bytes.elements(of: UInt64.self) { Float(Double(bitPattern: $0)) }
      case .bfloat16: bytes.elements(of: UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
      case .float16: bytes.elements(of: UInt16.self) { widened(float16: $0) }
      default: nil
      }
    }
  }

  /// The elements as 64-bit floats, each exactly; none for integers.
  package var doubles: [Double] {
    guard dtype == .float64 else { return (floats() ?? []).map(Double.init) }
    return withUnsafeBytes { $0.elements(of: UInt64.self) { Double(bitPattern: $0) } }
  }
}

extension UnsafeRawBufferPointer {
  /// Reads little-endian integers at any alignment and transforms each.
  @inlinable package func elements<Bits: FixedWidthInteger, Element>(
    of type: Bits.Type, _ transform: (Bits) -> Element
  ) -> [Element] {
    let size = MemoryLayout<Bits>.size
    return (0..<count / size).map { index in
      transform(Bits(littleEndian: loadUnaligned(fromByteOffset: index * size, as: Bits.self)))
    }
  }
}

/// Widens an IEEE 754 binary16 number; exact, since binary32 holds every one of them.
///
/// Written out because Swift's `Float16` does not exist on every platform (macOS on Intel).
func widened(float16 bits: UInt16) -> Float {
  let sign = UInt32(bits & 0x8000) << 16
  let exponent = UInt32(bits >> 10) & 0x1F
  let fraction = UInt32(bits & 0x3FF)
  switch exponent {
  case 0:
    // Zero or subnormal: fraction * 2^-24.
    let magnitude = Float(fraction) * 0x1p-24
    return Float(bitPattern: sign | magnitude.bitPattern)
  case 31:
    return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
  default:
    return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
  }
}
