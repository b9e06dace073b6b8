// Writes a ZIP archive sequentially: the records, then the directory.

import CZlib
import UnrollTensors

/// An archive under construction.
struct ZipWriter: ~Copyable {
  /// The records written so far; their CRC-32s are known.
  private(set) var entries: [ZipEntry] = []
  private var file: SequentialFile

  /// The block size for writing and checksums: small enough for a processor's cache.
  private static let blockSize = 1 << 20

  /// Begins an archive in an existing file.
  ///
  /// - Throws: `FileError` if it cannot be opened.
  init(emptying path: String) throws(FileError) {
    file = try SequentialFile(emptying: path)
  }

  /// Appends a record.
  ///
  /// - Parameters:
  ///   - name: The name, with its folders.
  ///   - header: Bytes before the data.
  ///   - data: The bytes; they are not copied.
  ///   - progress: Called with the number of bytes written since the last call.
  /// - Throws: `FileError` if the file cannot be written.
  mutating func add(
    _ name: String, header: [UInt8] = [], _ data: ByteStorage,
    progress: (Int) -> Void = { _ in }
  ) throws {
    var entry = ZipEntry(
      name: name, headerOffset: file.position, count: header.count + data.count)
    try write(entry.localHeader)
    let checksum = try header.withUnsafeBytes { try writeBlocks($0) { _ in } }
    entry.checksum = try data.withUnsafeBytes {
      try writeBlocks($0, behind: checksum, progress: progress)
    }
    try write(entry.descriptor)
    entries.append(entry)
  }

  /// Appends a record of text.
  ///
  /// - Throws: `FileError` if the file cannot be written.
  mutating func add(_ name: String, text: String) throws {
    try add(name, .owned(Array(text.utf8)))
  }

  /// Writes the directory and closes the file.
  ///
  /// - Throws: `FileError` if that fails.
  mutating func finish() throws {
    let directory = entries.flatMap(\.directoryHeader)
    let end = ZipEnd(
      entryCount: entries.count, directoryOffset: file.position, directoryCount: directory.count)
    try write(directory + end.bytes)
    try file.close()
  }

  /// Returns the CRC-32 of a text's bytes.
  static func checksum(of text: String) -> UInt32 {
    let bytes = Array(text.utf8)
    return UInt32(truncatingIfNeeded: crc32_z(0, bytes, bytes.count))
  }

  private mutating func write(_ bytes: [UInt8]) throws {
    try bytes.withUnsafeBytes { try file.write($0) }
  }

  /// Writes bytes and returns their CRC-32, continued from that of preceding bytes.
  private mutating func writeBlocks(
    _ bytes: UnsafeRawBufferPointer, behind before: UInt32 = 0, progress: (Int) -> Void
  ) throws -> UInt32 {
    var checksum = UInt(before)
    for start in stride(from: 0, to: bytes.count, by: Self.blockSize) {
      let block = UnsafeRawBufferPointer(
        rebasing: bytes[start..<min(start + Self.blockSize, bytes.count)])
      checksum = crc32_z(
        checksum, block.bindMemory(to: UInt8.self).baseAddress, block.count)
      try file.write(block)
      progress(block.count)
    }
    return UInt32(truncatingIfNeeded: checksum)
  }
}
