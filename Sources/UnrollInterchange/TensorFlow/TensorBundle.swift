// A checkpoint of TensorFlow: an index and the shards with its tensors.

import Foundation
import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// A checkpoint in TensorFlow's format V2: `NAME.index` and `NAME.data-00000-of-00001` and so on.
///
/// The index has a `BundleEntryProto` for each tensor
/// (`tensorflow/core/protobuf/tensor_bundle.proto`). Tensors stay in their shards, which are mapped; their
/// checksums are verified when the checkpoint is opened.
struct TensorBundle {
  /// A tensor of the index.
  struct Entry {
    /// A `DataType` of TensorFlow.
    let type: Int
    let shape: Shape
    let shard: Int
    /// The bytes of the shard.
    let range: Range<Int>
    /// The masked CRC-32C of the bytes.
    let checksum: UInt32
  }

  static let copyAgain = "the file is damaged: copy it again, with all files of the checkpoint"
  private static let mostShards = 99_999
  private static let headerVersion = 1

  /// The index file's path.
  let path: String
  /// The names of the tensors, in order.
  let names: [String]
  private let entries: [String: Entry]
  private let shards: [MappedFile]
  private let isVerified: Bool

  /// Returns `true` if a file is the index of a checkpoint.
  static func recognizes(_ file: MappedFile) -> Bool { LevelTable.recognizes(file) }

  /// Opens a checkpoint and verifies it.
  ///
  /// - Parameters:
  ///   - index: The index file; the shards lie beside it.
  ///   - isVerified: `false` to leave out checksums, as a fuzzer does.
  /// - Throws: `InterchangeError` if the index or a tensor is damaged, or a shard is missing or cut off.
  init(_ index: MappedFile, isVerified: Bool = true) throws {
    path = index.path
    self.isVerified = isVerified
    let table = try LevelTable(
      .mapped(index, 0..<index.count), path: index.path, isVerified: isVerified)
    func error(
      _ place: String, _ expected: String, _ found: String, _ fix: String = TensorBundle.copyAgain
    ) -> InterchangeError {
      InterchangeError(
        file: index.path, place: place, expected: expected, found: found, fix: fix)
    }
    guard let first = table.entries.first, first.key.isEmpty,
      let header = WireMessage(first.value)
    else { throw error("", "a header of the index of a checkpoint", "none") }
    guard header.ranges(1).isEmpty else {
      throw error(
        "the header", "a checkpoint of version V2", "one of version V1",
        "restore it in TensorFlow and save it with "
          + "`tf.train.Saver(write_version=tf.train.SaverDef.V2)`")
    }
    guard header.int(2) ?? 0 == 0 else {
      throw error(
        "the header", "little-endian numbers", "big-endian ones",
        "restore the checkpoint on a little-endian machine and save it there again")
    }
    let version = header.range(3).flatMap(header.message)?.int(2) ?? 0
    guard version <= Self.headerVersion else {
      throw error(
        "the header", "a reader's version of at most \(Self.headerVersion)", "\(version)",
        "save the checkpoint with a version of TensorFlow up to 2.21")
    }
    guard let count = header.int(1), (1...Self.mostShards).contains(count) else {
      throw error("the header", "a number of shards", "\(header.int(1) ?? 0)")
    }
    var entries: [String: Entry] = [:]
    var names: [String] = []
    for (key, value) in table.entries.dropFirst() {
      // Slices of a partitioned variable have keys that are no text.
      guard let name = String(validating: key, as: UTF8.self), let message = WireMessage(value)
      else { throw error("", "names of tensors", "a key of \(key.count) other bytes") }
      guard message.ranges(7).isEmpty else {
        throw error(
          name, "a whole variable", "a partitioned one",
          "load it in TensorFlow and save it without a partitioner")
      }
      guard let entry = Entry(message), entry.shard < count else {
        throw error(name, "type, shape and place of a tensor", "others")
      }
      entries[name] = entry
      names.append(name)
    }
    guard entries.count == names.count else {
      throw error("", "each name once", "one twice")
    }
    self.entries = entries
    self.names = names
    shards = try (0..<count).map { shard in
      let path = Self.shard(shard, of: count, ofIndex: index.path)
      do throws(FileError) {
        return try MappedFile(path: path)
      } catch {
        guard error.code == ENOENT else { throw error }
        throw InterchangeError(
          file: path, place: "", expected: "a part of the checkpoint beside its index",
          found: "no such file", fix: "copy all files of the checkpoint into one folder")
      }
    }
    try checkPlaces()
    if isVerified { try verify() }
  }

  /// Returns the path of a shard: that of the only one unless told.
  static func shard(_ number: Int = 0, of count: Int = 1, ofIndex path: String) -> String {
    let prefix = path.hasSuffix(".index") ? String(path.dropLast(".index".count)) : path
    return "\(prefix).data-\(String(printf: "%05d", number))-of-\(String(printf: "%05d", count))"
  }

  /// Refuses tensors that do not lie in their shards, or share bytes.
  private func checkPlaces() throws {
    var ends = [Int](repeating: 0, count: shards.count)
    let sorted = entries.sorted {
      ($0.value.shard, $0.value.range.lowerBound, $0.value.range.upperBound)
        < ($1.value.shard, $1.value.range.lowerBound, $1.value.range.upperBound)
    }
    for (name, entry) in sorted {
      let file = shards[entry.shard]
      guard entry.range.upperBound <= file.count else {
        throw InterchangeError(
          file: file.path, place: name, expected: "bytes up to \(entry.range.upperBound)",
          found: "a file of \(file.count) bytes", fix: Self.copyAgain)
      }
      guard entry.range.lowerBound >= ends[entry.shard] else {
        throw error(name, expected: "bytes of its own", found: "some of another tensor's")
      }
      ends[entry.shard] = entry.range.upperBound
    }
  }

  /// Compares the checksums of all tensors.
  private func verify() throws {
    for name in names {
      guard let entry = entries[name] else { continue }
      let found =
        entry.type == Self.textType
        ? try textsAndChecksum(entry, name).checksum
        : bytes(of: entry).withUnsafeBytes { maskedChecksum($0) }
      guard found == entry.checksum else {
        throw InterchangeError(
          file: shards[entry.shard].path, place: name,
          expected: "the checksum \(entry.checksum), as the index has it", found: "\(found)",
          fix: Self.copyAgain)
      }
    }
  }

  /// The paths of the shards.
  var shardPaths: [String] { shards.map(\.path) }

  /// The number of bytes of all tensors.
  var byteCount: Int { entries.values.reduce(0) { $0 + $1.range.count } }

  /// Returns an error about a tensor or the checkpoint.
  func error(
    _ place: String, expected: String, found: String, fix: String = copyAgain
  ) -> InterchangeError {
    InterchangeError(file: path, place: place, expected: expected, found: found, fix: fix)
  }

  private func bytes(of entry: Entry) -> ByteStorage {
    .mapped(shards[entry.shard], entry.range)
  }

  /// Returns a tensor's entry.
  subscript(name: String) -> Entry? { entries[name] }

  /// The numbers of TensorFlow's types.
  private static let types: [Int: DType] = [
    1: .float32, 2: .float64, 3: .int32, 4: .uint8, 5: .int16, 6: .int8, 9: .int64, 10: .uint8,
    14: .bfloat16, 17: .uint16, 19: .float16, 22: .uint32, 23: .uint64,
  ]
  static let textType = 7

  /// Returns the lowest number of a type that has one.
  static func type(of dtype: DType) -> Int? { types.filter { $0.value == dtype }.keys.min() }

  /// Returns a tensor of numbers, in place.
  ///
  /// - Throws: `InterchangeError` if there is none, or its type or size is another.
  func tensor(_ name: String) throws -> Tensor {
    guard let entry = entries[name] else {
      throw error(name, expected: "a tensor", found: "none; there are \(list(names))")
    }
    guard let dtype = Self.types[entry.type] else {
      throw error(name, expected: "a tensor of numbers", found: "type \(entry.type)")
    }
    guard let tensor = Tensor(shape: entry.shape, dtype: dtype, storage: bytes(of: entry)) else {
      throw error(
        name, expected: "\(dtype.rawValue) numbers of shape \(entry.shape)",
        found: "\(entry.range.count) bytes")
    }
    return tensor
  }

  /// Returns `true` if two tensors have one type, one shape and equal bytes.
  func hasEqualBytes(_ first: String, _ second: String) throws -> Bool {
    let a = try tensor(first)
    let b = try tensor(second)
    guard a.dtype == b.dtype, a.shape == b.shape else { return false }
    return a.withUnsafeBytes { first in b.withUnsafeBytes { first.elementsEqual($0) } }
  }

  // MARK: - Texts

  /// Returns the elements of a tensor of strings.
  ///
  /// - Throws: `InterchangeError` if there is none, or it is damaged.
  func texts(_ name: String) throws -> [[UInt8]] {
    guard let entry = entries[name], entry.type == Self.textType else {
      throw error(name, expected: "a tensor of strings", found: "none")
    }
    return try textsAndChecksum(entry, name).texts
  }

  /// Reads lengths, their checksum, and texts; the checksum of the whole counts each length as a `u32`, or a `u64`
  /// if it needs one.
  private func textsAndChecksum(
    _ entry: Entry, _ name: String
  ) throws -> (texts: [[UInt8]], checksum: UInt32) {
    let damaged = error(name, expected: "strings with their lengths", found: "other bytes")
    guard let count = entry.shape.elementCount, count <= entry.range.count else { throw damaged }
    let all = bytes(of: entry).withUnsafeBytes { Array($0) }
    var scanner = ByteScanner(all[...])
    var lengths: [Int] = []
    var summed: [UInt8] = []
    for _ in 0..<count {
      guard let length = scanner.number() else { throw damaged }
      lengths.append(length)
      let size = length <= Int(UInt32.max) ? 4 : 8
      summed += (0..<size).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
    }
    guard let stored = scanner.take(4) else { throw damaged }
    guard !isVerified || maskedChecksum(summed) == ByteScanner(stored).littleEndian() else {
      throw error(
        name, expected: "the checksum \(ByteScanner(stored).littleEndian()) of its lengths",
        found: "\(maskedChecksum(summed))")
    }
    summed += stored
    var texts: [[UInt8]] = []
    for length in lengths {
      guard let text = scanner.take(length) else { throw damaged }
      texts.append(Array(text))
      summed += text
    }
    guard scanner.rest.isEmpty else { throw damaged }
    return (texts, maskedChecksum(summed))
  }
}

extension TensorBundle.Entry {
  /// Reads a `BundleEntryProto`; `nil` if a size is negative or too large.
  fileprivate init?(_ message: WireMessage) {
    type = message.int(1) ?? 0
    var dimensions: [Int] = []
    if let range = message.range(2) {
      guard let shape = message.message(range), shape.int(3) ?? 0 == 0 else { return nil }
      for range in shape.ranges(2) {
        let size = shape.message(range)?.int(1) ?? 0
        guard size >= 0 else { return nil }
        dimensions.append(size)
      }
    }
    shape = Shape(dimensions)
    shard = message.int(3) ?? 0
    let offset = message.int(4) ?? 0
    let size = message.int(5) ?? 0
    let (end, isHuge) = offset.addingReportingOverflow(size)
    guard shape.elementCount != nil, shard >= 0, offset >= 0, size >= 0, !isHuge else {
      return nil
    }
    range = offset..<end
    guard let checksum = message.fixed32(6) else { return nil }
    self.checksum = checksum
  }
}
