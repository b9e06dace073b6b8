// Encodings of texts: UTF-8 is read, and others are refused with the command that converts them.

import UnrollTensors

/// An encoding of two or four bytes a code unit, as editors on Windows write it.
enum WideEncoding: String {
  case utf16 = "UTF-16"
  case utf16LittleEndian = "UTF-16LE"
  case utf16BigEndian = "UTF-16BE"
  case utf32 = "UTF-32"

  /// The bytes that are looked at.
  private static let sampleSize = 1 << 16

  /// Tells the encoding of a text by its first bytes: a byte-order mark, or zero bytes at every other place;
  /// `nil` if it has neither.
  ///
  /// - Parameter start: The first bytes of the text.
  init?(of start: [UInt8]) {
    if start.starts(with: [0xFF, 0xFE, 0, 0]) || start.starts(with: [0, 0, 0xFE, 0xFF]) {
      self = .utf32
      return
    }
    if start.starts(with: [0xFF, 0xFE]) || start.starts(with: [0xFE, 0xFF]) {
      self = .utf16
      return
    }
    let sample = start.prefix(Self.sampleSize)
    let zeros = sample.indices.filter { sample[$0] == 0 }
    let odd = zeros.count { $0 % 2 == 1 }
    // Spaces, digits and ends of lines have a zero byte in a text of any script.
    guard zeros.count > 1, 16 * zeros.count > sample.count, odd == 0 || odd == zeros.count else {
      return nil
    }
    self = odd == 0 ? .utf16BigEndian : .utf16LittleEndian
  }

  /// Returns the refusal of a text.
  ///
  /// - Parameter path: The text's.
  /// - Returns: The error, with the command that converts the text.
  func error(path: String) -> TextError {
    let isMarked = self == .utf16 || self == .utf32
    return TextError(
      path: path, line: nil, expected: "UTF-8",
      found: isMarked
        ? "\(rawValue), by its byte-order mark" : "\(rawValue), by the zero bytes in it",
      fix: "convert it: "
        + TextCommand("iconv -f \(rawValue) -t UTF-8").reading(path))
  }
}

/// A command of the shell that changes a text.
struct TextCommand {
  private let command: String

  /// Creates a command.
  ///
  /// - Parameter command: A filter, from standard input to standard output.
  init(_ command: String) { self.command = command }

  /// Returns the command in words, between backticks, with a text as its input.
  ///
  /// - Parameter path: The text's: a file, a `.gz` file, or `-` for standard input.
  /// - Returns: The command, which writes `new.txt`; of standard input one to pass it through.
  func reading(_ path: String) -> String {
    guard path != "-" else { return "`\(command)` in front of unroll" }
    let quoted = "'" + printable(path).replacing("'", with: "'\\''") + "'"
    return path.hasSuffix(".gz")
      ? "`gzip -dc \(quoted) | \(command) > new.txt`" : "`\(command) < \(quoted) > new.txt`"
  }
}

extension TextError {
  /// The refusal of a text that is no UTF-8.
  ///
  /// - Parameters:
  ///   - path: The text's path.
  ///   - line: The line.
  package init(otherEncodingIn path: String, line: Int) {
    self.init(
      path: path, line: line, expected: "UTF-8", found: "other bytes",
      fix: "convert the text, for example with `iconv -f LATIN1 -t UTF-8`")
  }
}

/// Refuses a line that is not UTF-8, as Python's text files do.
///
/// - Throws: `TextError` that names the line.
func checkUTF8(_ line: TextLine, path: String) throws(TextError) {
  // ASCII is most of the text and needs no decoding.
  guard !line.bytes.allSatisfy({ $0 < 0x80 }) else { return }
  guard String(validating: line.bytes, as: UTF8.self) == nil else { return }
  throw TextError(otherEncodingIn: path, line: line.number)
}
