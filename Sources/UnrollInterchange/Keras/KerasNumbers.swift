// swift-format-ignore-file: AlwaysUseLowerCamelCase
// From Keras's order of numbers to ours, and back: transposes, and blocks of gates.

import UnrollTensors

extension Tensor {
  /// Rows and columns of a matrix exchanged.
  func transposed() -> Tensor {
    let (rows, columns) = (shape.dimensions[0], shape.dimensions[1])
    let bytes =
      switch dtype.size {
      case 1: transposedBytes(UInt8.self, rows, columns)
      case 2: transposedBytes(UInt16.self, rows, columns)
      case 4: transposedBytes(UInt32.self, rows, columns)
      default: transposedBytes(UInt64.self, rows, columns)
      }
    return reshaped(bytes, [columns, rows])
  }

  /// In squares that stay in a processor's cache.
  private func transposedBytes<Bits: FixedWidthInteger>(
    _ type: Bits.Type, _ rows: Int, _ columns: Int
  ) -> [UInt8] {
    let size = MemoryLayout<Bits>.size
    let side = 32
    return withUnsafeBytes { source in
      [UInt8](unsafeUninitializedCapacity: source.count) { buffer, count in
        let target = UnsafeMutableRawBufferPointer(buffer)
        for top in stride(from: 0, to: rows, by: side) {
          for left in stride(from: 0, to: columns, by: side) {
            for row in top..<min(top + side, rows) {
              for column in left..<min(left + side, columns) {
                let element = source.loadUnaligned(
                  fromByteOffset: (row * columns + column) * size, as: Bits.self)
                target.storeBytes(
                  of: element, toByteOffset: (column * rows + row) * size, as: Bits.self)
              }
            }
          }
        }
        count = source.count
      }
    }
  }

  /// The first dimension cut into blocks of one size, in another order; of which some may be left out.
  ///
  /// - Parameters:
  ///   - order: For each block of the result the one that it is.
  ///   - count: The number of blocks there are.
  func blocks(_ order: [Int], of count: Int) -> Tensor {
    let size = storage.count / count
    let bytes = withUnsafeBytes { source in
      order.flatMap { source[$0 * size..<($0 + 1) * size] }
    }
    return reshaped(
      bytes, [shape.dimensions[0] / count * order.count] + shape.dimensions.dropFirst())
  }

  /// The same numbers in another shape, of as many elements.
  func reshaped(_ dimensions: [Int]) -> Tensor {
    Tensor(shape: Shape(dimensions), dtype: dtype, storage: storage) ?? self
  }

  private func reshaped(_ bytes: [UInt8], _ dimensions: [Int]) -> Tensor {
    Tensor(shape: Shape(dimensions), dtype: dtype, storage: .owned(bytes)) ?? self
  }
}

/// The order of a GRU's gates: Keras has z, r, h, we have r, z, n; its own inverse.
let kerasGRUOrder = [1, 0, 2]
