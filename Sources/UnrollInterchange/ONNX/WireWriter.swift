// Builds Protocol Buffers messages; tensors are not copied until they are written.

import UnrollTensors

/// A message as a sequence of parts.
struct WireWriter {
  /// The parts in order.
  private(set) var parts: [ByteStorage] = []
  /// The bytes of all parts.
  private(set) var count = 0
  private var pending: [UInt8] = []

  private mutating func append(_ bytes: some Sequence<UInt8>) {
    let before = pending.count
    pending += bytes
    count += pending.count - before
  }

  private mutating func append(varint number: UInt64) {
    append(Self.varint(number))
  }

  /// Returns an unsigned number of 7 bits a byte, the lowest first.
  static func varint(_ number: UInt64) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  private mutating func append(key field: Int, type: UInt64) {
    append(varint: UInt64(field) << 3 | type)
  }

  /// Adds a number.
  mutating func add(_ field: Int, _ number: Int) {
    append(key: field, type: 0)
    append(varint: UInt64(bitPattern: Int64(number)))
  }

  /// Adds a 32-bit floating-point number.
  mutating func add(_ field: Int, _ number: Float) {
    append(key: field, type: 5)
    append(withUnsafeBytes(of: number.bitPattern.littleEndian, Array.init))
  }

  /// Adds a number of 32 bits.
  mutating func add(_ field: Int, fixed32 number: UInt32) {
    append(key: field, type: 5)
    append(withUnsafeBytes(of: number.littleEndian, Array.init))
  }

  /// Adds a text.
  mutating func add(_ field: Int, _ text: String) { add(field, [.owned(Array(text.utf8))]) }

  /// Adds bytes from several storages.
  mutating func add(_ field: Int, _ storages: [ByteStorage]) {
    append(key: field, type: 2)
    let size = storages.reduce(0) { $0 + $1.count }
    append(varint: UInt64(size))
    for storage in storages {
      if case .owned(let bytes) = storage, bytes.count < 4096 {
        append(bytes)
      } else {
        flush()
        parts.append(storage)
        count += storage.count
      }
    }
  }

  /// Adds a nested message.
  mutating func add(_ field: Int, _ fill: (inout WireWriter) -> Void) {
    var message = WireWriter()
    fill(&message)
    add(field, message.finished)
  }

  private mutating func flush() {
    if !pending.isEmpty { parts.append(.owned(pending)) }
    pending = []
  }

  /// The message in one piece.
  var bytes: [UInt8] { finished.flatMap { $0.withUnsafeBytes { Array($0) } } }

  /// All parts of the message.
  var finished: [ByteStorage] {
    var writer = self
    writer.flush()
    return writer.parts
  }
}
