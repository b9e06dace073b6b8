// Rows, blocks and transposes of tensors, as their bytes.

extension Tensor {
  /// Returns the transpose of a matrix.
  package func transposed() -> Tensor {
    let rows = shape.dimensions[0]
    let columns = shape.dimensions[1]
    let bytes =
      switch dtype.size {
      case 1: transposedBytes(UInt8.self, rows, columns)
      case 2: transposedBytes(UInt16.self, rows, columns)
      case 4: transposedBytes(UInt32.self, rows, columns)
      default: transposedBytes(UInt64.self, rows, columns)
      }
    return with(bytes, [columns, rows])
  }

  /// Transposes in squares that fit in the processor's cache.
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

  /// Returns equal blocks of the first dimension in another order; some may be left out.
  ///
  /// - Parameters:
  ///   - blocks: For each block of the result, the index of the source block.
  ///   - count: The number of source blocks; as many as there are in the result by default.
  /// - Returns: The blocks.
  package func reordered(blocks: [Int], of count: Int? = nil) -> Tensor {
    let count = max(1, count ?? blocks.count)
    let size = storage.count / count
    let bytes = withUnsafeBytes { source in
      blocks.flatMap { source[$0 * size..<($0 + 1) * size] }
    }
    let rows = shape.dimensions[0] / count * blocks.count
    return with(bytes, [rows] + shape.dimensions.dropFirst())
  }

  /// Returns some rows of a matrix, in place.
  package func rows(_ range: Range<Int>) -> Tensor {
    let size = shape.dimensions[1] * dtype.size
    return Tensor(
      shape: [range.count, shape.dimensions[1]], dtype: dtype,
      storage: storage[range.lowerBound * size..<range.upperBound * size]) ?? self
  }

  /// Stacks the rows of tensors; `nil` if their types or the sizes of their rows differ.
  package init?(stacking parts: [Tensor]) {
    guard let first = parts.first,
      parts.allSatisfy({
        $0.dtype == first.dtype
          && $0.shape.dimensions.dropFirst() == first.shape.dimensions.dropFirst()
      })
    else { return nil }
    let rows = parts.reduce(0) { $0 + $1.shape.dimensions[0] }
    self.init(
      shape: Shape([rows] + first.shape.dimensions.dropFirst()), dtype: first.dtype,
      storage: .owned(parts.flatMap { $0.withUnsafeBytes { Array($0) } }))
  }

  /// Returns the same values in another shape of equal size.
  package func reshaped(_ dimensions: [Int]) -> Tensor {
    Tensor(shape: Shape(dimensions), dtype: dtype, storage: storage) ?? self
  }

  private func with(_ bytes: [UInt8], _ dimensions: [Int]) -> Tensor {
    Tensor(shape: Shape(dimensions), dtype: dtype, storage: .owned(bytes)) ?? self
  }
}
