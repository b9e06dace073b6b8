// Text from files, made safe to print.

/// Returns a text in which control characters are escaped: names in a file must not steer a terminal.
package func printable(_ text: String) -> String {
  // Most texts are plain ASCII.
  guard !text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) }) else { return text }
  var result = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator:
      result.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".unicodeScalars)
    default:
      result.append(scalar)
    }
  }
  return String(result)
}

/// Returns the beginning of a text, made safe to print: one token or attribute must not flood a terminal.
///
/// - Parameters:
///   - text: The text.
///   - limit: The most scalars to keep; the scalars that are cut off are counted.
/// - Returns: The printable text.
package func excerpt(_ text: String, limit: Int = 200) -> String {
  // No scalar is shorter than a byte.
  guard text.utf8.count > limit else { return printable(text) }
  // Scalars, not characters: thousands of combining marks are one character.
  let scalars = text.unicodeScalars
  guard let end = scalars.index(scalars.startIndex, offsetBy: limit, limitedBy: scalars.endIndex),
    end < scalars.endIndex
  else { return printable(text) }
  let rest = scalars.distance(from: end, to: scalars.endIndex)
  return printable(String(scalars[..<end])) + "... (\(rest) more)"
}
