// The sorted table of keys and values in which TensorFlow keeps the index of a checkpoint.

import UnrollTensors

/// A table in the layout of LevelDB, as `tensorflow/core/lib/io/table.cc` writes it.
///
/// Blocks of entries come first, then an index block, whose values are the offsets and sizes of the others, and
/// a footer of 48 bytes. Each block is followed by a byte for its compression and a CRC-32C.
struct LevelTable {
  /// The entries in the order of their keys, each key once.
  private(set) var entries: [(key: [UInt8], value: [UInt8])] = []

  static let footerSize = 48
  static let magic: [UInt8] = [0x57, 0xFB, 0x80, 0x8B, 0x24, 0x75, 0x47, 0xDB]
  /// The most bytes of a key; names of variables are far shorter.
  private static let longestKey = 1 << 16
  /// The most bytes of all keys together: entries share the beginnings of their keys.
  private static let mostKeyBytes = 64 << 20

  /// A range of the file that is a block.
  private typealias Handle = Range<Int>

  private let bytes: ByteStorage
  private let path: String
  private let isVerified: Bool
  private var keyBytes = 0

  /// Returns `true` if a file ends as a table does.
  static func recognizes(_ file: MappedFile) -> Bool {
    file.count >= footerSize && file.copy(file.count - magic.count..<file.count) == magic
  }

  /// Reads a table.
  ///
  /// - Parameters:
  ///   - bytes: The bytes of the file.
  ///   - path: The path, for errors.
  ///   - isVerified: `false` to leave out the checksums of blocks, as a fuzzer does.
  /// - Throws: `InterchangeError` if a block is damaged or compressed, or keys are not in order.
  init(_ bytes: ByteStorage, path: String, isVerified: Bool = true) throws {
    self.bytes = bytes
    self.path = path
    self.isVerified = isVerified
    let end = bytes.count - Self.footerSize
    guard end >= 0 else {
      throw error("", "an index of at least \(Self.footerSize) bytes", "\(bytes.count)")
    }
    let footer = copy(end..<bytes.count)
    guard footer.suffix(Self.magic.count).elementsEqual(Self.magic) else {
      throw error("the last 8 bytes", "those of an index", "others")
    }
    var scanner = ByteScanner(footer[..<(Self.footerSize - Self.magic.count)])
    let handles = try (0..<2).map { _ in
      try self.handle(&scanner, in: "the footer", before: end)
    }
    // The metaindex, which TensorFlow leaves empty.
    _ = try block(handles[0])
    var last = 0
    for (_, value) in try block(handles[1]) {
      var scanner = ByteScanner(value[...])
      let range = try handle(&scanner, in: "the index block", before: handles[0].lowerBound)
      guard range.lowerBound >= last else {
        throw error("byte \(range.lowerBound)", "blocks one after the other", "one twice")
      }
      last = range.upperBound
      for entry in try block(range) {
        if let before = entries.last?.key, !before.lexicographicallyPrecedes(entry.key) {
          throw error("byte \(range.lowerBound)", "keys in their order, each once", "others")
        }
        entries.append(entry)
      }
    }
  }

  private func copy(_ range: Range<Int>) -> [UInt8] { bytes.withUnsafeBytes { Array($0[range]) } }

  private func error(
    _ place: String, _ expected: String, _ found: String, fix: String = TensorBundle.copyAgain
  ) -> InterchangeError {
    InterchangeError(file: path, place: place, expected: expected, found: found, fix: fix)
  }

  /// Reads the offset and the size of a block.
  private func handle(
    _ scanner: inout ByteScanner, in place: String, before end: Int
  ) throws -> Handle {
    guard let offset = scanner.number(), let size = scanner.number(), offset <= end,
      size <= end - offset
    else { throw error(place, "the place of a block in the file", "another") }
    return offset..<offset + size
  }

  /// Returns the entries of a block.
  private mutating func block(_ range: Handle) throws -> [(key: [UInt8], value: [UInt8])] {
    let place = "the block at byte \(range.lowerBound)"
    let trailer = range.upperBound..<range.upperBound + 5
    guard trailer.upperBound <= bytes.count else { throw error(place, "a checksum", "none") }
    let content = copy(range)
    let type = copy(trailer)[0]
    if isVerified {
      let stored = ByteScanner(copy(trailer)[1...]).littleEndian()
      guard maskedChecksum(content + [type]) == stored else {
        throw error(place, "the checksum \(stored)", "\(maskedChecksum(content + [type]))")
      }
    }
    guard type == 0 else {
      throw error(
        place, "a block without compression, as TensorFlow writes it",
        type == 1 ? "one that snappy compressed" : "compression \(type)",
        fix: "write the checkpoint again with TensorFlow")
    }
    guard content.count >= 4,
      case let count = ByteScanner(content.suffix(4)).littleEndian(), count >= 1,
      count <= content.count / 4 - 1
    else { throw error(place, "a list of restarts", "none") }
    // Restarts serve searches; entries are read in their order here.
    var scanner = ByteScanner(content[..<(content.count - 4 - 4 * Int(count))])
    var entries: [(key: [UInt8], value: [UInt8])] = []
    var key: [UInt8] = []
    while !scanner.rest.isEmpty {
      guard let shared = scanner.number(), let unshared = scanner.number(),
        let length = scanner.number(), shared <= key.count, unshared <= Self.longestKey - shared,
        let rest = scanner.take(unshared), let value = scanner.take(length)
      else { throw error(place, "entries of keys and values", "other bytes") }
      key = Array(key.prefix(shared)) + rest
      keyBytes += key.count
      guard keyBytes <= Self.mostKeyBytes else {
        throw error(place, "keys of at most \(Self.mostKeyBytes) bytes together", "more")
      }
      entries.append((key, Array(value)))
    }
    return entries
  }
}

/// A position in bytes that moves on.
struct ByteScanner {
  private(set) var rest: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

  /// Returns an unsigned number of 7 bits a byte, if it is one that an `Int` holds.
  mutating func number() -> Int? {
    var result: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard let byte = rest.popFirst() else { return nil }
      result |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return Int(exactly: result) }
    }
    return nil
  }

  /// Returns the next bytes, if there are that many.
  mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
    guard count >= 0, count <= rest.count else { return nil }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }

  /// The first four bytes as a number.
  func littleEndian() -> UInt32 {
    rest.prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }
}
