// Floating-point numbers in other types: rounded once, to the nearest, ties to even.

/// A number that is too large for a type.
public struct NarrowingError: Error, Sendable, Hashable {
  /// The number.
  public let value: Double
  /// The type.
  public let dtype: DType
}

extension Tensor {
  /// Returns the tensor with elements of another floating-point type.
  ///
  /// Each number is rounded once, to the nearest that the type has, ties to the one with an even last
  /// digit; NaN and infinity stay what they are.
  ///
  /// - Parameter type: `f16`, `bf16`, `f32` or `f64`.
  /// - Returns: The tensor, this one if it is of that type or of integers.
  /// - Throws: `NarrowingError` if a finite number is too large for the type.
  public func converted(to type: DType) throws(NarrowingError) -> Tensor {
    guard dtype.isFloat, type.isFloat, dtype != type else { return self }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(elementCount * type.size)
    var tooLarge: Double?
    forEachDouble { value in
      switch type {
      case .float64: bytes.append(littleEndian: value.bitPattern)
      case .float32:
        let narrow = Float(value)
        if narrow.isInfinite && value.isFinite { tooLarge = value }
        bytes.append(littleEndian: narrow.bitPattern)
      case .bfloat16: bytes.append(littleEndian: narrowed(value, to: .bfloat16, &tooLarge))
      default: bytes.append(littleEndian: narrowed(value, to: .float16, &tooLarge))
      }
    }
    if let tooLarge { throw NarrowingError(value: tooLarge, dtype: type) }
    guard let tensor = Tensor(shape: shape, dtype: type, storage: .owned(bytes)) else {
      return self
    }
    return tensor
  }

  /// Calls a closure with each element; every floating-point type widens to `Double` exactly.
  private func forEachDouble(_ body: (Double) -> Void) {
    if dtype == .float64 {
      withUnsafeBytes { bytes in
        for start in stride(from: 0, to: bytes.count, by: 8) {
          let bits = UInt64(
            littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))
          body(Double(bitPattern: bits))
        }
      }
    } else {
      for value in floats() ?? [] { body(Double(value)) }
    }
  }
}

/// A binary type of 16 bits.
private struct HalfType {
  let fractionBits: Int
  let exponentBits: Int

  static let float16 = HalfType(fractionBits: 10, exponentBits: 5)
  static let bfloat16 = HalfType(fractionBits: 7, exponentBits: 8)

  var bias: Int { 1 << (exponentBits - 1) - 1 }
  var infinity: UInt16 { UInt16((1 << exponentBits - 1) << fractionBits) }
}

/// Returns the bits of the nearest number of a type, ties to even.
private func narrowed(_ value: Double, to type: HalfType, _ tooLarge: inout Double?) -> UInt16 {
  let sign: UInt16 = value.sign == .minus ? 0x8000 : 0
  if value.isNaN { return sign | type.infinity | UInt16(1 << (type.fractionBits - 1)) }
  if value.isInfinite { return sign | type.infinity }
  if value == 0 { return sign }
  // The distance of neighbours near the number, which below the least normal number is that of it.
  let exponent = max(Int(value.exponent), 1 - type.bias)
  let steps = (value.magnitude * scale(type.fractionBits - exponent)).rounded(.toNearestOrEven)
  // The steps of the exponents below, and those of this one: a carry goes into the exponent by itself.
  let bits = Int(steps) + (exponent + type.bias - 1) << type.fractionBits
  guard bits < Int(type.infinity) else {
    tooLarge = value
    return sign | type.infinity
  }
  return sign | UInt16(bits)
}

/// 2 to a power, exact.
private func scale(_ exponent: Int) -> Double {
  Double(sign: .plus, exponent: exponent, significand: 1)
}

extension [UInt8] {
  fileprivate mutating func append(littleEndian bits: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: bits.littleEndian) { append(contentsOf: $0) }
  }
}
