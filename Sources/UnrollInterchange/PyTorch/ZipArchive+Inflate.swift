// Inflates deflated records into memory of the declared size.

import CZlib
import UnrollTensors

extension ZipArchive {
  /// The maximum compression ratio of deflate: 258 bytes in two bits.
  private static let largestRatio = 1032

  /// Returns the bytes of a record.
  ///
  /// - Parameters:
  ///   - record: The record.
  ///   - room: The number of bytes that may be inflated. Out: reduced by the size of this record.
  /// - Returns: The bytes, mapped if the record is stored, else inflated.
  /// - Throws: `InterchangeError` if the record has another compression, exceeds `room`, or is
  ///   damaged.
  func contents(of record: ZipRecord, room: inout Int) throws -> ByteStorage {
    if record.method == 0 { return storage(of: record) }
    guard record.size <= room else {
      throw zipError(
        file, record.name, expected: "records not much larger than the file in all",
        found: "\(record.size) bytes in \(record.data.count)")
    }
    room -= record.size
    // One byte more than declared detects excess data.
    let bytes = try inflated(record, atMost: min(record.size, .max - 1) + 1)
    guard bytes.count == record.size else {
      throw zipError(
        file, record.name, expected: "\(record.size) bytes, as the directory says",
        found: bytes.count < record.size ? "\(bytes.count)" : "more")
    }
    let checksum = UInt32(truncatingIfNeeded: crc32_z(0, bytes, bytes.count))
    guard checksum == record.checksum else {
      throw zipError(
        file, record.name, expected: "CRC-32 0x\(String(record.checksum, radix: 16))",
        found: "0x\(String(checksum, radix: 16))")
    }
    return .owned(bytes)
  }

  /// Returns the first bytes of a record, inflated if it is deflated.
  ///
  /// - Throws: `InterchangeError` if it has another compression, or is damaged.
  func prefix(of record: ZipRecord, count: Int) throws -> [UInt8] {
    guard record.method == 0 else { return try inflated(record, atMost: min(count, record.size)) }
    return file.copy(
      record.data.lowerBound..<record.data.lowerBound + min(count, record.data.count))
  }

  /// Returns the first bytes of a deflated record: the requested number, or all.
  private func inflated(_ record: ZipRecord, atMost count: Int) throws -> [UInt8] {
    guard record.method == 8 else {
      throw zipError(
        file, record.name, expected: "a stored or deflated record",
        found: "compression method \(record.method)")
    }
    guard record.size / Self.largestRatio <= record.data.count else {
      throw zipError(
        file, record.name, expected: "a size that \(record.data.count) bytes can hold",
        found: "\(record.size) bytes")
    }
    return try storage(of: record).withUnsafeBytes { source in
      try [UInt8](unsafeUninitializedCapacity: count) { target, written in
        written = try Inflater(source, file: file, name: record.name).fill(target)
      }
    }
  }
}

/// A raw deflate stream in memory.
private struct Inflater {
  private let source: UnsafeRawBufferPointer
  private let file: MappedFile
  private let name: String
  /// zlib counts in 32 bits.
  private static let blockSize = 1 << 30

  init(_ source: UnsafeRawBufferPointer, file: MappedFile, name: String) {
    self.source = source
    self.file = file
    self.name = name
  }

  /// Fills a buffer from the start of the stream, and returns the number of bytes written.
  func fill(_ target: UnsafeMutableBufferPointer<UInt8>) throws -> Int {
    var stream = z_stream()
    // Negative window bits select a stream without zlib header.
    let windowBits = -MAX_WBITS
    guard
      inflateInit2_(&stream, windowBits, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK
    else {
      throw zipError(file, name, expected: "memory to inflate it", found: "none")
    }
    defer { inflateEnd(&stream) }
    var (read, written) = (0, 0)
    while written < target.count {
      let input = UnsafeRawBufferPointer(
        rebasing: source[read..<min(source.count, read + Self.blockSize)])
      let output = UnsafeMutableBufferPointer(
        rebasing: target[written..<min(target.count, written + Self.blockSize)])
      stream.next_in = UnsafeMutablePointer(
        mutating: input.bindMemory(to: UInt8.self).baseAddress)
      stream.avail_in = UInt32(input.count)
      stream.next_out = output.baseAddress
      stream.avail_out = UInt32(output.count)
      let result = inflate(&stream, Z_NO_FLUSH)
      read += input.count - Int(stream.avail_in)
      written += output.count - Int(stream.avail_out)
      if result == Z_STREAM_END { return written }
      guard result == Z_OK else {
        throw zipError(
          file, name, expected: "a deflated record", found: "other bytes after \(written)")
      }
    }
    return written
  }
}
