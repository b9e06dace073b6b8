// Writes a checkpoint of TensorFlow: one shard with the tensors, and their index.

import UnrollSerialization
import UnrollTensors

/// The tensors of a checkpoint in TensorFlow's format V2, as they are written.
struct TensorBundleWriter: ~Copyable {
  private var shard: SequentialFile
  /// The `BundleEntryProto` of each tensor, by its name.
  private var entries: [String: [UInt8]] = [:]

  /// Creates the only shard.
  ///
  /// - Parameter path: The index's, beside which it lies.
  /// - Throws: `FileError` if it cannot be created.
  init(besideIndex path: String) throws(FileError) {
    shard = try SequentialFile(creating: TensorBundle.shard(ofIndex: path))
  }

  /// Writes a tensor of numbers.
  ///
  /// - Throws: `FileError`, with `ENOSPC` on a full disk.
  mutating func add(_ name: String, _ tensor: Tensor, progress: (Int) -> Void) throws {
    guard let type = TensorBundle.type(of: tensor.dtype) else { return }
    let start = shard.position
    try shard.write(tensor, progress: progress)
    note(
      name, type, shape: tensor.shape.dimensions, from: start,
      checksum: tensor.withUnsafeBytes { maskedChecksum($0) })
  }

  /// Writes a text: its length, the checksum of that, and its bytes.
  ///
  /// - Throws: `FileError`, with `ENOSPC` on a full disk.
  mutating func add(_ name: String, text: [UInt8]) throws {
    // Checksums count a length as a `u32`, or as a `u64` if it needs one.
    let length =
      UInt32(exactly: text.count).map { littleEndian($0) } ?? littleEndian(UInt64(text.count))
    let checksum = littleEndian(maskedChecksum(length))
    let start = shard.position
    try (LevelTable.varint(text.count) + checksum + text).withUnsafeBytes { try shard.write($0) }
    note(
      name, TensorBundle.textType, shape: [], from: start,
      checksum: maskedChecksum(length + checksum + text))
  }

  private mutating func note(
    _ name: String, _ type: Int, shape: [Int], from start: Int, checksum: UInt32
  ) {
    var entry = WireWriter()
    entry.add(1, type)
    entry.add(2) { message in
      for size in shape { message.add(2) { $0.add(1, size) } }
    }
    entry.add(4, start)
    entry.add(5, shard.position - start)
    entry.add(6, fixed32: checksum)
    entries[name] = entry.bytes
  }

  /// Closes the shard and writes the index.
  ///
  /// - Parameter path: An existing file, which is overwritten.
  /// - Throws: `FileError` if a file cannot be written.
  consuming func finish(index path: String) throws {
    try shard.close()
    var header = WireWriter()
    header.add(1, 1)
    header.add(3) { $0.add(1, 1) }
    let sorted = entries.map { (key: Array($0.key.utf8), value: $0.value) }
      .sorted { $0.key.lexicographicallyPrecedes($1.key) }
    let table = LevelTable.bytes(of: [([], header.bytes)] + sorted)
    var file = try SequentialFile(emptying: path)
    try table.withUnsafeBytes { try file.write($0) }
    try file.close()
  }
}
