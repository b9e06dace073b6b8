// Escapes in strings of pickle protocol 0.

/// Decodes the two kinds of escaped text in protocol 0; `nil` for invalid escapes.
enum PickleEscapes {
  /// Decodes the content of a Python 2 string literal.
  static func decodeString(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    var result: [UInt8] = []
    var rest = text
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\") else {
        result.append(byte)
        continue
      }
      guard let escape = rest.popFirst() else { return nil }
      switch escape {
      case UInt8(ascii: "n"): result.append(0x0A)
      case UInt8(ascii: "r"): result.append(0x0D)
      case UInt8(ascii: "t"): result.append(0x09)
      case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): result.append(escape)
      case UInt8(ascii: "x"):
        guard let number = takeHexadecimal(2, from: &rest) else { return nil }
        result.append(UInt8(truncatingIfNeeded: number))
      default: return nil
      }
    }
    return result
  }

  /// Decodes Python's `raw-unicode-escape`: Latin-1 with `\uXXXX` and `\UXXXXXXXX`.
  static func decodeUnicode(_ text: ArraySlice<UInt8>) -> String? {
    var result = String.UnicodeScalarView()
    var rest = text
    while let byte = rest.popFirst() {
      let digits = byte == UInt8(ascii: "\\") ? escapeDigits(rest.first) : nil
      guard let digits else {
        result.append(Unicode.Scalar(byte))
        continue
      }
      rest.removeFirst()
      guard let number = takeHexadecimal(digits, from: &rest),
        let scalar = Unicode.Scalar(UInt32(truncatingIfNeeded: number))
      else { return nil }
      result.append(scalar)
    }
    return String(result)
  }

  private static func escapeDigits(_ letter: UInt8?) -> Int? {
    switch letter {
    case UInt8(ascii: "u"): 4
    case UInt8(ascii: "U"): 8
    default: nil
    }
  }

  private static func takeHexadecimal(_ count: Int, from rest: inout ArraySlice<UInt8>) -> Int? {
    guard rest.count >= count else { return nil }
    defer { rest = rest.dropFirst(count) }
    return Int(String(decoding: rest.prefix(count), as: UTF8.self), radix: 16)
  }
}
