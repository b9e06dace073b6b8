// JSON with texts as bytes: tokens that Swift's strings hold equal, since they are composed
// differently, stay apart.

/// A value of a JSON text.
package enum JSONValue: Sendable {
  case null
  case bool(Bool)
  case number(Double)
  case string([UInt8])
  case array([JSONValue])
  /// The members in their order; of a key that is there twice both.
  case object([(key: [UInt8], value: JSONValue)])

  /// Reads a text of UTF-8.
  ///
  /// - Throws: `JSONError` with the location of the invalid JSON.
  package init(_ text: [UInt8]) throws {
    var parser = JSONParser(text: text)
    self = try parser.document()
  }

  /// The member of an object; of several the last, as in Python.
  ///
  /// `nil` for null too.
  package subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self,
      let value = members.last(where: { $0.key.elementsEqual(key.utf8) })?.value
    else { return nil }
    if case .null = value { return nil }
    return value
  }

  package var bool: Bool? {
    if case .bool(let value) = self { return value }
    return nil
  }

  package var int: Int? {
    if case .number(let value) = self { return Int(exactly: value) }
    return nil
  }

  package var number: Double? {
    if case .number(let value) = self { return value }
    return nil
  }

  package var bytes: [UInt8]? {
    if case .string(let value) = self { return value }
    return nil
  }

  package var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

  package var array: [JSONValue]? {
    if case .array(let value) = self { return value }
    return nil
  }

  package var members: [(key: [UInt8], value: JSONValue)]? {
    if case .object(let value) = self { return value }
    return nil
  }
}

/// A text that is no JSON.
package struct JSONError: Error, Sendable {
  /// The byte at which it is none.
  package let offset: Int
}

/// Reads JSON as RFC 8259 has it, nested at most 64 deep.
private struct JSONParser {
  let text: [UInt8]
  private var index = 0

  init(text: [UInt8]) { self.text = text }

  mutating func document() throws -> JSONValue {
    // A byte-order mark may stand in front.
    if text.starts(with: [0xEF, 0xBB, 0xBF]) { index = 3 }
    let value = try value(depth: 0)
    skipSpace()
    guard index == text.count else { throw JSONError(offset: index) }
    return value
  }

  private var next: UInt8? { index < text.count ? text[index] : nil }

  private mutating func skipSpace() {
    while let byte = next, byte == 0x20 || (byte >= 0x09 && byte <= 0x0D) { index += 1 }
  }

  private mutating func take(_ byte: Character) throws {
    guard next == byte.asciiValue else { throw JSONError(offset: index) }
    index += 1
  }

  private mutating func word(_ word: String, _ value: JSONValue) throws -> JSONValue {
    guard text[index...].starts(with: word.utf8) else { throw JSONError(offset: index) }
    index += word.utf8.count
    return value
  }

  private mutating func value(depth: Int) throws -> JSONValue {
    guard depth < 64 else { throw JSONError(offset: index) }
    skipSpace()
    switch next {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  private mutating func object(depth: Int) throws -> JSONValue {
    var members: [(key: [UInt8], value: JSONValue)] = []
    try take("{")
    skipSpace()
    while next != UInt8(ascii: "}") {
      if !members.isEmpty { try take(",") }
      skipSpace()
      let key = try string()
      skipSpace()
      try take(":")
      members.append((key, try value(depth: depth + 1)))
      skipSpace()
    }
    try take("}")
    return .object(members)
  }

  private mutating func array(depth: Int) throws -> JSONValue {
    var values: [JSONValue] = []
    try take("[")
    skipSpace()
    while next != UInt8(ascii: "]") {
      if !values.isEmpty { try take(",") }
      values.append(try value(depth: depth + 1))
      skipSpace()
    }
    try take("]")
    return .array(values)
  }

  private mutating func number() throws -> JSONValue {
    let start = index
    while let byte = next, "+-.0123456789eE".utf8.contains(byte) { index += 1 }
    guard let number = Double(String(decoding: text[start..<index], as: UTF8.self)) else {
      throw JSONError(offset: start)
    }
    return .number(number)
  }

  private mutating func string() throws -> [UInt8] {
    try take("\"")
    var result: [UInt8] = []
    while let byte = next {
      index += 1
      switch byte {
      case UInt8(ascii: "\""): return result
      case UInt8(ascii: "\\"): result += try escape()
      case 0..<0x20: throw JSONError(offset: index - 1)
      default: result.append(byte)
      }
    }
    throw JSONError(offset: index)
  }

  private mutating func escape() throws -> [UInt8] {
    guard let byte = next else { throw JSONError(offset: index) }
    index += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"): return try scalar()
    default: throw JSONError(offset: index - 1)
    }
  }

  private mutating func scalar() throws -> [UInt8] {
    var units = [try unit()]
    if (0xD800...0xDBFF).contains(units[0]), text[index...].starts(with: "\\u".utf8) {
      index += 2
      units.append(try unit())
    }
    // A surrogate without its other half stands for no text.
    guard let text = String(validating: units, as: UTF16.self) else {
      throw JSONError(offset: index)
    }
    return Array(text.utf8)
  }

  private mutating func unit() throws -> UInt16 {
    guard index + 4 <= text.count, text[index] != UInt8(ascii: "+"),
      let unit = UInt16(String(decoding: text[index..<index + 4], as: UTF8.self), radix: 16)
    else { throw JSONError(offset: index) }
    index += 4
    return unit
  }
}
