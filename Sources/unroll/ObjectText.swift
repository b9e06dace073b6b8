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

  /// Adds a member; the caller adds them in the order of their keys.
  ///
  /// - Parameters:
  ///   - key: The key, of letters and `_`.
  ///   - value: The text of a JSON value.
  mutating func add(_ key: String, json value: String) {
    begin(key)
    text += value
  }

  private mutating func begin(_ key: String) {
    text += text.utf8.count > 1 ? ",\"" : "\""
    text += key
    text += "\":"
  }

  mutating func add(_ key: String, _ value: String?) {
    add(key, json: value.map(Self.quoted) ?? "null")
  }

  mutating func add(_ key: String, _ value: Int?) {
    add(key, json: value.map(String.init) ?? "null")
  }

  mutating func add(_ key: String, _ value: Bool) { add(key, json: value ? "true" : "false") }

  /// - Throws: `EncodingError` if the number is not finite.
  mutating func add(_ key: String, _ value: Double?) throws {
    add(key, json: try value.map(Self.number) ?? "null")
  }

  /// Adds an array of objects.
  mutating func add(_ key: String, _ objects: [ObjectText]) {
    begin(key)
    for (index, object) in objects.enumerated() {
      text += index == 0 ? "[" : ","
      text += object.text
      text += "}"
    }
    text += objects.isEmpty ? "[]" : "]"
  }

  private static func number(_ value: Double) throws -> String {
    guard value.isFinite else {
      throw EncodingError.invalidValue(
        value, EncodingError.Context(codingPath: [], debugDescription: "\(value) is not finite"))
    }
    let text = value.description
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }

  /// Returns a text in quotation marks; characters that control terminals are escaped.
  private static func quoted(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy {
      (0x20..<0x7F).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\")
    }
    return "\"" + (isPlain ? text : text.unicodeScalars.map(escaped).joined()) + "\""
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
