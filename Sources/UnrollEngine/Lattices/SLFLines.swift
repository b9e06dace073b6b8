// The fields of a line in Standard Lattice Format.

import UnrollTokenization

/// Splits lines into fields.
struct SLFLines {
  /// A name and its value.
  struct Field {
    let name: String
    let value: String
    /// The field as in the file, but for quotation marks.
    var text: String { "\(name)=\(value)" }
  }

  /// Returns `true` for a name that stands for no word: `<s>`, `</s>`, `<eps>`, and an exclamation
  /// mark with capital letters, such as `!NULL` and `!SENT_START`.
  static func isMark(_ word: String) -> Bool {
    if ["<s>", "</s>", "<eps>"].contains(word) { return true }
    let name = word.utf8.dropFirst()
    return word.utf8.first == UInt8(ascii: "!") && !name.isEmpty
      && name.allSatisfy { 0x41...0x5A ~= $0 || $0 == UInt8(ascii: "_") }
  }

  /// Returns the fields of a line, between white space; `nil` if one has no name or is not closed.
  ///
  /// A value between quotation marks may have white space, and a backslash makes the next
  /// character, or the byte of three octal digits, part of the value.
  func fields(of text: String) -> [Field]? {
    var rest = Array(text.utf8)[...]
    var fields: [Field] = []
    while true {
      rest = rest.drop(while: Self.isSpace)
      guard !rest.isEmpty else { return fields }
      guard let equals = rest.firstIndex(of: UInt8(ascii: "=")), equals > rest.startIndex,
        !rest[..<equals].contains(where: Self.isSpace)
      else { return nil }
      let name = String(decoding: rest[..<equals], as: UTF8.self)
      rest = rest[(equals + 1)...]
      guard let value = Self.value(&rest), let text = String(validating: value, as: UTF8.self)
      else { return nil }
      fields.append(Field(name: name, value: text))
    }
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0D ~= byte }

  private static func value(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
    let quote = quotationMark(of: rest)
    if quote != nil { rest.removeFirst() }
    var value: [UInt8] = []
    while let byte = rest.first {
      if quote == nil, isSpace(byte) { return value }
      rest.removeFirst()
      if byte == quote { return value }
      guard byte == UInt8(ascii: "\\") else {
        value.append(byte)
        continue
      }
      let digits = rest.prefix(3).filter { UInt8(ascii: "0")...UInt8(ascii: "7") ~= $0 }
      let code = digits.reduce(0) { 8 * $0 + Int($1 - UInt8(ascii: "0")) }
      if digits.count == 3, rest.count >= 3, code < 256 {
        value.append(UInt8(code))
        rest.removeFirst(3)
      } else {
        guard let escaped = rest.popFirst() else { return nil }
        value.append(escaped)
      }
    }
    return quote == nil ? value : nil
  }

  /// Returns the quotation mark in which a value stands; `nil` for a word that only begins with an
  /// apostrophe, such as `'tis`.
  private static func quotationMark(of rest: ArraySlice<UInt8>) -> UInt8? {
    guard let first = rest.first, first == UInt8(ascii: "\"") || first == UInt8(ascii: "'") else {
      return nil
    }
    guard first == UInt8(ascii: "'") else { return first }
    let isClosed = rest.indices.dropFirst().contains { index in
      rest[index] == first && (index + 1 == rest.endIndex || isSpace(rest[index + 1]))
    }
    return isClosed ? first : nil
  }
}
