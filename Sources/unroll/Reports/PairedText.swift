// A text scored by two models: the difference of each part in color, and the lines that differ most.

import UnrollReport
import UnrollTensors

/// The surprisals of a text by two models, gathered line by line.
struct PairedText {
  /// A word or token with its surprisal in each model; `nil` where a model has none.
  struct Part {
    let text: String
    let values: (first: Double?, second: Double?)

    /// The surprisal in the second model less that in the first.
    var difference: Double? {
      values.first.flatMap { first in
        values.second.map { $0 - first }.flatMap { $0.isFinite ? $0 : nil }
      }
    }
  }

  private struct Line {
    let number: Int
    let parts: [Part]
    /// The sum of the absolute differences.
    let distance: Double
  }

  /// The names of the models.
  private let names: (first: String, second: String)
  /// The unit of a surprisal, such as bits.
  private let unit: String
  private var map: HeatMap
  private var lineCount = 0
  private var shownCount = 0
  private var partCount = 0
  private var pairedCount = 0
  private var difference = 0.0
  /// The lines that differ most, the first differs most.
  private var top: [Line] = []

  /// The largest number of words or tokens of the text on a page.
  private static let partLimit = 10_000
  /// The number of lines that are drawn.
  private static let topCount = 3
  /// The most words or tokens of a line that is drawn.
  private static let drawnLimit = 20
  /// The lower bounds of the colors but the first.
  private static let levels = [-6.0, -3, -1, -0.25, 0.25, 1, 3, 6]

  /// Creates the comparison of a text without lines.
  ///
  /// - Parameters:
  ///   - names: The names of the models.
  ///   - unit: The unit of a surprisal.
  ///   - isSpaced: `true` if parts have a space between them.
  init(names: (first: String, second: String), unit: String, isSpaced: Bool) {
    (self.names, self.unit) = (names, unit)
    let bounds = Self.levels.map { String(printf: "%+.3g", $0) }
    let inner = zip(bounds, bounds.dropFirst()).map { "\($0) to \($1)" }
    map = HeatMap(
      title: "Differences in the text",
      legend: ["below \(bounds[0])"] + inner + ["\(bounds[bounds.count - 1]) \(unit) or more"],
      missing: "no number", isSpaced: isSpaced, isDiverging: true)
  }

  /// Adds a line.
  ///
  /// - Throws: `FileError` if a temporary file cannot be written.
  mutating func add(line number: Int, _ parts: [Part]) throws {
    lineCount += 1
    partCount += parts.count
    for value in parts.compactMap(\.difference) {
      difference += value
      pairedCount += 1
    }
    let distance = parts.reduce(0) { $0 + abs($1.difference ?? 0) }
    let place = top.firstIndex { $0.distance < distance } ?? top.count
    if place < Self.topCount, distance > 0 {
      top.insert(Line(number: number, parts: parts, distance: distance), at: place)
      if top.count > Self.topCount { top.removeLast() }
    }
    // Later lines are counted, and not shown once one did not fit.
    guard shownCount == lineCount - 1, partCount <= Self.partLimit else { return }
    let unit = unit
    try map.append(line: number, parts.map { Self.cell($0, unit) })
    shownCount += 1
  }

  private static func cell(_ part: Part, _ unit: String) -> HeatMap.Cell {
    func text(_ value: Double?) -> String { value.map { hundredths($0) } ?? "no number" }
    let difference = part.difference
    let sign =
      difference.map {
        (Swift.abs($0) < 0.005 ? "0.00" : ($0 < 0 ? "-" : "+") + hundredths(Swift.abs($0)))
      }
      ?? "no number"
    return HeatMap.Cell(
      text: excerpt(part.text),
      level: difference.map { value in levels.count { $0 <= value } },
      detail:
        "difference \(sign) \(unit); first \(text(part.values.first)), second \(text(part.values.second))"
    )
  }

  // MARK: Page

  /// The mean difference of the parts with a number in both models, in words.
  var meanDifference: String {
    pairedCount > 0 ? String(printf: "%+.4f", difference / Double(pairedCount)) : "–"
  }

  /// The section's blocks.
  var blocks: [Document.Block] {
    let cut =
      shownCount < lineCount
      ? [
        Document.Block.paragraph(
          "The text is cut: the page shows the first \(Output.grouped(shownCount)) of "
            + "\(Output.grouped(lineCount)) lines.")
      ] : []
    return [
      .paragraph(
        "\(counted(pairedCount, "part")) of \(Output.grouped(partCount)) have a number in both models; the mean difference is "
          + "\(meanDifference) \(unit)."),
      .paragraph(
        "The color is the surprisal in \(unit) by the second model, \(names.second), less that by the first, "
          + "\(names.first). Red with a line below: the second model is more surprised; blue with a line above: it is less "
          + "surprised. Point at a part, or click on it and use the arrow keys, for its numbers."),
    ] + cut + [.heatMap(map)] + top.map { .figure(figure($0)) }
  }

  /// Returns the surprisals of a line by both models.
  private func figure(_ line: Line) -> Figure {
    let parts = line.parts.prefix(Self.drawnLimit)
    let last = parts.count - 1
    func points(_ value: (Part) -> Double?) -> [Figure.Point] {
      parts.enumerated().compactMap { index, part in
        value(part).flatMap { $0.isFinite ? Figure.Point(x: $0, y: Double(last - index)) : nil }
      }
    }
    let (first, second) = (points(\.values.first), points(\.values.second))
    let largest = (first + second).map(\.x).max() ?? 0
    let cut = line.parts.count > parts.count ? ", its first \(parts.count) parts" : ""
    return Figure(
      title: "Line \(line.number) by both models\(cut)",
      summary: "Surprisal of \(counted(parts.count, "part")) of the line, from top to bottom.",
      x: Figure.Axis(
        label: "surprisal, in \(unit)", range: 0...(largest > 0 ? largest * 1.05 : 1)),
      y: Figure.Axis(
        label: "", range: -0.6...(Double(last) + 0.6),
        names: parts.reversed().map { excerpt($0.text, limit: 24) }),
      series: [
        Figure.Series(name: "first: \(names.first)", points: first, style: .points),
        Figure.Series(name: "second: \(names.second)", points: second, style: .points),
      ])
  }
}
