// Elements of HTML and SVG, escaped by construction.

import UnrollTensors

/// Markup whose texts and attributes are escaped.
struct Markup {
  /// The characters of the markup.
  private(set) var characters: String

  /// Creates the markup of a text.
  init(_ text: String) { characters = Self.escaped(text) }

  /// Creates markup from characters that are markup already, such as a style sheet of ours.
  init(trusted characters: String) { self.characters = characters }

  /// Returns an element with its content.
  static func element(
    _ name: String, _ attributes: KeyValuePairs<String, String> = [:], _ content: [Markup]
  ) -> Markup {
    var result = opening(name, attributes)
    for part in content { result += part.characters }
    return Markup(trusted: result + "</\(name)>")
  }

  /// Returns an element with a text.
  static func element(
    _ name: String, _ attributes: KeyValuePairs<String, String> = [:], _ text: String
  ) -> Markup {
    element(name, attributes, [Markup(text)])
  }

  /// Returns an element of HTML that has no content and no end.
  static func void(_ name: String, _ attributes: KeyValuePairs<String, String>) -> Markup {
    Markup(trusted: opening(name, attributes))
  }

  /// A line break between elements.
  static let newline = Markup(trusted: "\n")

  /// Returns parts with a line break behind each.
  static func lines(_ parts: [Markup]) -> [Markup] { parts.flatMap { [$0, newline] } }

  /// Returns the beginning of an element.
  static func opening(_ name: String, _ attributes: KeyValuePairs<String, String> = [:]) -> String {
    var result = "<"
    result += name
    for (name, value) in attributes {
      result += " "
      result += name
      result += "=\""
      result += escaped(value)
      result += "\""
    }
    result += ">"
    return result
  }

  /// Returns a text without characters that are markup, that control the direction of the text around
  /// them, or that are not allowed.
  static func escaped(_ text: String) -> String {
    // Most texts are plain ASCII.
    guard !text.utf8.allSatisfy(isPlain) else { return text }
    var result = String.UnicodeScalarView()
    for scalar in text.unicodeScalars {
      guard isSpecial(scalar) else {
        result.append(scalar)
        continue
      }
      result.append(contentsOf: replacement(scalar).unicodeScalars)
    }
    return String(result)
  }

  /// Returns `true` for a byte of a text that is written as it is, whatever is around it.
  private static func isPlain(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "&"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\""): false
    default: (0x20..<0x7F).contains(byte) || byte == UInt8(ascii: "\n")
    }
  }

  private static func isSpecial(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x0A: false
    case 0..<0x20, 0x22, 0x26, 0x3C, 0x3E, 0x7F..<0xA0: true
    case 0x200E...0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFFFE...0xFFFF: true
    default: false
    }
  }

  private static func replacement(_ scalar: Unicode.Scalar) -> String {
    switch scalar {
    case "&": "&amp;"
    case "<": "&lt;"
    case ">": "&gt;"
    case "\"": "&quot;"
    default: "\\u{\(String(scalar.value, radix: 16))}"
    }
  }
}
