// Tables, labels and numbers of reports that people read.

import Foundation
import UnrollReport
import UnrollTensors

/// The layout of a report.
enum TextLayout {
  /// The width that reports fit, unless a name or token is longer.
  static let width = 80

  /// The width of the terminal behind standard output; `nil` if there is none.
  static let terminalWidth: Int? = {
    isatty(STDOUT_FILENO) == 1 ? Output.columns(ofTerminal: STDOUT_FILENO) : nil
  }()

  /// Returns the lines of a table with aligned columns, two spaces apart.
  ///
  /// - Parameters:
  ///   - head: The names of the columns; empty for none.
  ///   - rows: The cells of each row.
  ///   - textColumns: The columns that are aligned to the left; the others are numbers.
  /// - Returns: The lines, without trailing spaces.
  static func table(
    _ head: [String], _ rows: [[String]], textColumns: Set<Int> = []
  ) -> [String] {
    let all = (head.isEmpty ? [] : [head]) + rows
    let columns = all.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in
      all.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    return all.map { row in
      let cells = row.indices.map { column in
        textColumns.contains(column)
          ? row[column].rightPadded(to: widths[column])
          : row[column].leftPadded(to: widths[column])
      }
      let line = cells.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed())
    }
  }

  /// Returns parts behind a label, broken between parts so that the lines fit the width.
  ///
  /// - Parameters:
  ///   - label: The label of the first line; the other lines are indented by its width.
  ///   - parts: The parts.
  ///   - separator: The text between two parts; its trailing spaces are left out at the end of a line.
  ///   - width: The width.
  /// - Returns: The lines.
  static func wrapped(
    _ label: String, _ parts: [String], separator: String = ", ", width: Int = width
  ) -> [String] {
    let indent = String(repeating: " ", count: label.count)
    let ending = String(separator.reversed().drop { $0 == " " }.reversed())
    var lines: [String] = []
    var line = label
    var isEmpty = true
    for (index, part) in parts.enumerated() {
      let rest = index == parts.count - 1 ? "" : ending
      let longer = line + (isEmpty ? "" : separator) + part
      if !isEmpty, columns(of: longer + rest) > width {
        lines.append(line + ending)
        line = indent + part
      } else {
        line = longer
      }
      isEmpty = false
    }
    return lines + [line]
  }

  /// Returns the words of a text, the parts of a wrapped paragraph.
  static func words(of text: String) -> [String] { text.split(separator: " ").map(String.init) }

  /// Returns a line that fits the terminal; unchanged without one.
  ///
  /// A SHA-256 in a line that is too long is shortened first.
  ///
  /// - Parameters:
  ///   - line: The line.
  ///   - width: The width of the terminal, or `nil`.
  /// - Returns: The line, cut with "…" where it is too long.
  static func fitted(_ line: String, to width: Int?) -> String {
    guard let width, columns(of: line) > width else { return line }
    let line = line.replacing(#/\b([0-9a-f]{12})[0-9a-f]{52}\b/#) { "\($0.1)…" }
    guard columns(of: line) > width else { return line }
    var kept = ""
    var used = 0
    for character in line {
      used += columns(of: String(character))
      guard used < width else { break }
      kept.append(character)
    }
    return kept + "…"
  }

  /// Returns the columns of a terminal that a text takes: two for a character of East Asian scripts
  /// or an emoji.
  private static func columns(of text: String) -> Int {
    text.reduce(0) { sum, character in
      guard let scalar = character.unicodeScalars.first else { return sum }
      return sum + (wide.contains { $0.contains(scalar.value) } ? 2 : 1)
    }
  }

  /// The blocks of wide characters.
  private static let wide: [ClosedRange<UInt32>] = [
    0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF,
    0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F, 0x1F900...0x1F9FF,
    0x20000...0x3FFFD,
  ]

  /// Returns a number rounded for people.
  ///
  /// One that came from a float32 is the shortest decimal that gives the same float32, so that
  /// 0.009999999776482582 is `0.01`; others have six digits.
  static func number(_ value: Double) -> String {
    guard value.isFinite else { return "\(value)" }
    let single = Float(value)
    guard Double(single) == value else { return String(printf: "%.6g", value) }
    if value == value.rounded(), abs(value) < 1e15 { return String(printf: "%.0f", value) }
    return "\(single)"
  }
}
