// A chart in ASCII characters.

extension Chart {
  /// Returns the lines of the chart, with axes and the names of its curves.
  ///
  /// - Parameters:
  ///   - width: The width of the horizontal axis in characters.
  ///   - height: The height of the vertical axis in lines.
  /// - Returns: The lines, without trailing spaces.
  func terminalLines(width: Int = 64, height: Int = 16) -> [String] {
    var field = [[Character]](
      repeating: Array(repeating: " ", count: width), count: height)
    let column = { (place: Double) in Int((place * Double(width - 1)).rounded()) }
    let row = { (place: Double) in height - 1 - Int((place * Double(height - 1)).rounded()) }
    for mark in visibleMarks {
      switch mark {
      case .x(let number, _):
        guard let place = x.place(of: number) else { continue }
        for line in field.indices { field[line][column(place)] = ":" }
      case .y(let number, _):
        guard let place = y.place(of: number) else { continue }
        for index in field[row(place)].indices { field[row(place)][index] = "-" }
      }
    }
    for (index, curve) in curves.enumerated() {
      for point in curve.points {
        guard let across = x.place(of: point.x), let up = y.place(of: point.y) else { continue }
        field[row(up)][column(across)] = Self.sign(index)
      }
    }
    return [title, ""] + framed(field, row: row, column: column) + [""] + legend
  }

  /// Returns the letter of a curve.
  private static func sign(_ index: Int) -> Character {
    let signs = Array("abcdefghijklmnopqrstuvwxyz")
    return signs[index % signs.count]
  }

  private var legend: [String] {
    var lines = curves.enumerated().map { "  \(Self.sign($0.offset)) \($0.element.name)" }
    for mark in visibleMarks {
      switch mark {
      case .x(_, let name): lines.append("  : \(name)")
      case .y(_, let name): lines.append("  - \(name)")
      }
    }
    return lines
  }

  private func framed(
    _ field: [[Character]], row: (Double) -> Int, column: (Double) -> Int
  ) -> [String] {
    let indent = 8
    var labels = [Int: String]()
    for tick in y.ticks(atMost: 6) {
      if let place = y.place(of: tick) { labels[row(place)] = y.label(tick) }
    }
    var lines = field.enumerated().map { index, signs in
      let label = labels[index] ?? ""
      let line = label.leftPadded(to: indent - 1) + (label.isEmpty ? " |" : " +") + String(signs)
      return line.trimmedEnd
    }
    var axis = [Character](repeating: "-", count: field.first?.count ?? 0)
    var numbers = [Character](repeating: " ", count: axis.count + indent)
    for tick in x.ticks(atMost: 8) {
      guard let place = x.place(of: tick) else { continue }
      axis[column(place)] = "+"
      for (offset, digit) in x.label(tick).enumerated()
      where column(place) + offset < numbers.count {
        numbers[column(place) + offset] = digit
      }
    }
    let margin = String(repeating: " ", count: indent)
    lines.append(margin + "+" + String(axis))
    lines.append((margin + " " + String(numbers)).trimmedEnd)
    return ["  " + y.label] + lines + [margin + " " + x.label]
  }
}

extension String {
  /// Returns the text padded with leading spaces to a width.
  func leftPadded(to width: Int) -> String {
    String(repeating: " ", count: max(0, width - count)) + self
  }

  /// Returns the text padded with trailing spaces to a width.
  func rightPadded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }

  /// The text without trailing spaces.
  fileprivate var trimmedEnd: String {
    String(self[..<(lastIndex { $0 != " " }.map(index(after:)) ?? startIndex)])
  }
}
