// Texts as JSON.

import UnrollTensors

/// Returns a text as a JSON string, in quotation marks.
package func quoted(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "\n": result += "\\n"
    case "\r": result += "\\r"
    case "\t": result += "\\t"
    case "\u{0}"..<"\u{20}": result += String(printf: "\\u%04x", scalar.value)
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}

/// Counts the commas, colons and brackets outside strings of a JSON text: an upper bound of its
/// values.
package func jsonStructureCount(_ json: [UInt8]) -> Int {
  let (quote, backslash) = (UInt8(ascii: "\""), UInt8(ascii: "\\"))
  let structures = [UInt8](",:[]{}".utf8)
  var (count, isText, isEscaped) = (0, false, false)
  for byte in json {
    if isEscaped {
      isEscaped = false
    } else if byte == quote {
      isText.toggle()
    } else if isText {
      isEscaped = byte == backslash
    } else if structures.contains(byte) {
      count += 1
    }
  }
  return count
}
