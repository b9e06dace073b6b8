// The types of the operands of matrix products.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

extension Precision {
  /// The name for the C kernels.
  var kernel: unroll_precision {
    switch self {
    case .float32: UNROLL_F32
    case .bfloat16: UNROLL_BF16
    case .int8: UNROLL_INT8
    }
  }

  /// Returns rows of floats as operands of products: in place, or rounded.
  ///
  /// - Parameters:
  ///   - x: `[rows, width]`
  ///   - rows: The number of rows.
  ///   - width: The number of floats in a row.
  ///   - scratch: `[rows, scratchWidth(width)]` for rounded numbers; not touched in f32.
  /// - Returns: The numbers, valid as long as both addresses are.
  func operand(
    _ x: UnsafePointer<Float>, rows: Int, width: Int, in scratch: UnsafeMutablePointer<UInt16>
  ) -> Operand {
    switch self {
    case .float32: return Operand(x, width: width)
    case .bfloat16:
      unroll_round_to_bf16(x, scratch, rows * width)
      return Operand(start: scratch, scales: nil, width: width, precision: self)
    case .int8:
      // A scale of 4 bytes for each row, then the numbers.
      let numbers = UnsafeMutableRawPointer(scratch + 2 * rows)
      return scratch.withMemoryRebound(to: Float.self, capacity: rows) { scales in
        unroll_round_to_int8(
          x, numbers.assumingMemoryBound(to: Int8.self), scales, rows, width)
        return Operand(start: numbers, scales: scales, width: width, precision: self)
      }
    }
  }

  /// Returns the numbers of scratch that a row of floats needs; even, so that there is room for each row's scale.
  func scratchWidth(_ width: Int) -> Int {
    switch self {
    case .float32: 0
    case .bfloat16: (width + 1) / 2 * 2
    case .int8: (width + 3) / 4 * 2 + 2
    }
  }
}

/// Rows of numbers as a product takes them.
struct Operand {
  let start: UnsafeRawPointer
  /// `[rows]` the scales of the int8 numbers.
  let scales: UnsafePointer<Float>?
  /// The numbers of a row.
  let width: Int
  let precision: Precision

  fileprivate init(
    start: UnsafeRawPointer, scales: UnsafePointer<Float>?, width: Int, precision: Precision
  ) {
    self.start = start
    self.scales = scales
    self.width = width
    self.precision = precision
  }

  /// Floats.
  init(_ numbers: UnsafePointer<Float>, width: Int) {
    self.init(
      start: UnsafeRawPointer(numbers), scales: nil, width: width, precision: .float32)
  }

  /// Returns the operand without its first rows.
  func dropping(rows: Int) -> Operand {
    let size =
      switch precision {
      case .float32: 4
      case .bfloat16: 2
      case .int8: 1
      }
    return Operand(
      start: start + rows * width * size, scales: scales.map { $0 + rows }, width: width,
      precision: precision)
  }
}

extension Tensor {
  /// The number of rows of which int8 preserves less than half: most of their numbers that are not 0 become 0
  /// beside one that is more than 254 times as large.
  ///
  /// Mapped pages are released.
  package var rowsLostInInt8: Int {
    let (rowCount, width) = (shape.dimensions.first ?? 0, rowElementCount)
    var lost = 0
    for start in stride(from: 0, to: rowCount, by: 1024) {
      let rows = start..<min(start + 1024, rowCount)
      withFloats(ofRows: rows) { floats in
        for row in 0..<rows.count {
          let row = UnsafeBufferPointer(start: floats + row * width, count: width)
          // The bits of magnitudes are in their order, and quicker to compare.
          var largest: UInt32 = 0
          for number in row { largest = max(largest, number.magnitude.bitPattern) }
          let smallest = (Float(bitPattern: largest) / 254).bitPattern
          var (kept, zeros) = (0, 0)
          for number in row {
            let magnitude = number.magnitude.bitPattern
            kept &+= magnitude > smallest ? 1 : 0
            zeros &+= magnitude == 0 ? 1 : 0
          }
          if 2 * kept < width - zeros { lost += 1 }
        }
      }
      dropPages(ofRows: rows)
    }
    return lost
  }
}
