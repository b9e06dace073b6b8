// Small histograms below each other, such as one of each parameter.

import UnrollTensors

/// Histograms beside their names, each with its own range and height.
package struct HistogramRows: Sendable {
  package var title: String
  /// The description, for those who do not see the drawing.
  package var summary: String
  /// The counted number.
  package var label: String
  package var rows: [Row]

  package struct Row: Sendable {
    package var name: String
    /// The smallest and the largest number.
    package var range: ClosedRange<Double>
    /// The numbers of things in bins of equal width, from the smallest.
    package var counts: [Int]

    package init(_ name: String, _ range: ClosedRange<Double>, _ counts: [Int]) {
      (self.name, self.range, self.counts) = (name, range, counts)
    }
  }

  package init(title: String, summary: String, label: String, rows: [Row]) {
    (self.title, self.summary) = (title, summary)
    (self.label, self.rows) = (label, rows)
  }

  /// The numbers that the drawing shows.
  package var table: Table {
    Table(
      "\(title): numbers in bins of equal width, from the smallest",
      [.text("name"), .number("smallest"), .number("largest"), .text("numbers in the bins")],
      rows.map { row in
        [
          row.name, rounded(row.range.lowerBound, digits: 4),
          rounded(row.range.upperBound, digits: 4),
          row.counts.map { "\($0)" }.joined(separator: " "),
        ]
      })
  }

  /// Returns the element of a page that draws the histograms.
  ///
  /// - Parameter id: The beginning of ids that are unique on the page.
  /// - Returns: The element; its colors are those of the page's style sheet.
  func drawing(id: String) -> Markup {
    let width = "720"
    let parts: [Markup] =
      [
        .element("title", ["id": "\(id)-title"], title),
        .element("desc", ["id": "\(id)-desc"], summary),
      ] + rows.enumerated().flatMap { strip($1, top: Double($0) * Self.rowHeight + 10) } + [
        text(
          label, Self.left + Self.stripWidth / 2, Double(rows.count) * Self.rowHeight + 26,
          "middle label")
      ]
    return .element(
      "svg",
      [
        "viewBox": "0 0 \(width) \(number(Double(rows.count) * Self.rowHeight + 36))",
        "class": "figure", "role": "img", "aria-labelledby": "\(id)-title \(id)-desc",
      ], [.newline] + Markup.lines(parts))
  }

  private static let rowHeight = 44.0
  private static let barHeight = 32.0
  private static let left = 310.0
  private static let stripWidth = 320.0

  private func strip(_ row: Row, top: Double) -> [Markup] {
    let bottom = top + Self.barHeight
    let middle = top + Self.barHeight / 2 + 4.5
    return [
      text(row.name, 0, middle, "name"),
      text(rounded(row.range.lowerBound, digits: 3), Self.left - 10, bottom, "end label"),
      .element("path", ["class": "f0", "d": outline(row.counts, bottom)], []),
      .element(
        "line",
        [
          "class": "axis", "x1": number(Self.left), "y1": number(bottom),
          "x2": number(Self.left + Self.stripWidth), "y2": number(bottom),
        ], []),
      text(
        rounded(row.range.upperBound, digits: 3), Self.left + Self.stripWidth + 10, bottom, "label"),
    ]
  }

  /// Returns the outline of the columns, the highest as high as a row has room.
  private func outline(_ counts: [Int], _ bottom: Double) -> String {
    let most = Double(max(1, counts.max() ?? 1))
    let step = Self.stripWidth / Double(max(1, counts.count))
    let columns = counts.map { count in
      // A bin with any number is seen.
      let height = count > 0 ? max(0.6, Double(count) / most * Self.barHeight) : 0
      return "V\(number(bottom - height))h\(number(step))"
    }
    return "M\(number(Self.left)) \(number(bottom))\(columns.joined())V\(number(bottom))Z"
  }

  private func text(_ text: String, _ x: Double, _ y: Double, _ name: String) -> Markup {
    .element("text", ["class": name, "x": number(x), "y": number(y)], text)
  }

  private func number(_ number: Double) -> String {
    let text = String(printf: "%.2f", number)
    return text.hasSuffix(".00") ? String(text.dropLast(3)) : text
  }
}
