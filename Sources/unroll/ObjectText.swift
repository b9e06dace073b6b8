// JSON objects written member by member.

import Foundation
import UnrollTensors

/// The text of a JSON object on one line, under construction.
///
/// It is the text that `Output.encoded` gives. For results with an object for each line of a text, which take `JSONEncoder`
/// a good part of the time of the model.
struct ObjectText {
  private var text = "{"

  /// The text of the finished object.
  var finished: String { text + "}" }

  /// Begins a member; the caller adds them in the order of their keys.
  ///
  /// - Parameter key: The key, of letters and `_`.
  private mutating func begin(_ key: String) {
    text += text.utf8.last == UInt8(ascii: "{") ? "\"" : ",\""
    text += key
    text += "\":"
  }

  mutating func add(_ key: String, _ value: String?) {
    begin(key)
    guard let value else {
      text += "null"
      return
    }
    append(quoted: value)
  }

  mutating func add(_ key: String, _ value: Int?) {
    begin(key)
    text += value.map(String.init) ?? "null"
  }

  mutating func add(_ key: String, _ value: Bool) {
    begin(key)
    text += value ? "true" : "false"
  }

  /// - Throws: `EncodingError` if the number is not finite.
  mutating func add(_ key: String, _ value: Double?) throws {
    begin(key)
    text += try value.map(Self.number) ?? "null"
  }

  /// Adds an array of objects.
  ///
  /// - Parameters:
  ///   - key: The key.
  ///   - values: A value for each object; `nil` for `null`.
  ///   - fill: Adds the members of the object of a value.
  /// - Throws: The errors of the closure.
  mutating func add<Value>(
    _ key: String, _ values: (some Collection<Value>)?,
    _ fill: (Value, inout ObjectText) throws -> Void
  ) rethrows {
    begin(key)
    guard let values else {
      text += "null"
      return
    }
    var separator = "[{"
    for value in values {
      text += separator
      try fill(value, &self)
      separator = "},{"
    }
    text += values.isEmpty ? "[]" : "}]"
  }

  private static func number(_ value: Double) throws -> String {
    guard value.isFinite else {
      throw EncodingError.invalidValue(
        value, EncodingError.Context(codingPath: [], debugDescription: "\(value) is not finite"))
    }
    let text = value.description
    return text.utf8.suffix(2).elementsEqual(".0".utf8) ? String(text.dropLast(2)) : text
  }

  /// Adds a text in quotation marks; characters that control terminals are escaped.
  private mutating func append(quoted value: String) {
    let isPlain = value.utf8.allSatisfy {
      (0x20..<0x7F).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
    }
    text += "\""
    if isPlain { text += value } else { text += value.unicodeScalars.map(Self.escaped).joined() }
    text += "\""
  }

  private static func escaped(_ scalar: Unicode.Scalar) -> String {
    switch scalar {
    case "\"": return "\\\""
    case "\\": return "\\\\"
    case "\n": return "\\n"
    case "\r": return "\\r"
    case "\t": return "\\t"
    case "\u{8}": return "\\b"
    case "\u{c}": return "\\f"
    default: break
    }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator:
      return scalar.utf16.map { String(printf: "\\u%04x", Int($0)) }.joined()
    default: return String(scalar)
    }
  }
}
