// Statistics of the numbers of a tensor, from one pass over its bytes in place.

import UnrollTensors

/// Counts and sizes of the numbers of a tensor of floats, seen as rows along its first dimension.
package struct NumberSummary: Sendable, Hashable {
  /// The numbers that are NaN.
  package private(set) var nanCount = 0
  /// The numbers that are infinite.
  package private(set) var infinityCount = 0
  /// The index in row-major order of the first number that is not finite.
  var firstNonFinite: Int?
  /// The numbers other than 0 that are below the smallest normal one of their type.
  var subnormalCount = 0
  /// The sum of the squares; without meaning if a number is not finite.
  var squareSum = 0.0
  /// The rows whose numbers are all the same, in order.
  var constantRows: [Int] = []

  /// `true` if all numbers are finite.
  var isFinite: Bool { firstNonFinite == nil }

  /// Looks at a tensor; `nil` if its elements are not floats.
  ///
  /// Nothing is copied: rows are read in blocks of 16 numbers from the mapped bytes.
  package init?(_ tensor: Tensor) {
    guard tensor.dtype.isFloat else { return nil }
    let rowCount = tensor.shape.dimensions.first ?? 1
    guard rowCount > 0, tensor.elementCount > 0 else { return }
    let width = tensor.elementCount / rowCount
    tensor.withUnsafeBytes { bytes in
      switch tensor.dtype {
      case .float64:
        add(bytes, width, FloatBits<UInt64>.binary64) { unsafeBitCast($0, to: SIMD16<Double>.self) }
      case .bfloat16:
        add(bytes, width, FloatBits<UInt16>.bfloat16) {
          unsafeBitCast(
            SIMD16<UInt32>(truncatingIfNeeded: $0) &<< 16, to: SIMD16<Float>.self)
        }
      case .float16:
        // The exponent of binary32 is biased by 112 more.
        add(bytes, width, FloatBits<UInt16>.binary16) {
          unsafeBitCast(
            SIMD16<UInt32>(truncatingIfNeeded: $0) &<< 13, to: SIMD16<Float>.self) * 0x1p112
        }
      default:
        add(bytes, width, FloatBits<UInt32>.binary32) { unsafeBitCast($0, to: SIMD16<Float>.self) }
      }
    }
  }

  /// Adds all rows.
  ///
  /// - Parameters:
  ///   - bytes: The elements, little-endian at any alignment.
  ///   - width: The number of elements in a row.
  ///   - format: The bit patterns at which the meaning of an element changes.
  ///   - value: The value of elements without sign.
  @inline(__always)
  private mutating func add<Bits, Value: BinaryFloatingPoint & SIMDScalar>(
    _ bytes: UnsafeRawBufferPointer, _ width: Int, _ format: FloatBits<Bits>,
    _ value: (SIMD16<Bits>) -> SIMD16<Value>
  ) {
    let size = MemoryLayout<Bits>.size
    for row in 0..<bytes.count / size / width {
      let start = row * width * size
      let elements = UnsafeRawBufferPointer(rebasing: bytes[start..<start + width * size])
      let summary = RowSummary(elements, format, value)
      squareSum += summary.squareSum
      subnormalCount += summary.subnormalCount
      if summary.isConstant { constantRows.append(row) }
      if !summary.isFinite { countNonFinite(elements, format, at: row * width) }
    }
  }

  /// Counts the numbers of a row that are not finite, if there are some.
  private mutating func countNonFinite<Bits>(
    _ row: UnsafeRawBufferPointer, _ format: FloatBits<Bits>, at start: Int
  ) {
    for index in 0..<row.count / MemoryLayout<Bits>.size {
      let bits = row.loadUnaligned(fromByteOffset: index * MemoryLayout<Bits>.size, as: Bits.self)
      let magnitude = Bits(littleEndian: bits) & format.magnitudeMask
      guard magnitude >= format.infinity else { continue }
      if magnitude == format.infinity { infinityCount += 1 } else { nanCount += 1 }
      firstNonFinite = firstNonFinite ?? start + index
    }
  }
}

/// The bit patterns, without the sign, at which the meaning of a floating-point number changes.
private struct FloatBits<Bits: FixedWidthInteger & UnsignedInteger & SIMDScalar> {
  let infinity: Bits
  let leastNormal: Bits
  let magnitudeMask = Bits.max >> 1

  static var binary64: FloatBits<UInt64> { .init(infinity: 0x7FF << 52, leastNormal: 1 << 52) }
  static var binary32: FloatBits<UInt32> { .init(infinity: 0xFF << 23, leastNormal: 1 << 23) }
  static var bfloat16: FloatBits<UInt16> { .init(infinity: 0xFF << 7, leastNormal: 1 << 7) }
  static var binary16: FloatBits<UInt16> { .init(infinity: 0x1F << 10, leastNormal: 1 << 10) }
}

/// Statistics of the numbers of one row.
private struct RowSummary {
  var squareSum = 0.0
  var subnormalCount = 0
  var isConstant = true
  var isFinite = true

  @inline(__always)
  init<Bits, Value: BinaryFloatingPoint & SIMDScalar>(
    _ row: UnsafeRawBufferPointer, _ format: FloatBits<Bits>,
    _ value: (SIMD16<Bits>) -> SIMD16<Value>
  ) {
    let size = MemoryLayout<Bits>.size
    let count = row.count / size
    guard count > 0 else { return }
    let first = row.loadUnaligned(as: Bits.self)
    let zero = SIMD16<Bits>()
    var (difference, beyond, subnormals) = (zero, zero, zero)
    var squares = SIMD16<Value>()
    let mask = SIMD16(repeating: format.magnitudeMask)
    let sign = Bits(Bits.bitWidth - 1)

    /// Adds 16 elements as they are stored.
    ///
    /// Differences whose sign is looked at stand in for comparisons, which the oldest processors of
    /// 64 bits do not have for unsigned numbers.
    @inline(__always) func add(_ block: SIMD16<Bits>) {
      let magnitude = block & mask
      beyond |= (format.infinity &- 1) &- magnitude
      let isBelow = (magnitude &- format.leastNormal) & ~(magnitude &- 1)
      subnormals &+= isBelow &>> sign
      let values = value(magnitude)
      squares += values * values
    }

    /// Moves the running sums to where they cannot overflow.
    @inline(__always) func flush() {
      squareSum += Double(squares.sum())
      for lane in 0..<16 { subnormalCount += Int(subnormals[lane]) }
      (squares, subnormals) = (SIMD16(), zero)
    }

    var place = 0
    while place + 16 <= count {
      // As many as keep a counter of 16 bits, and the precision of a sum.
      let end = min(count, place + 16 * 4096)
      while place + 16 <= end {
        let block = row.loadUnaligned(fromByteOffset: place * size, as: SIMD16<Bits>.self)
        difference |= block ^ first
        add(block)
        place += 16
      }
      flush()
    }
    if place < count {
      // Zeros fill up, which add nothing.
      var block = zero
      for index in 0..<count - place {
        block[index] = row.loadUnaligned(fromByteOffset: (place + index) * size, as: Bits.self)
        difference[index] |= block[index] ^ first
      }
      add(block)
      flush()
    }
    isConstant = difference == zero
    for lane in 0..<16 where beyond[lane] &>> sign != 0 { isFinite = false }
  }
}
