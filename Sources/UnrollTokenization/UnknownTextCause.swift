// Causes of text that a vocabulary lacks: how a text was written, rather than what it says.

import Foundation
import UnrollTensors

/// A form of a text that makes parts of it unknown, with the command that changes it.
enum UnknownTextCause {
  /// Lines that end in CR LF, of a vocabulary without a carriage return.
  case carriageReturns
  /// Letters and accents as characters of their own (NFD), of a vocabulary with composed ones.
  case decomposed

  /// The cause why parts of a line are unknown.
  ///
  /// - Parameters:
  ///   - unknown: The parts.
  ///   - bytes: The line.
  ///   - isUnknown: Says if a text has a part that the vocabulary lacks.
  /// - Returns: `nil` if it is none of these.
  static func of(_ unknown: String, in bytes: [UInt8], isUnknown: ([UInt8]) -> Bool) -> Self? {
    guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
    if unknown.unicodeScalars.contains("\r") || unknown.isEmpty && bytes.contains(0x0D) {
      return .carriageReturns
    }
    let composed = Array(text.precomposedStringWithCanonicalMapping.utf8)
    return composed != bytes && !isUnknown(composed) ? .decomposed : nil
  }

  /// The cause in words.
  var found: String {
    switch self {
    case .carriageReturns: "lines that end in CR LF, as on Windows"
    case .decomposed: "accents as characters of their own (NFD)"
    }
  }

  /// The command that writes the text in the other form.
  ///
  /// - Parameter path: The text's.
  /// - Returns: The command in words, between backticks.
  func fix(_ path: String) -> String {
    let quoted = "'" + printable(path).replacing("'", with: "'\\''") + "'"
    switch self {
    case .carriageReturns:
      return "take the carriage returns out: `tr -d '\\r' < \(quoted) > new.txt`"
    case .decomposed:
      let script =
        "import sys, unicodedata as u; b = sys.stdin.buffer.read().decode(); "
        + "sys.stdout.buffer.write(u.normalize('NFC', b).encode())"
      return "compose them: `python3 -c \"\(script)\" < \(quoted) > new.txt`; for evaluate and "
        + "score --normalize nfc does it"
    }
  }
}

extension Encoder {
  /// The cause why a line is refused, and the command that cures it.
  ///
  /// - Parameters:
  ///   - line: The line.
  ///   - path: The text's path.
  /// - Returns: `nil` if the line is not refused, or the cause is not how it was written.
  public func cause(ofRefused line: TextLine, path: String) -> (found: String, fix: String)? {
    guard let unknown = missingWords(in: line).first else { return nil }
    let cause = UnknownTextCause.of(unknown, in: line.bytes) { bytes in
      !missingWords(in: TextLine(bytes: bytes, terminatorCount: 0, number: line.number)).isEmpty
    }
    return cause.map { ($0.found, $0.fix(path)) }
  }
}
