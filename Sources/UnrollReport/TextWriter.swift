// Figures in the characters of a terminal.

import Foundation
import UnrollTensors

/// The characters that a figure is drawn with.
package enum Characters: Sendable {
  case ascii
  case unicode

  fileprivate var across: Character { self == .ascii ? "-" : "─" }
  fileprivate var upright: Character { self == .ascii ? "|" : "│" }
  fileprivate var corner: Character { self == .ascii ? "+" : "└" }
  fileprivate var tickBelow: Character { self == .ascii ? "+" : "┴" }
  fileprivate var tickLeft: Character { self == .ascii ? "+" : "┤" }
  fileprivate var markAcross: Character { self == .ascii ? "-" : "╌" }
  fileprivate var markUpright: Character { self == .ascii ? ":" : "┆" }
  fileprivate var ring: Character { self == .ascii ? "." : "·" }

  /// Returns a bar upward or to the right of a length in characters.
  fileprivate func bar(_ length: Double, isUpright: Bool) -> [Character] {
    guard self == .unicode else {
      return Array(repeating: "#", count: Int(length.rounded()))
    }
    let eighths = Int((length * 8).rounded())
    let parts: [Character] =
      isUpright
      ? [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇"] : [" ", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
    let rest = eighths % 8
    return Array(repeating: "█", count: eighths / 8) + (rest > 0 ? [parts[rest]] : [])
  }
}

extension Figure {
  /// Returns the lines of the figure, with axes and the names of its series.
  ///
  /// - Parameters:
  ///   - characters: The characters.
  ///   - width: The width of the horizontal axis in characters.
  ///   - height: The height of the vertical axis in lines.
  /// - Returns: The lines, without trailing spaces.
  package func textLines(
    _ characters: Characters = .ascii, width: Int = 64, height: Int = 16
  ) -> [String] {
    if series.first?.style == .bars { return barLines(characters, width: width) }
    let height = isSquare ? width / 2 : height
    var field = TextField(figure: self, characters: characters, width: width, height: height)
    for mark in visibleMarks { field.draw(mark) }
    for (index, series) in series.enumerated() { field.draw(series, Self.sign(index)) }
    return [title, ""] + field.framed + (hasLegend ? [""] + legend(characters) : [])
  }

  /// Returns the letter of a series.
  private static func sign(_ index: Int) -> Character {
    let signs = Array("abcdefghijklmnopqrstuvwxyz")
    return signs[index % signs.count]
  }

  private func legend(_ characters: Characters) -> [String] {
    series.enumerated().map { "  \(Self.sign($0.offset)) \($0.element.name)" }
      + visibleMarks.map { mark in
        switch mark {
        case .x(_, let name): "  \(characters.markUpright) \(name)"
        case .y(_, let name): "  \(characters.markAcross) \(name)"
        case .unitCircle(let name): "  \(characters.ring) \(name)"
        }
      }
  }

  private func barLines(_ characters: Characters, width: Int) -> [String] {
    let points = series.first?.points ?? []
    let names = points.map { y.label($0.y) }
    let indent = names.map(\.count).max() ?? 0
    // Long names take their room from the bars.
    let width = Double(max(10, width - max(0, indent - 8)))
    let rows = zip(points, names).map { point, name in
      let length = (x.place(of: point.x) ?? 0) * width
      let bar = String(characters.bar(length, isUpright: false))
      return "  \(name.rightPadded(to: indent)) \(characters.upright)\(bar) "
        + rounded(point.x, digits: 4)
    }
    return [title, ""] + rows + ["", "  " + x.label]
  }
}

/// The characters within the axes of a figure.
private struct TextField {
  let figure: Figure
  let characters: Characters
  let width: Int
  let height: Int
  private var signs: [[Character]]

  init(figure: Figure, characters: Characters, width: Int, height: Int) {
    self.figure = figure
    self.characters = characters
    self.width = width
    self.height = height
    signs = Array(repeating: Array(repeating: " ", count: width), count: height)
  }

  private func column(_ number: Double) -> Int? {
    figure.x.place(of: number).map { Int(($0 * Double(width - 1)).rounded()) }
  }

  private func row(_ number: Double) -> Int? {
    figure.y.place(of: number).map { height - 1 - Int(($0 * Double(height - 1)).rounded()) }
  }

  // MARK: Drawing

  mutating func draw(_ mark: Figure.Mark) {
    switch mark {
    case .x(let number, _):
      guard let column = column(number) else { return }
      for row in signs.indices { signs[row][column] = characters.markUpright }
    case .y(let number, _):
      guard let row = row(number) else { return }
      for column in signs[row].indices { signs[row][column] = characters.markAcross }
    case .unitCircle:
      for step in 0..<(4 * width) {
        let angle = 2 * Double.pi * Double(step) / Double(4 * width)
        put(characters.ring, cos(angle), sin(angle))
      }
    }
  }

  mutating func draw(_ series: Figure.Series, _ sign: Character) {
    guard case .columns(let width) = series.style else {
      for point in series.points { put(sign, point.x, point.y) }
      return
    }
    for point in series.points { drawColumn(point, width) }
  }

  private mutating func put(_ sign: Character, _ x: Double, _ y: Double) {
    guard let column = column(x), let row = row(y) else { return }
    signs[row][column] = sign
  }

  private mutating func drawColumn(_ point: Figure.Point, _ width: Double) {
    guard let place = figure.y.place(of: point.y),
      let low = column(max(point.x - width / 2, figure.x.range.lowerBound)),
      let high = column(min(point.x + width / 2, figure.x.range.upperBound))
    else { return }
    let bar = characters.bar(place * Double(height), isUpright: true)
    for column in low...max(low, high - 1) {
      for (level, sign) in bar.enumerated() where level < height {
        signs[height - 1 - level][column] = sign
      }
    }
  }

  // MARK: Frame

  /// The lines with axes and their labels.
  var framed: [String] {
    let indent = 8
    var labels = [Int: String]()
    for tick in figure.y.ticks(atMost: 6) {
      if let row = row(tick) { labels[row] = figure.y.label(tick) }
    }
    var lines = signs.enumerated().map { index, signs in
      let label = labels[index] ?? ""
      let edge = label.isEmpty ? characters.upright : characters.tickLeft
      return (label.leftPadded(to: indent - 1) + " \(edge)" + String(signs)).trimmedEnd
    }
    var axis = [Character](repeating: characters.across, count: width)
    var numbers = [Character](repeating: " ", count: width + indent)
    for tick in figure.x.ticks(atMost: 8) {
      guard let column = column(tick) else { continue }
      axis[column] = characters.tickBelow
      for (offset, digit) in figure.x.label(tick).enumerated()
      where column + offset < numbers.count {
        numbers[column + offset] = digit
      }
    }
    let margin = String(repeating: " ", count: indent)
    lines.append(margin + "\(characters.corner)" + String(axis))
    lines.append((margin + " " + String(numbers)).trimmedEnd)
    return ["  " + figure.y.label] + lines + [margin + " " + figure.x.label]
  }
}

extension String {
  /// Returns the text padded with leading spaces to a width.
  package func leftPadded(to width: Int) -> String {
    String(repeating: " ", count: max(0, width - count)) + self
  }

  /// Returns the text padded with trailing spaces to a width.
  package func rightPadded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }

  /// The text without trailing spaces.
  fileprivate var trimmedEnd: String {
    String(self[..<(lastIndex { $0 != " " }.map(index(after:)) ?? startIndex)])
  }
}
