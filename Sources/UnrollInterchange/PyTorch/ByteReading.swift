// Bounds-checked reads of numbers from untrusted bytes.

import UnrollTensors

/// A header of fixed size, copied from a file.
struct FixedHeader {
  private let bytes: [UInt8]

  /// Copies a header, or `nil` if it is not within the file.
  init?(_ file: MappedFile, at offset: Int, count: Int) {
    guard offset >= 0, offset <= file.count, count <= file.count - offset else { return nil }
    bytes = file.copy(offset..<offset + count)
  }

  /// Returns an unsigned 16-bit number; the offset is a constant of the format, not a number from
  /// the file.
  func u16(_ offset: Int) -> Int {
    Int(bytes[offset]) | Int(bytes[offset + 1]) << 8
  }

  /// Returns an unsigned 32-bit number.
  func u32(_ offset: Int) -> Int {
    u16(offset) | u16(offset + 2) << 16
  }

  /// Returns an unsigned 64-bit number, or `nil` if it does not fit in an `Int`.
  func u64(_ offset: Int) -> Int? {
    Int(exactly: UInt64(u32(offset)) | UInt64(u32(offset + 4)) << 32)
  }
}

/// Reads bytes from front to back; a read beyond the end returns `nil` and does not move the
/// position.
struct ByteCursor {
  private let bytes: [UInt8]
  /// The offset of the next byte.
  private(set) var position: Int

  /// Starts at an offset, by default the first byte.
  init(_ bytes: [UInt8], from position: Int = 0) {
    self.bytes = bytes
    self.position = min(max(0, position), bytes.count)
  }

  /// The number of remaining bytes.
  var remaining: Int { bytes.count - position }

  /// Returns the next bytes.
  mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
    guard count >= 0, count <= remaining else { return nil }
    defer { position += count }
    return bytes[position..<position + count]
  }

  /// Returns the bytes before the next line feed, which is skipped.
  mutating func takeLine() -> ArraySlice<UInt8>? {
    guard let end = bytes[position...].firstIndex(of: 0x0A) else { return nil }
    defer { position = end + 1 }
    return bytes[position..<end]
  }

  /// Returns a little-endian number.
  mutating func littleEndian<Number: FixedWidthInteger>(_ type: Number.Type) -> Number? {
    guard let slice = take(MemoryLayout<Number>.size) else { return nil }
    return slice.reversed().reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
  }

  /// Returns a big-endian number.
  mutating func bigEndian<Number: FixedWidthInteger>(_ type: Number.Type) -> Number? {
    littleEndian(type)?.byteSwapped
  }
}
