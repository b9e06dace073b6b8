// What the tool prints: results on standard output, notes and progress on standard error.

import CProcess
import Foundation
import UnrollFormat
import UnrollTensors

enum Output {
  /// Prints a line of the result.
  static func result(_ line: String) {
    print(line)
  }

  /// Prints text as it comes; what would steer a terminal is left out there.
  ///
  /// - Throws: `FileError` if it cannot be written.
  static func text(_ bytes: [UInt8]) throws(FileError) {
    let isTerminal = isatty(STDOUT_FILENO) == 1
    var shown = Data(bytes)
    if isTerminal {
      let text = String(decoding: bytes, as: UTF8.self).unicodeScalars.filter {
        $0.properties.generalCategory != .control || $0 == "\t" || $0 == "\n"
      }
      shown = Data(String(String.UnicodeScalarView(text)).utf8)
    }
    do {
      try FileHandle.standardOutput.write(contentsOf: shown)
    } catch {
      throw FileError("write results", path: "standard output")
    }
  }

  /// Prints a line for the person at the terminal.
  static func note(_ line: String) {
    writeToStandardError(line + "\n")
  }

  /// Writes text where a failure to do so is nobody's concern.
  static func writeToStandardError(_ text: String) {
    try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
  }

  /// Prints a value as one JSON object; its keys are in snake_case, as the names in a file are.
  ///
  /// - Throws: `EncodingError` if a number is not finite.
  static func json(
    _ value: some Encodable, keys: JSONEncoder.KeyEncodingStrategy = .convertToSnakeCase
  ) throws {
    result(try encoded(value, keys: keys))
  }

  /// Prints a value as one JSON object in one line.
  ///
  /// - Throws: `EncodingError` if a number is not finite.
  static func jsonLine(_ value: some Encodable) throws {
    result(try encoded(value, isPretty: false))
  }

  /// A value as the lines of one JSON object.
  ///
  /// - Throws: `EncodingError` if a number is not finite.
  static func encoded(
    _ value: some Encodable, keys: JSONEncoder.KeyEncodingStrategy = .convertToSnakeCase,
    isPretty: Bool = true
  ) throws -> String {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = keys
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    if isPretty { encoder.outputFormatting.insert(.prettyPrinted) }
    let text = String(decoding: try encoder.encode(value), as: UTF8.self)
    // JSON allows them in texts, but they steer terminals: those that `printable` escapes.
    return text.unicodeScalars.map { scalar in
      switch scalar.properties.generalCategory {
      case .control where scalar != "\n", .format, .lineSeparator, .paragraphSeparator:
        scalar.utf16.map { String(format: "\\u%04x", Int($0)) }.joined()
      default: String(scalar)
      }
    }.joined()
  }

  /// Writes a text into a file, whole or not at all.
  ///
  /// - Throws: `FileError` if that fails, or if a file is there and is not to be replaced.
  static func write(_ text: String, to path: String, replacing: Bool) throws {
    let file = try AtomicFile(path, replacing: replacing)
    do {
      try Data(text.utf8).write(to: URL(filePath: file.temporaryPath))
      try file.commit()
    } catch {
      file.discard()
      throw error
    }
  }

  /// Hands all results over; a full disk behind standard output is reported here.
  ///
  /// - Throws: `FileError` if they could not all be written.
  static func finish() throws(FileError) {
    guard unroll_finish_stdout() == 0 else {
      throw FileError("write results", path: "standard output")
    }
  }

  /// A number with thin groups of three digits, as `18,328`.
  static func grouped(_ number: Int) -> String {
    var digits = String(number.magnitude)[...]
    var groups: [Substring] = []
    while digits.count > 3 {
      groups.append(digits.suffix(3))
      digits = digits.dropLast(3)
    }
    groups.append(digits)
    return (number < 0 ? "-" : "") + groups.reversed().joined(separator: ",")
  }
}

/// Progress of a long task on standard error, from the third second on.
struct Progress {
  private let start = ContinuousClock.now
  private var nextReport = ContinuousClock.now + .seconds(2)
  private var hasReported = false
  private let isTerminal = isatty(STDERR_FILENO) == 1

  /// The seconds since the task began.
  var seconds: Double { start.duration(to: .now) / .seconds(1) }

  /// Shows a line, now and then: each half second on a terminal, each ten elsewhere.
  mutating func report(_ line: (_ seconds: Double) -> String) {
    guard ContinuousClock.now >= nextReport else { return }
    nextReport = .now + (isTerminal ? .milliseconds(500) : .seconds(10))
    hasReported = true
    let text = line(seconds)
    Output.writeToStandardError(isTerminal ? "\r\u{1B}[K\(text)" : text + "\n")
  }

  /// Shows what is done and for how long, from the third second on, while a closure runs.
  ///
  /// - Returns: What the closure returns.
  /// - Throws: What the closure throws.
  static func during<Result>(
    _ task: String, _ body: () throws -> Result
  ) rethrows -> Result {
    unroll_begin_task(String(printable(task).prefix(60)), isatty(STDERR_FILENO) == 1)
    defer { unroll_end_task() }
    return try body()
  }

  /// Removes the line from a terminal.
  func finish() {
    if hasReported && isTerminal { Output.writeToStandardError("\r\u{1B}[K") }
  }
}
