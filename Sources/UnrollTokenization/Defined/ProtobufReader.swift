// The few parts of Protocol Buffers' wire format that SentencePiece's models need.

/// One field of a message.
struct ProtobufField {
  let number: Int
  let value: Value

  enum Value {
    case varint(UInt64)
    case fixed32(UInt32)
    case bytes(ArraySlice<UInt8>)
    /// 64 bits, which no field that is read has.
    case other
  }

  /// The last value of a signed field of a message, or `nil` if it is not there.
  var int: Int? {
    if case .varint(let value) = value {
      return Int(truncatingIfNeeded: Int32(truncatingIfNeeded: value))
    }
    return nil
  }

  var bool: Bool? {
    if case .varint(let value) = value { return value != 0 }
    return nil
  }

  var float: Float? {
    if case .fixed32(let bits) = value { return Float(bitPattern: bits) }
    return nil
  }

  var bytes: ArraySlice<UInt8>? {
    if case .bytes(let bytes) = value { return bytes }
    return nil
  }
}

/// A message as its fields in their order.
struct ProtobufMessage {
  private(set) var fields: [ProtobufField] = []

  /// Reads the fields of a message; `nil` if the bytes are none.
  init?(_ bytes: ArraySlice<UInt8>) {
    var rest = bytes
    while !rest.isEmpty {
      guard let key = Self.varint(&rest), let number = Int(exactly: key >> 3), number > 0,
        let value = Self.value(type: key & 7, &rest)
      else { return nil }
      fields.append(ProtobufField(number: number, value: value))
    }
  }

  /// The last field of a number, which is the one that counts.
  subscript(number: Int) -> ProtobufField? { fields.last { $0.number == number } }

  private static func varint(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
    var result: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard let byte = rest.popFirst() else { return nil }
      result |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return result }
    }
    return nil
  }

  private static func value(
    type: UInt64, _ rest: inout ArraySlice<UInt8>
  ) -> ProtobufField.Value? {
    switch type {
    case 0: return varint(&rest).map { .varint($0) }
    case 1: return take(8, &rest).map { _ in .other }
    case 2:
      guard let count = varint(&rest).flatMap({ Int(exactly: $0) }) else { return nil }
      return take(count, &rest).map { .bytes($0) }
    case 5:
      return take(4, &rest).map { bytes in
        .fixed32(bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) })
      }
    default: return nil
    }
  }

  private static func take(_ count: Int, _ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
    guard count <= rest.count else { return nil }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }
}
