// A part of a text, for work that is shared out over several programs.

import UnrollTensors

/// One of n parts of a text: the lines that begin in the k-th of n equal ranges of its bytes.
public struct TextPart: Sendable, Hashable, CustomStringConvertible {
  /// The number of the part, from 1.
  public let index: Int
  /// The number of parts.
  public let count: Int

  /// Creates a part; `nil` unless 1 <= index <= count.
  public init?(_ index: Int, of count: Int) {
    guard count >= 1, 1...count ~= index else { return nil }
    (self.index, self.count) = (index, count)
  }

  /// Creates a part from `k/n`; `nil` for other texts.
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
    guard parts.count == 2, let index = parts[0], let count = parts[1] else { return nil }
    self.init(index, of: count)
  }

  /// The part as `k/n`.
  public var description: String { "\(index)/\(count)" }

  /// Returns the bytes of a text in which the lines of the part begin.
  public func range(of size: Int) -> Range<Int> {
    // The product is exact for any size of a file and any number of parts that there is.
    func bound(_ index: Int) -> Int {
      let (high, low) = size.multipliedFullWidth(by: index)
      return count.dividingFullWidth((high, low)).quotient
    }
    return bound(index - 1)..<bound(index)
  }
}

extension LineReader {
  /// Skips the lines before a part, and ends behind its last line.
  ///
  /// Lines keep their numbers. To count them, the text before the part is read, but not twice: a reader goes on from
  /// one part to a later one.
  ///
  /// - Parameter part: The part, behind all that were read.
  /// - Throws: `TextError` if the text is no plain file, or cannot be read.
  package mutating func restrict(to part: TextPart) throws(TextError) {
    guard let size = plainSize else {
      throw TextError(
        path: path, line: nil, expected: "a plain file, of which \(part) is a part",
        found: path == "-" ? "standard input" : "compressed data or a pipe",
        fix: path == "-"
          ? "write it into a file, or leave --part out"
          : "decompress it into a file, or leave --part out")
    }
    let range = part.range(of: size)
    end = range.upperBound
    var rest = range.lowerBound - 1 - offset
    // The next line begins in the part or behind it.
    guard rest >= 0 else { return }
    var wasReturn = false
    while rest > 0 {
      let bytes = try peek(min(rest, 1 << 16))
      guard !bytes.isEmpty else { return }
      for byte in bytes {
        // A carriage return ends a line unless a line feed follows, which ends it then.
        if wasReturn && byte != 0x0A { skipLine() }
        wasReturn = byte == 0x0D && endsAtReturns
        if byte == 0x0A { skipLine() }
      }
      rest -= try read(bytes.count).count
    }
    if wasReturn, try peek(1).first != 0x0A { skipLine() }
    // The line of the last byte before the part began before it.
    _ = try next()
  }
}
