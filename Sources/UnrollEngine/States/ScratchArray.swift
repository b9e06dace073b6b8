// An array that grows on disk, in a file without a name.

import UnrollTensors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Rows of numbers that wait on disk until their count is known.
///
/// A class because it owns an open file.
final class ScratchArray {
  /// The name of the array.
  let name: String
  /// The size of a row of float32; `nil` for one int64 a row.
  private let width: Int?
  private let descriptor: Int32
  private let path: String
  private var buffer: [UInt8] = []

  /// Creates an empty array.
  ///
  /// - Parameters:
  ///   - name: The name of the array.
  ///   - width: The size of a row of float32; `nil` for one int64 a row.
  ///   - neighbour: A file in whose folder there is room.
  /// - Throws: `FileError` if there can be no file.
  init(_ name: String, width: Int?, beside neighbour: String) throws(FileError) {
    self.name = name
    self.width = width
    path = neighbour
    var template = Array("\(neighbour).XXXXXX".utf8CString)
    descriptor = mkstemp(&template)
    guard descriptor >= 0 else { throw FileError("create a temporary file", path: neighbour) }
    // The system removes the file when this process ends, in whatever way.
    _ = template.withUnsafeBufferPointer { $0.baseAddress.map(unlink) }
  }

  deinit { close(descriptor) }

  /// Appends integers, one a row.
  ///
  /// - Throws: `FileError`, with `ENOSPC` on a full disk.
  func append(_ values: [Int64]) throws(FileError) {
    values.withUnsafeBytes { buffer += $0 }
    try flush(from: 1 << 20)
  }

  /// Appends a row of some rows `[M, width]`; NaN for no row.
  ///
  /// - Throws: `FileError`, with `ENOSPC` on a full disk.
  func append(row: Int?, of values: [Float]) throws(FileError) {
    let width = width ?? 0
    if let row {
      values[row * width..<(row + 1) * width].withUnsafeBytes { buffer += $0 }
    } else {
      [Float](repeating: .nan, count: width).withUnsafeBytes { buffer += $0 }
    }
    try flush(from: 1 << 20)
  }

  private func flush(from size: Int) throws(FileError) {
    guard buffer.count >= size else { return }
    var start = 0
    while start < buffer.count {
      let count = buffer.withUnsafeBytes { bytes in
        write(descriptor, bytes.baseAddress.map { $0 + start }, bytes.count - start)
      }
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw FileError("write", path: path) }
      start += count
    }
    buffer.removeAll(keepingCapacity: true)
  }

  /// Returns the array, mapped.
  ///
  /// - Throws: `FileError` if the disk is full, or if the file was changed by others.
  func tensor(rows: Int) throws(FileError) -> Tensor {
    try flush(from: 1)
    let file = try MappedFile(descriptor: descriptor, path: path)
    let shape: Shape = width.map { [rows, $0] } ?? [rows]
    let tensor = Tensor(
      shape: shape, dtype: width == nil ? .int64 : .float32, storage: .mapped(file, 0..<file.count))
    guard let tensor else { throw FileError("read back", path: path, code: EIO) }
    return tensor
  }
}
