// The wire format of Protocol Buffers, read in place: an initializer of a gigabyte is a range.

import UnrollTensors

/// One field of a message.
package struct WireField: Sendable {
  /// The field's number in its schema.
  package let number: Int
  /// The value, as far as the wire format determines it.
  package let value: Value

  package enum Value: Sendable {
    case varint(UInt64)
    case fixed32(UInt32)
    case fixed64(UInt64)
    /// The range of a text, of bytes, of a message, or of packed numbers.
    case bytes(Range<Int>)
  }
}

/// A message as its fields, in their order.
package struct WireMessage: Sendable {
  /// No model has more parts than this: a field takes more memory than the bytes that it is made of.
  private static let mostFields = 1 << 22

  /// The fields.
  package let fields: [WireField]
  private let storage: ByteStorage

  /// Reads the fields of a message; `nil` if the bytes are none.
  ///
  /// - Parameters:
  ///   - range: The range of the message in the bytes.
  ///   - storage: The bytes.
  ///   - most: The maximum number of fields, if less than in any model; messages with more are refused.
  package init?(_ range: Range<Int>, of storage: ByteStorage, most: Int? = nil) {
    self.storage = storage
    let most = most ?? Self.mostFields
    let fields = storage.withUnsafeBytes { bytes -> [WireField]? in
      var scanner = WireScanner(rest: range, bytes: bytes)
      var fields: [WireField] = []
      while !scanner.rest.isEmpty {
        guard fields.count < most, let key = scanner.varint(),
          let number = Int(exactly: key >> 3), number > 0, let value = scanner.value(type: key & 7)
        else { return nil }
        fields.append(WireField(number: number, value: value))
      }
      return fields
    }
    guard let fields else { return nil }
    self.fields = fields
  }

  /// Reads a message that fills all the bytes; `nil` if they are none.
  package init?(_ bytes: [UInt8], most: Int? = nil) {
    self.init(0..<bytes.count, of: .owned(bytes), most: most)
  }

  /// Returns the fields of a number.
  package func all(_ number: Int) -> [WireField.Value] {
    fields.lazy.filter { $0.number == number }.map(\.value)
  }

  /// Returns the last field of a number, which is the one that counts.
  private func last(_ number: Int) -> WireField.Value? {
    fields.last { $0.number == number }?.value
  }

  /// Returns a signed number.
  package func int(_ number: Int) -> Int? {
    guard case .varint(let value)? = last(number) else { return nil }
    return Int(truncatingIfNeeded: value)
  }

  /// Returns a truth value.
  package func bool(_ number: Int) -> Bool? { int(number).map { $0 != 0 } }

  /// Returns a 32-bit floating-point number.
  package func float(_ number: Int) -> Float? {
    fixed32(number).map { Float(bitPattern: $0) }
  }

  /// Returns a number of 32 bits.
  package func fixed32(_ number: Int) -> UInt32? {
    guard case .fixed32(let bits)? = last(number) else { return nil }
    return bits
  }

  /// Returns the range of bytes.
  package func range(_ number: Int) -> Range<Int>? {
    guard case .bytes(let range)? = last(number) else { return nil }
    return range
  }

  /// Returns the ranges of all bytes of a number.
  package func ranges(_ number: Int) -> [Range<Int>] {
    all(number).compactMap { value in
      guard case .bytes(let range) = value else { return nil }
      return range
    }
  }

  /// Returns a copy of bytes.
  package func bytes(_ number: Int) -> [UInt8]? {
    range(number).map(copy)
  }

  /// Returns a copy of a range of bytes.
  package func copy(_ range: Range<Int>) -> [UInt8] {
    storage.withUnsafeBytes { Array($0[range]) }
  }

  /// Returns a message inside this one; `nil` if there is none or the bytes are no message.
  package func message(_ range: Range<Int>) -> WireMessage? { WireMessage(range, of: storage) }

  /// Returns a message of a limited number of fields inside this one; `nil` if there is none or it has more.
  package func message(_ range: Range<Int>, most: Int) -> WireMessage? {
    WireMessage(range, of: storage, most: most)
  }

  /// Returns a text of UTF-8.
  package func text(_ number: Int) -> String? { range(number).flatMap(text) }

  /// Returns all texts of a number.
  package func texts(_ number: Int) -> [String] { ranges(number).compactMap(text) }

  private func text(_ range: Range<Int>) -> String? {
    storage.withUnsafeBytes { String(validating: $0[range], as: UTF8.self) }
  }

  /// Returns all numbers of a field, packed or not; `nil` if they are no varints.
  package func ints(_ number: Int) -> [Int]? {
    var result: [Int] = []
    for value in all(number) {
      switch value {
      case .varint(let value): result.append(Int(truncatingIfNeeded: value))
      case .bytes(let range):
        let numbers = storage.withUnsafeBytes { bytes -> [Int]? in
          var scanner = WireScanner(rest: range, bytes: bytes)
          var numbers: [Int] = []
          while !scanner.rest.isEmpty {
            guard let value = scanner.varint() else { return nil }
            numbers.append(Int(truncatingIfNeeded: value))
          }
          return numbers
        }
        guard let numbers else { return nil }
        result += numbers
      default: return nil
      }
    }
    return result
  }

  /// Returns all 32-bit floating-point numbers of a field, packed or not; `nil` if they are none.
  package func floats(_ number: Int) -> [Float]? {
    var result: [Float] = []
    for value in all(number) {
      switch value {
      case .fixed32(let bits): result.append(Float(bitPattern: bits))
      case .bytes(let range) where range.count % 4 == 0:
        result += storage.withUnsafeBytes { bytes in
          UnsafeRawBufferPointer(rebasing: bytes[range]).elements(of: UInt32.self) {
            Float(bitPattern: $0)
          }
        }
      default: return nil
      }
    }
    return result
  }
}

extension WireMessage {
  /// Returns all 64-bit floating-point numbers of a field, packed or not; `nil` if they are none.
  package func doubles(_ number: Int) -> [Double]? {
    var result: [Double] = []
    for value in all(number) {
      switch value {
      case .fixed64(let bits): result.append(Double(bitPattern: bits))
      case .bytes(let range) where range.count % 8 == 0:
        result += storage.withUnsafeBytes { bytes in
          UnsafeRawBufferPointer(rebasing: bytes[range]).elements(of: UInt64.self) {
            Double(bitPattern: $0)
          }
        }
      default: return nil
      }
    }
    return result
  }
}

/// A position in bytes that moves on.
private struct WireScanner {
  var rest: Range<Int>
  let bytes: UnsafeRawBufferPointer

  mutating func varint() -> UInt64? {
    var result: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard let place = rest.popFirst() else { return nil }
      let byte = bytes[place]
      result |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return result }
    }
    return nil
  }

  mutating func value(type: UInt64) -> WireField.Value? {
    switch type {
    case 0: varint().map { .varint($0) }
    case 1: take(8).map { .fixed64(number($0)) }
    case 2: varint().flatMap { Int(exactly: $0) }.flatMap { take($0) }.map { .bytes($0) }
    case 5: take(4).map { .fixed32(UInt32(truncatingIfNeeded: number($0))) }
    default: nil
    }
  }

  private mutating func take(_ count: Int) -> Range<Int>? {
    guard count >= 0, count <= rest.count else { return nil }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }

  private func number(_ range: Range<Int>) -> UInt64 {
    bytes[range].reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }
}
