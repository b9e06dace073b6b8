// A text that is changed step by step and knows which bytes of the original text its bytes came from.

/// A text and, for each of its bytes, the end of the bytes of the original text that it stands for.
struct AlignedText: Sendable {
  private(set) var bytes: [UInt8] = []
  private(set) var ends: [Int] = []
  /// `true` if an expression needed more steps than are allowed: the text is not the right one.
  private(set) var isExhausted = false

  /// An empty text.
  init() {}

  /// Creates a text from a part of a line; bytes that are not UTF-8 become U+FFFD.
  init(_ line: UnsafeRawBufferPointer, _ range: Range<Int>) {
    let part = UnsafeRawBufferPointer(rebasing: line[range])
    guard !part.allSatisfy({ $0 < 0x80 }), String(validating: part, as: UTF8.self) == nil else {
      bytes = Array(part)
      ends = Array(range.lowerBound + 1..<range.upperBound + 1)
      return
    }
    var index = range.lowerBound
    while index < range.upperBound {
      let (scalar, count) = decodeScalar(line, at: index)
      index += count
      append(scalar, end: index)
    }
  }

  var isEmpty: Bool { bytes.isEmpty }

  /// Adds bytes that stand for the original text up to an end.
  mutating func append(_ new: some Collection<UInt8>, end: Int) {
    bytes.append(contentsOf: new)
    ends.append(contentsOf: repeatElement(end, count: new.count))
  }

  /// Adds a scalar.
  mutating func append(_ scalar: UInt32, end: Int) {
    if scalar < 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: scalar))
      ends.append(end)
    } else {
      append(UTF8.encode(Unicode.Scalar(scalar) ?? "\u{FFFD}").map { Array($0) } ?? [], end: end)
    }
  }

  /// Adds a part of another text.
  mutating func append(_ other: AlignedText, _ range: Range<Int>) {
    bytes.append(contentsOf: other.bytes[range])
    ends.append(contentsOf: other.ends[range])
  }

  /// Returns the end of the original text's bytes that the bytes before an index stand for.
  func end(before index: Int) -> Int? { index > 0 ? ends[index - 1] : nil }

  /// Calls a closure with each scalar, the range of its bytes, and the end that it stands for.
  func forEachScalar(_ body: (_ scalar: UInt32, _ range: Range<Int>, _ end: Int) -> Void) {
    bytes.withUnsafeBytes { text in
      var index = 0
      while index < text.count {
        let (scalar, count) = decodeScalar(text, at: index)
        body(scalar, index..<index + count, ends[index + count - 1])
        index += count
      }
    }
  }

  /// Returns the text with each scalar replaced by none, one or several.
  func mapScalars(_ body: (_ scalar: UInt32, _ add: (UInt32) -> Void) -> Void) -> AlignedText {
    var result = AlignedText()
    result.bytes.reserveCapacity(bytes.count)
    result.ends.reserveCapacity(bytes.count)
    forEachScalar { scalar, _, end in body(scalar) { result.append($0, end: end) } }
    return result
  }

  /// Returns the text with the parts that match a pattern replaced.
  func replacing(_ pattern: TextPattern, with content: [UInt8]) -> AlignedText {
    var result = AlignedText()
    var index = 0
    let isComplete = bytes.withUnsafeBytes { text in
      pattern.forEachMatch(in: text, 0..<text.count) { match in
        result.append(self, index..<match.lowerBound)
        result.append(content, end: ends[match.upperBound - 1])
        index = match.upperBound
      }
    }
    result.append(self, index..<bytes.count)
    result.isExhausted = !isComplete
    return result
  }

  /// Returns the text after a prefix, which stands for nothing in the original text.
  func prepending(_ prefix: [UInt8]) -> AlignedText {
    guard let first = ends.first else { return self }
    var result = AlignedText()
    // The prefix ends where the first byte's own part begins, or within it.
    result.append(prefix, end: first - 1)
    result.append(self, 0..<bytes.count)
    return result
  }

  /// Returns a part of the text.
  func part(_ range: Range<Int>) -> AlignedText {
    var result = AlignedText()
    result.append(self, range)
    return result
  }
}
