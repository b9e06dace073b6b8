// Causes of text that a vocabulary lacks: how a text was written, rather than what it says.

import Foundation
import UnrollTensors

/// A form of a text that makes parts of it unknown, with the command that changes it.
enum UnknownTextCause {
  /// Lines that end in CR LF, of a vocabulary without a carriage return.
  case windowsLineEnds
  /// Carriage returns inside of lines, as line ends of old systems, of a vocabulary without one.
  case carriageReturns
  /// Capitals, of a vocabulary in lower case.
  case capitals
  /// Letters and accents as characters of their own (NFD), of a vocabulary with composed ones.
  case decomposed

  /// Returns the cause why parts of a line are unknown.
  ///
  /// - Parameters:
  ///   - unknown: The parts.
  ///   - bytes: The line.
  ///   - isUnknown: Says if a text has a part that the vocabulary lacks.
  /// - Returns: `nil` if it is none of these.
  static func of(_ unknown: String, in bytes: [UInt8], isUnknown: ([UInt8]) -> Bool) -> Self? {
    guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
    if unknown.utf8.contains(carriageReturn) {
      return bytes.endsInCarriageReturn ? .windowsLineEnds : .carriageReturns
    }
    let lowered = Array(text.lowercased().utf8)
    if lowered != bytes, !isUnknown(lowered) { return .capitals }
    let composed = Array(NormalForm.nfc.of(text).utf8)
    return composed != bytes && !isUnknown(composed) ? .decomposed : nil
  }

  /// The cause in words.
  var found: String {
    switch self {
    case .windowsLineEnds: "lines that end in CR LF, as on Windows"
    case .carriageReturns: "carriage returns (CR) inside of its lines"
    case .capitals: "capitals, and the vocabulary is in lower case"
    case .decomposed: "accents as characters of their own (NFD)"
    }
  }

  /// Returns the command that writes the text in the other form.
  ///
  /// - Parameter path: The text's.
  /// - Returns: The command in words, between backticks.
  func fix(_ path: String) -> String {
    switch self {
    case .windowsLineEnds:
      return "take the carriage returns out: " + TextCommand("tr -d '\\r'").reading(path)
    case .carriageReturns:
      return "make line feeds of them: " + TextCommand("tr '\\r' '\\n'").reading(path)
    case .capitals:
      return "for evaluate and score: --lowercase; else make them small: "
        + TextCommand("tr '[:upper:]' '[:lower:]'").reading(path)
    case .decomposed:
      let script =
        "import sys, unicodedata as u; b = sys.stdin.buffer.read().decode(); "
        + "sys.stdout.buffer.write(u.normalize('NFC', b).encode())"
      return "compose them: " + TextCommand("python3 -c \"\(script)\"").reading(path)
        + "; for evaluate and score --normalize nfc does it"
    }
  }
}

private let carriageReturn = UInt8(ascii: "\r")

extension [UInt8] {
  /// `true` for a line of CR LF, with or without its line feed.
  fileprivate var endsInCarriageReturn: Bool {
    (last == UInt8(ascii: "\n") ? dropLast() : self[...]).last == carriageReturn
  }
}

/// Returns a text of a line for a message, where a carriage return must be seen.
package func visible(_ text: String) -> String {
  text.unicodeScalars.reduce(into: "") { result, scalar in
    switch scalar {
    case "\r": result += "\\r"
    case "\n": result += "\\n"
    default: result.unicodeScalars.append(scalar)
    }
  }
}

extension Encoder {
  /// Returns the cause that makes much of a text unknown: carriage returns of CR LF, or capitals.
  ///
  /// A text is not refused for them if the vocabulary has a token for unknown text.
  ///
  /// - Parameters:
  ///   - path: The text; one that can be read only once is not looked into.
  ///   - isLowered: `true` if capitals are made small before the text is cut.
  /// - Returns: The finding, the parts that are unknown, and the command that changes the text; `nil` if most of the
  ///   first lines have another cause or none, or the text cannot be read.
  public func unknownTextCause(inText path: String, isLowered: Bool) -> (
    found: String, parts: String, fix: String
  )? {
    guard vocabulary.unknownID != nil, var lines = LineReader.peeking(into: path, for: tokenizer)
    else { return nil }
    var seen = 0
    var withReturns = 0
    var withUnknown = 0
    var curedByLowering = 0
    while seen < 20, let line = try? lines.next() {
      guard line.words.count > 0 else { continue }
      seen += 1
      let unknown = unknownTexts(in: line)
      guard !unknown.isEmpty else { continue }
      withUnknown += 1
      if line.bytes.endsInCarriageReturn,
        unknown.contains(where: { $0.utf8.contains(carriageReturn) })
      {
        withReturns += 1
      }
      var lowered = line
      lowered.bytes = Array(String(decoding: line.bytes, as: UTF8.self).lowercased().utf8)
      if lowered.bytes != line.bytes, unknownTexts(in: lowered).count < unknown.count {
        curedByLowering += 1
      }
    }
    if tokenizer.lineEnds != .universal, 2 * withReturns > seen {
      let cause = UnknownTextCause.windowsLineEnds
      return (cause.found, "the carriage returns", cause.fix(path))
    }
    guard !isLowered, 2 * curedByLowering > withUnknown else { return nil }
    let cause = UnknownTextCause.capitals
    return (cause.found, "words with them", cause.fix(path))
  }

  /// Returns the same about a text in CR LF whose carriage returns are tokens of the vocabulary.
  ///
  /// - Parameter path: The text, of which the first line is looked at.
  /// - Returns: The finding and the command that changes the text; `nil` if its lines end otherwise.
  public func knownCarriageReturns(inText path: String) -> (found: String, fix: String)? {
    guard var lines = LineReader.peeking(into: path, for: tokenizer), let line = try? lines.next(),
      line.bytes.endsInCarriageReturn,
      !unknownTexts(in: line).contains(where: { $0.utf8.contains(carriageReturn) })
    else { return nil }
    let cause = UnknownTextCause.windowsLineEnds
    return (cause.found, cause.fix(path))
  }

  /// Returns the cause why a line is refused, and the command that cures it.
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
