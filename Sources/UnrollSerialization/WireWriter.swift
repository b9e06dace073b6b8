// The wire format of Protocol Buffers, written: tensors are not copied until they are.

import UnrollTensors

/// A message under construction, as a sequence of parts.
package struct WireWriter {
  /// The parts in order.
  package private(set) var parts: [ByteStorage] = []
  /// The bytes of all parts.
  package private(set) var count = 0
  private var pending: [UInt8] = []

  /// Creates an empty message.
  package init() {}

  private mutating func append(_ bytes: some Sequence<UInt8>) {
    let before = pending.count
    pending += bytes
    count += pending.count - before
  }

  private mutating func append(varint number: UInt64) {
    append(Self.varint(number))
  }

  /// Returns an unsigned number of 7 bits a byte, the lowest first.
  package static func varint(_ number: UInt64) -> [UInt8] {
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
  package mutating func add(_ field: Int, _ number: Int) {
    append(key: field, type: 0)
    append(varint: UInt64(bitPattern: Int64(number)))
  }

  /// Adds a 32-bit floating-point number.
  package mutating func add(_ field: Int, _ number: Float) {
    append(key: field, type: 5)
    append(littleEndian(number.bitPattern))
  }

  /// Adds a 64-bit floating-point number.
  package mutating func add(_ field: Int, _ number: Double) {
    append(key: field, type: 1)
    append(littleEndian(number.bitPattern))
  }

  /// Adds 64-bit floating-point numbers as one field.
  package mutating func add(_ field: Int, packed numbers: [Double]) {
    add(field, [.owned(numbers.flatMap { littleEndian($0.bitPattern) })])
  }

  /// Adds a number of 32 bits.
  package mutating func add(_ field: Int, fixed32 number: UInt32) {
    append(key: field, type: 5)
    append(littleEndian(number))
  }

  /// Adds a text.
  package mutating func add(_ field: Int, _ text: String) { add(field, [.owned(Array(text.utf8))]) }

  /// Adds bytes from several storages.
  package mutating func add(_ field: Int, _ storages: [ByteStorage]) {
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
  package mutating func add(_ field: Int, _ fill: (inout WireWriter) -> Void) {
    var message = WireWriter()
    fill(&message)
    add(field, message.finished)
  }

  private mutating func flush() {
    if !pending.isEmpty { parts.append(.owned(pending)) }
    pending = []
  }

  /// The message in one piece.
  package var bytes: [UInt8] { finished.flatMap { $0.withUnsafeBytes { Array($0) } } }

  /// All parts of the message.
  package var finished: [ByteStorage] {
    var writer = self
    writer.flush()
    return writer.parts
  }
}

/// Returns the bytes of a number, the lowest first.
package func littleEndian(_ number: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: number.littleEndian, Array.init)
}
