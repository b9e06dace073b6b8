// Writes the sorted table of keys and values of the index of a checkpoint.

import UnrollSerialization
import UnrollTensors

extension LevelTable {
  /// Entries of a block between two whole keys; the others share the beginning of the key before.
  private static let restartInterval = 16
  private static let blockSize = 4096

  /// Returns the bytes of a table.
  ///
  /// - Parameter entries: The entries, in the order of their keys, each key once.
  /// - Returns: Blocks of entries, an empty metaindex, the index block and the footer.
  static func bytes(of entries: [(key: [UInt8], value: [UInt8])]) -> [UInt8] {
    var table: [UInt8] = []
    /// Appends a block with its checksum, and returns its place.
    func append(_ block: [UInt8]) -> [UInt8] {
      let place = varint(table.count) + varint(block.count)
      let content = block + [0]
      table += content + littleEndian(maskedChecksum(content))
      return place
    }
    var index: [(key: [UInt8], value: [UInt8])] = []
    var pending: [(key: [UInt8], value: [UInt8])] = []
    var size = 0
    for (number, entry) in entries.enumerated() {
      pending.append(entry)
      size += entry.key.count + entry.value.count
      guard size >= blockSize || number == entries.count - 1 else { continue }
      index.append((entry.key, append(block(pending, restartInterval: restartInterval))))
      pending = []
      size = 0
    }
    let metaindex = append(block([], restartInterval: restartInterval))
    let places = metaindex + append(block(index, restartInterval: 1))
    return table + places
      + [UInt8](repeating: 0, count: footerSize - magic.count - places.count) + magic
  }

  /// Returns entries, the offsets of those with whole keys, and their number.
  private static func block(
    _ entries: [(key: [UInt8], value: [UInt8])], restartInterval: Int
  ) -> [UInt8] {
    var block: [UInt8] = []
    var restarts: [Int] = entries.isEmpty ? [0] : []
    var last: [UInt8] = []
    for (number, (key, value)) in entries.enumerated() {
      let isWhole = number.isMultiple(of: restartInterval)
      if isWhole { restarts.append(block.count) }
      let shared = isWhole ? 0 : zip(last, key).prefix { $0 == $1 }.count
      block += varint(shared) + varint(key.count - shared) + varint(value.count)
      block += key[shared...] + value
      last = key
    }
    return block + (restarts + [restarts.count]).flatMap { littleEndian(UInt32($0)) }
  }

  /// Returns an unsigned number of 7 bits a byte.
  static func varint(_ number: Int) -> [UInt8] { WireWriter.varint(UInt64(number)) }
}
