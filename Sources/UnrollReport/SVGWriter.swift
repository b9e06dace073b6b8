// Figures as SVG, alone in a file or in a page.

import Foundation
import UnrollTensors

extension Figure {
  /// The text of an SVG file, with its style; it needs nothing from elsewhere.
  package var svg: String {
    let drawing = SVGWriter(self, isAlone: true).element(id: "figure")
    return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + drawing.characters + "\n"
  }

  /// Returns the element of a page that draws the figure.
  ///
  /// - Parameter id: The beginning of ids that are unique on the page.
  /// - Returns: The element; its colors are those of the page's style sheet.
  func drawing(id: String) -> Markup { SVGWriter(self, isAlone: false).element(id: id) }
}

/// The layout of a drawing, in units of its view box.
private struct SVGWriter {
  let figure: Figure
  /// `true` for a file: it has a style, a background and a visible title.
  let isAlone: Bool

  private let width = 720.0
  private let left: Double
  private let right = 700.0
  private let top: Double
  private let bottom: Double

  init(_ figure: Figure, isAlone: Bool) {
    self.figure = figure
    self.isAlone = isAlone
    let isNamed = !figure.y.names.isEmpty
    let nameWidth = figure.y.names.map { min($0.count, Self.nameLimit) }.max() ?? 0
    left = isNamed ? 24 + 7.6 * Double(nameWidth) : 76
    top = isAlone ? 48 : 14
    let height =
      isNamed ? 26 * Double(figure.y.names.count) : figure.isSquare ? right - left : 300
    bottom = top + height
  }

  /// The maximum number of characters of a name beside an axis.
  private static let nameLimit = 24

  /// The height of the drawing.
  private var height: Double { bottom + 52 + (figure.hasLegend ? 22 * Double(rows.count) + 6 : 0) }

  func element(id: String) -> Markup {
    let box = "0 0 \(number(width)) \(number(height))"
    let head: [Markup] = [
      .element("title", ["id": "\(id)-title"], figure.title),
      .element("desc", ["id": "\(id)-desc"], figure.summary),
    ]
    let own: [Markup] =
      isAlone
      ? [
        .element("style", [:], [Markup(trusted: StyleSheet.ofFigureAlone)]),
        .element("rect", ["class": "ground", "width": "100%", "height": "100%"], []),
        text(figure.title, left, 26, class: "heading"),
      ] : []
    let parts = head + own + axes + marks + series + (figure.hasLegend ? legend : [])
    let content = [.newline] + Markup.lines(parts)
    let label = "\(id)-title \(id)-desc"
    return isAlone
      ? .element(
        "svg",
        [
          "xmlns": "http://www.w3.org/2000/svg", "viewBox": box, "width": number(width),
          "height": number(height), "class": "figure", "role": "img", "aria-labelledby": label,
        ], content)
      : .element(
        "svg", ["viewBox": box, "class": "figure", "role": "img", "aria-labelledby": label],
        content)
  }

  // MARK: Positions

  private func across(_ number: Double) -> Double? {
    figure.x.place(of: number).map { left + $0 * (right - left) }
  }

  private func up(_ number: Double) -> Double? {
    figure.y.place(of: number).map { bottom - $0 * (bottom - top) }
  }

  // MARK: Axes

  private var axes: [Markup] {
    let xs = figure.x.ticks(atMost: 9).flatMap { tick -> [Markup] in
      guard let x = across(tick) else { return [] }
      return [
        line(x, top, x, bottom, class: "grid"),
        tickLabel(figure.x.label(tick), x),
      ]
    }
    let ys = figure.y.ticks(atMost: 7).flatMap { tick -> [Markup] in
      guard let y = up(tick) else { return [] }
      let label = text(name(figure.y.label(tick)), left - 10, y + 4.5, class: "end")
      return figure.y.names.isEmpty
        ? [line(left, y, right, y, class: "grid"), label] : [label]
    }
    let centre = (top + bottom) / 2
    return xs + ys + [
      line(left, bottom, right, bottom, class: "axis"),
      line(left, top, left, bottom, class: "axis"),
      text(figure.x.label, (left + right) / 2, bottom + 42, class: "middle label"),
    ]
      + (figure.y.label.isEmpty
        ? []
        : [
          .element(
            "text",
            [
              "class": "middle label",
              "transform": "translate(18 \(number(centre))) rotate(-90)",
            ], figure.y.label)
        ])
  }

  /// Returns the label of a tick below its line, or to the left of it where the drawing ends.
  private func tickLabel(_ label: String, _ x: Double) -> Markup {
    // A digit takes at most 8.5.
    let isCut = x + 8.5 * Double(label.count) / 2 > width
    return text(label, isCut ? width - 2 : x, bottom + 20, class: isCut ? "end" : "middle")
  }

  private func name(_ text: String) -> String {
    text.count <= Self.nameLimit ? text : text.prefix(Self.nameLimit - 1) + "…"
  }

  // MARK: Series

  private var series: [Markup] {
    figure.series.enumerated().flatMap { index, series -> [Markup] in
      switch series.style {
      case .line: curve(series, index)
      case .points: points(series, index)
      case .columns(let width): columns(series, width, index)
      case .bars: bars(series, index)
      }
    }
  }

  private func curve(_ series: Figure.Series, _ index: Int) -> [Markup] {
    runs(of: series).map { run in
      // A point without neighbors is a short line with round ends.
      let points = run.count == 1 ? run + run : run
      let path = points.map { "\(number($0.0)),\(number($0.1))" }.joined(separator: " ")
      return .element(
        "polyline", ["class": "line s\(Self.color(index)) d\(Self.dash(index))", "points": path], []
      )
    }
  }

  /// Returns the runs of points of a curve between its gaps.
  private func runs(of series: Figure.Series) -> [[(Double, Double)]] {
    var runs: [[(Double, Double)]] = [[]]
    for point in series.points {
      if let x = across(point.x), let y = up(point.y) {
        runs[runs.count - 1].append((x, y))
      } else {
        runs.append([])
      }
    }
    return runs.filter { !$0.isEmpty }
  }

  /// Returns the points of a series as one path, which takes a third of the characters of one element for each.
  private func points(_ series: Figure.Series, _ index: Int) -> [Markup] {
    let places = series.points.compactMap { point in
      across(point.x).flatMap { x in up(point.y).map { (x, $0) } }
    }
    return places.isEmpty ? [] : [symbols(places, index)]
  }

  /// Returns the symbols of a series: circles, squares, diamonds or triangles around some places.
  private func symbols(_ places: [(Double, Double)], _ index: Int) -> Markup {
    let (left, top, outline) = [
      (4, 0, "a4 4 0 1 0 8 0a4 4 0 1 0-8 0z"), (3.5, 3.5, "h7v7h-7z"), (0, 5, "l5 5-5 5-5-5z"),
      (0, 4.5, "l4.5 8.5h-9z"),
    ][index % 4]
    let path = places.map { "M\(number($0.0 - left)) \(number($0.1 - top))\(outline)" }
    return .element("path", ["class": "f\(Self.color(index))", "d": path.joined()], [])
  }

  private func columns(_ series: Figure.Series, _ width: Double, _ index: Int) -> [Markup] {
    series.points.compactMap { point in
      guard point.y > 0, let low = across(max(point.x - width / 2, figure.x.range.lowerBound)),
        let y = up(point.y),
        let high = across(min(point.x + width / 2, figure.x.range.upperBound))
      else { return nil }
      return rectangle(
        low + 0.5, y, max(1, high - low - 1), bottom - y, index,
        "\(figure.x.label(point.x - width / 2)) to \(figure.x.label(point.x + width / 2)): "
          + "\(figure.y.label(point.y))")
    }
  }

  private func bars(_ series: Figure.Series, _ index: Int) -> [Markup] {
    series.points.flatMap { point -> [Markup] in
      guard let y = up(point.y), let x = across(point.x) else { return [] }
      let value = rounded(point.x, digits: 4)
      return [
        rectangle(left, y - 8, max(1, x - left), 16, index, "\(figure.y.label(point.y)): \(value)"),
        text(value, x + 6, y + 4.5, class: "value"),
      ]
    }
  }

  private func rectangle(
    _ x: Double, _ y: Double, _ width: Double, _ height: Double, _ index: Int, _ title: String
  ) -> Markup {
    .element(
      "rect",
      [
        "class": "f\(Self.color(index))", "x": number(x), "y": number(y), "width": number(width),
        "height": number(height),
      ], [.element("title", [:], title)])
  }

  // MARK: Marks and legend

  private var marks: [Markup] {
    figure.visibleMarks.compactMap { mark in
      switch mark {
      case .x(let place, _): across(place).map { line($0, top, $0, bottom, class: "mark d2") }
      case .y(let place, _): up(place).map { line(left, $0, right, $0, class: "mark d3") }
      case .unitCircle: unitCircle
      }
    }
  }

  private var unitCircle: Markup? {
    guard let x = across(0), let y = up(0), let edge = across(1) else { return nil }
    return .element(
      "circle",
      ["class": "mark ring", "cx": number(x), "cy": number(y), "r": number(edge - x)], [])
  }

  private struct Row {
    let name: String
    let sign: (Double) -> Markup
  }

  private var rows: [Row] {
    figure.series.enumerated().map { index, series in
      Row(name: series.name) { y in
        series.style == .points
          ? symbols([(left + 17, y)], index)
          : line(
            left, y, left + 34, y, class: "line s\(Self.color(index)) d\(Self.dash(index))")
      }
    }
      + figure.visibleMarks.map { mark in
        Row(name: mark.name) { y in
          switch mark {
          case .x: line(left, y, left + 34, y, class: "mark d2")
          case .y: line(left, y, left + 34, y, class: "mark d3")
          case .unitCircle: line(left, y, left + 34, y, class: "mark")
          }
        }
      }
  }

  private var legend: [Markup] {
    rows.enumerated().flatMap { index, row in
      let y = bottom + 66 + 22 * Double(index)
      return [row.sign(y), text(row.name, left + 44, y + 4.5, class: "name")]
    }
  }

  // MARK: Elements

  private static func color(_ index: Int) -> Int { index % StyleSheet.seriesCount }
  private static func dash(_ index: Int) -> Int { index % StyleSheet.dashes.count }

  private func line(
    _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, class name: String
  ) -> Markup {
    .element(
      "line",
      ["class": name, "x1": number(x1), "y1": number(y1), "x2": number(x2), "y2": number(y2)], [])
  }

  private func text(_ text: String, _ x: Double, _ y: Double, class name: String) -> Markup {
    .element("text", ["class": name, "x": number(x), "y": number(y)], text)
  }

  /// Returns a coordinate with at most one decimal.
  private func number(_ number: Double) -> String {
    let text = String(printf: "%.1f", number)
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
}
