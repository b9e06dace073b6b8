// Output of the tool: results on standard output, notes and progress on standard error.

import CProcess
import Foundation
import UnrollFormat
import UnrollReport
import UnrollTensors

enum Output {
  /// Prints a line of the result.
  static func result(_ line: String) {
    if !Launcher.isQuiet { print(line) }
  }

  /// Prints decoded text immediately; on a terminal, control characters are removed.
  ///
  /// - Throws: `FileError` if it cannot be written.
  static func text(_ bytes: [UInt8]) throws(FileError) {
    let isTerminal = isatty(STDOUT_FILENO) == 1
    var shown = bytes
    if isTerminal {
      let text = String(decoding: bytes, as: UTF8.self).unicodeScalars.filter {
        $0.properties.generalCategory != .control || $0 == "\t" || $0 == "\n"
      }
      shown = Array(String(String.UnicodeScalarView(text)).utf8)
    }
    try lines(shown)
  }

  /// Writes lines of the result at once; all others must be, too, or come behind them.
  ///
  /// - Throws: `FileError` if they cannot be written.
  static func lines(_ bytes: [UInt8]) throws(FileError) {
    guard writeAll(bytes, to: STDOUT_FILENO) else {
      throw FileError("write results", path: "standard output")
    }
  }

  /// Prints a note on standard error.
  static func note(_ line: String) {
    if !Launcher.isQuiet { writeToStandardError(line + "\n") }
  }

  /// Prints an error on standard error, with the rank and host of a process that leaves notes to rank 0.
  static func failure(_ error: any Error) {
    writeToStandardError("unroll: \(Launcher.isQuiet ? Launcher.name + ": " : "")\(error)\n")
  }

  /// Writes text to standard error, ignoring failures.
  static func writeToStandardError(_ text: String) {
    writeAll(Array(text.utf8), to: STDERR_FILENO)
  }

  /// Prints a value as one JSON object with keys in snake_case.
  ///
  /// - Throws: `EncodingError` if a number is not finite.
  static func json(
    _ value: some Encodable, keys: JSONEncoder.KeyEncodingStrategy = .convertToSnakeCase
  ) throws {
    result(try encoded(value, keys: keys))
  }

  /// Prints a value as a JSON object on one line.
  ///
  /// - Throws: `EncodingError` if a number is not finite.
  static func jsonLine(_ value: some Encodable) throws {
    result(try encoded(value, isPretty: false))
  }

  /// Returns a value as the lines of one JSON object.
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
    // Most results are plain ASCII.
    if text.utf8.allSatisfy({ (0x20..<0x7F).contains($0) || $0 == 0x0A }) { return text }
    // JSON allows these characters in strings, but they control terminals: those that `printable`
    // escapes.
    return text.unicodeScalars.map { scalar in
      switch scalar.properties.generalCategory {
      case .control where scalar != "\n", .format, .lineSeparator, .paragraphSeparator:
        scalar.utf16.map { String(printf: "\\u%04x", Int($0)) }.joined()
      default: String(scalar)
      }
    }.joined()
  }

  /// Writes a text into a file atomically.
  ///
  /// - Throws: `FileError` if that fails, or if a file exists and is not to be replaced.
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

  /// Flushes all results; reports a full disk behind standard output.
  ///
  /// - Throws: `FileError` if they could not be written.
  static func finish() throws(FileError) {
    guard unroll_finish_stdout() == 0 else {
      throw FileError("write results", path: "standard output")
    }
  }

  /// Returns a number with digits grouped by commas, such as `18,328`.
  static func grouped(_ number: Int) -> String { UnrollReport.grouped(number) }
}

extension Output {
  /// Returns a time in readable units, as `8.5 s`, `42 s`, `3 min 5 s` or `2 h 10 min`.
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite else { return "unknown time" }
    guard seconds >= 10 else { return String(printf: "%.1f s", max(0, seconds)) }
    let whole = Int(min(seconds.rounded(), 1e15))
    let (hours, minutes) = (whole / 3600, whole / 60 % 60)
    if hours > 0 { return "\(grouped(hours)) h \(minutes) min" }
    return minutes > 0 ? "\(minutes) min \(whole % 60) s" : "\(whole) s"
  }

  /// Returns the number of columns of the terminal behind standard error; 80 if it does not say.
  static var terminalWidth: Int { columns(ofTerminal: STDERR_FILENO) }

  /// Returns the number of columns of a terminal; 80 if it does not say.
  static func columns(ofTerminal descriptor: Int32) -> Int {
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// Returns a line cut to a number of columns; most characters take one.
  static func fitted(_ line: String, columns: Int) -> String {
    line.count <= columns ? line : String(line.prefix(max(0, columns - 1))) + "…"
  }
}

/// A value of JSON that is `null`, not absent, where there is none.
struct OrNull<Value: Encodable>: Encodable {
  let value: Value?

  init(_ value: Value?) { self.value = value }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(value)
  }
}

/// Progress of a long task on standard error, starting with the third second.
struct Progress {
  private let start = ContinuousClock.now
  private var nextReport = ContinuousClock.now + .seconds(2)
  private var hasReported = false
  private let isTerminal = isatty(STDERR_FILENO) == 1

  /// The seconds since the task began.
  var seconds: Double { start.duration(to: .now) / .seconds(1) }

  /// Shows a line periodically: every half second on a terminal, every ten seconds elsewhere.
  mutating func report(_ line: (_ seconds: Double) -> String) {
    guard ContinuousClock.now >= nextReport, !Launcher.isQuiet else { return }
    nextReport = .now + (isTerminal ? .milliseconds(500) : .seconds(10))
    hasReported = true
    var text = line(seconds)
    // The last column stays free: some terminals go to the next line when it is written.
    if isTerminal { text = Output.fitted(text, columns: Output.terminalWidth - 1) }
    Output.writeToStandardError(isTerminal ? "\r\u{1B}[K\(text)" : text + "\n")
  }

  /// Shows the number of things that are done, and the share of the input that was read.
  mutating func report(_ count: Int, _ unit: String, _ fraction: Double?) {
    report { _ in
      let share = fraction.map { String(printf: ", %.0f %%", 100 * $0) } ?? ""
      return "\(Output.grouped(count)) \(unit)\(share)"
    }
  }

  /// Shows progress and elapsed time while a closure runs, starting with the third second.
  ///
  /// - Returns: The result of the closure.
  /// - Throws: The errors of the closure.
  static func during<Result>(
    _ task: String, _ body: () throws -> Result
  ) rethrows -> Result {
    guard !Launcher.isQuiet else { return try body() }
    let isTerminal = isatty(STDERR_FILENO) == 1
    // The seconds behind the task take up to ten columns.
    let columns = isTerminal ? min(60, Output.terminalWidth - 11) : 60
    unroll_begin_task(Output.fitted(printable(task), columns: columns), isTerminal)
    defer { unroll_end_task() }
    return try body()
  }

  /// Removes the progress line from a terminal.
  func finish() {
    if hasReported && isTerminal { Output.writeToStandardError("\r\u{1B}[K") }
  }
}
