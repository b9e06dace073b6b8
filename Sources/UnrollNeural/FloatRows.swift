// Rows of a weight as floats, read from the tensor's bytes in place.

import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

extension Tensor {
  /// The number of elements in a row: the product of all dimensions but the first.
  var rowElementCount: Int {
    guard let rows = shape.dimensions.first, rows > 0 else { return 0 }
    return elementCount / rows
  }

  /// Calls a closure with rows as floats: those of an `f32` tensor in place, others widened.
  ///
  /// - Parameters:
  ///   - rows: Rows that the tensor has.
  ///   - body: Receives `[rows.count, rowElementCount]`, valid only during the call.
  /// - Returns: The result of the closure.
  /// - Throws: Rethrows the errors of the closure.
  func withFloats<Result>(
    ofRows rows: Range<Int>, _ body: (UnsafePointer<Float>) throws -> Result
  ) rethrows -> Result {
    let size = rowElementCount * dtype.size
    let range = rows.lowerBound * size..<rows.upperBound * size
    let result = try withFloatsInPlace { try body($0 + rows.lowerBound * rowElementCount) }
    if let result { return result }
    let part = Tensor(
      shape: [rows.count, rowElementCount], dtype: dtype, storage: storage[range])
    guard let floats = part?.floats() else {
      preconditionFailure("a model is built from floating-point tensors only")
    }
    return try floats.withUnsafeBufferPointer { try body($0.start) }
  }

  /// Calls a closure with all elements if they are stored as floats; else returns `nil`.
  private func withFloatsInPlace<Result>(
    _ body: (UnsafePointer<Float>) throws -> Result
  ) rethrows -> Result? {
    try withUnsafeBytes { bytes in
      // A foreign file may keep its numbers at any address.
      guard dtype == .float32, let start = bytes.baseAddress,
        Int(bitPattern: start).isMultiple(of: MemoryLayout<Float>.alignment)
      else { return nil }
      return try body(start.assumingMemoryBound(to: Float.self))
    }
  }

  /// Copies rows as floats.
  ///
  /// - Parameters:
  ///   - rows: M rows that the tensor has.
  ///   - destination: `[M, rowElementCount]`. Out: the rows.
  func copyRows(_ rows: [Int32], to destination: UnsafeMutablePointer<Float>) {
    let width = rowElementCount
    let copied: Void? = withFloatsInPlace { source in
      for (place, row) in rows.enumerated() {
        (destination + place * width).update(from: source + Int(row) * width, count: width)
      }
    }
    guard copied == nil else { return }
    for (place, row) in rows.enumerated() {
      copyRow(Int(row), to: destination + place * width)
    }
  }

  /// Returns a tensor of floats of some rows that the tensor has.
  func gathered(rows: [Int32]) -> Tensor {
    let width = rowElementCount
    let floats = [Float](unsafeUninitializedCapacity: rows.count * width) { buffer, count in
      copyRows(rows, to: buffer.start)
      count = rows.count * width
    }
    return Tensor(floats, shape: [rows.count, width])
  }

  /// Copies a row as floats.
  ///
  /// - Parameters:
  ///   - row: A row that the tensor has.
  ///   - destination: `[rowElementCount]`. Out: the row.
  func copyRow(_ row: Int, to destination: UnsafeMutablePointer<Float>) {
    withFloats(ofRows: row..<row + 1) { source in
      destination.update(from: source, count: rowElementCount)
    }
  }

  /// Releases the memory of rows of a mapped file; they are read again when touched.
  ///
  /// Packed weights are copies, so without this a model would take its size twice.
  func dropPages(ofRows rows: Range<Int>) {
    guard case .mapped(let file, let all) = storage, let base = file.bytes.baseAddress else {
      return
    }
    let size = rowElementCount * dtype.size
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let start = Int(bitPattern: base) + all.lowerBound
    let first = (start + rows.lowerBound * size + page - 1) / page * page
    let end = (start + rows.upperBound * size) / page * page
    guard first < end else { return }
    // Advice: a refusal changes nothing.
    _ = madvise(UnsafeMutableRawPointer(bitPattern: first), end - first, MADV_DONTNEED)
  }
}
