// Splits a line into words exactly as Python's `str.split()` does.

/// The words of a line: its parts between white space.
///
/// White space is defined as in Python's `str.isspace`: the code points with the bidirectional types WS, B, S
/// or the category Zs; vocabularies of word-level models are made that way. It differs from Unicode's property
/// `White_Space` by U+001C to U+001F.
package enum WhitespaceWords {
  /// `true` if there is white space in some text of valid UTF-8.
  package static func hasWhiteSpace(in text: UnsafeRawBufferPointer) -> Bool {
    text.indices.contains { spaceLength(text, at: $0) > 0 }
  }

  /// Returns the ranges of the words in a line of valid UTF-8.
  package static func ranges(in line: UnsafeRawBufferPointer) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    forEach(in: line) { ranges.append($0) }
    return ranges
  }

  /// Calls a closure with the range of each word.
  @inline(__always)
  static func forEach(in line: UnsafeRawBufferPointer, _ body: (Range<Int>) -> Void) {
    var start = -1
    var index = 0
    while index < line.count {
      let length = spaceLength(line, at: index)
      if length > 0 {
        if start >= 0 { body(start..<index) }
        start = -1
        index += length
      } else {
        if start < 0 { start = index }
        index += 1
      }
    }
    if start >= 0 { body(start..<line.count) }
  }

  /// Returns the number of bytes of the white-space character at an index, or 0 if there is none.
  @inline(__always)
  private static func spaceLength(_ line: UnsafeRawBufferPointer, at index: Int) -> Int {
    let first = line[index]
    if first < 0x80 {
      return first == 0x20 || (0x09...0x0D).contains(first) || (0x1C...0x1F).contains(first) ? 1 : 0
    }
    guard index + 1 < line.count else { return 0 }
    let second = line[index + 1]
    // U+0085, U+00A0
    if first == 0xC2 { return second == 0x85 || second == 0xA0 ? 2 : 0 }
    guard first >= 0xE1, first <= 0xE3, index + 2 < line.count else { return 0 }
    let third = line[index + 2]
    switch (first, second) {
    case (0xE1, 0x9A): return third == 0x80 ? 3 : 0  // U+1680
    case (0xE2, 0x80):  // U+2000 to U+200A, U+2028, U+2029, U+202F
      return third <= 0x8A || third == 0xA8 || third == 0xA9 || third == 0xAF ? 3 : 0
    case (0xE2, 0x81): return third == 0x9F ? 3 : 0  // U+205F
    case (0xE3, 0x80): return third == 0x80 ? 3 : 0  // U+3000
    default: return 0
    }
  }
}
