// The types of the factors of matrix products.

import CUnrollKernels
import UnrollFormat

extension Precision {
  /// The name for the C kernels.
  var kernel: unroll_precision { self == .bfloat16 ? UNROLL_BF16 : UNROLL_F32 }

  /// Takes floats as products do: where they are, or rounded.
  ///
  /// - Parameters:
  ///   - x: `[count]`
  ///   - count: The number of floats.
  ///   - scratch: `[count]` for rounded numbers; not touched in f32.
  /// - Returns: The numbers, valid as long as both addresses are.
  func operand(
    _ x: UnsafePointer<Float>, count: Int, in scratch: UnsafeMutablePointer<UInt16>
  ) -> Operand {
    guard self == .bfloat16 else { return Operand(x) }
    unroll_round_to_bf16(x, scratch, count)
    return Operand(start: UnsafeRawPointer(scratch), precision: self)
  }

  /// How many numbers of scratch so many floats need.
  func scratchCount(_ count: Int) -> Int { self == .bfloat16 ? count : 0 }
}

/// Numbers as a product takes them.
struct Operand {
  let start: UnsafeRawPointer
  let precision: Precision

  fileprivate init(start: UnsafeRawPointer, precision: Precision) {
    (self.start, self.precision) = (start, precision)
  }

  /// Floats.
  init(_ numbers: UnsafePointer<Float>) {
    self.init(start: UnsafeRawPointer(numbers), precision: .float32)
  }

  /// The same numbers as products of a precision take them.
  ///
  /// - Parameters:
  ///   - precision: That of the numbers, or one that floats are rounded to.
  ///   - count: The number of numbers.
  ///   - scratch: `[count]` for rounded numbers; not touched if there is nothing to round.
  /// - Returns: The numbers, valid as long as both addresses are.
  func inPrecision(
    _ precision: Precision, count: Int, in scratch: UnsafeMutablePointer<UInt16>
  ) -> Operand {
    guard self.precision != precision else { return self }
    return precision.operand(
      start.assumingMemoryBound(to: Float.self), count: count, in: scratch)
  }

  /// What follows after a number of numbers.
  func dropping(_ count: Int) -> Operand {
    Operand(start: start + count * (precision == .bfloat16 ? 2 : 4), precision: precision)
  }
}
