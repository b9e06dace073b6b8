// Searches in texts, byte by byte.

extension StringProtocol {
  /// Returns the first range in which the UTF-8 of another text occurs.
  ///
  /// Preferred to Foundation's function of this name, which adds ICU to the program.
  package func range(of other: String) -> Range<Index>? {
    let (text, pattern) = (utf8, other.utf8)
    guard let first = pattern.first else { return nil }
    var rest = text[...]
    while let start = rest.firstIndex(of: first) {
      if rest[start...].starts(with: pattern) {
        return start..<text.index(start, offsetBy: pattern.count)
      }
      rest = rest[text.index(after: start)...]
    }
    return nil
  }

  /// Returns `true` if the UTF-8 of another text occurs in this one.
  ///
  /// Preferred to Foundation's function of this name, which adds ICU to the program.
  package func contains(_ other: String) -> Bool { range(of: other) != nil }

  /// Returns the text with another one for each occurrence of a scalar.
  ///
  /// Functions that compare characters overlook a scalar before a combining mark.
  package func replacing(scalar: Unicode.Scalar, with replacement: String) -> String {
    var (result, rest) = ("", String(self)[...])
    while let range = rest.range(of: String(scalar)) {
      result += rest[..<range.lowerBound]
      result += replacement
      rest = rest[range.upperBound...]
    }
    return result + rest
  }
}
