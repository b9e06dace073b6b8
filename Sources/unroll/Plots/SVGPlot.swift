// A chart as a self-contained SVG file without styles, scripts or fonts from elsewhere.

import Foundation
import UnrollTensors

extension Chart {
  /// The text of an SVG file.
  var svg: String { SVGPlot(chart: self).text }
}

/// The layout of the picture, in pixels.
private struct SVGPlot {
  let chart: Chart

  private static let size = (width: 860, height: 480)
  private let left = 80.0
  private let right = 620.0
  private let top = 50.0
  private let bottom = 420.0

  /// Okabe and Ito's colours, which are distinguishable with colour-vision deficiency.
  private static let colours = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
  ]

  var text: String {
    let lines =
      [
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(Self.size.width) \(Self.size.height)\" "
          + "width=\"\(Self.size.width)\" height=\"\(Self.size.height)\" font-family=\"sans-serif\" "
          + "font-size=\"13\">",
        "<title>\(escaped(chart.title))</title>",
        "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>",
        text(chart.title, left, top - 22, attributes: " font-size=\"16\""),
      ] + axes + marks + curves + legend + ["</svg>"]
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: Positions

  private func across(_ number: Double) -> Double? {
    chart.x.place(of: number).map { left + $0 * (right - left) }
  }

  private func up(_ number: Double) -> Double? {
    chart.y.place(of: number).map { bottom - $0 * (bottom - top) }
  }

  // MARK: Parts

  private var axes: [String] {
    var lines: [String] = []
    for tick in chart.x.ticks(atMost: 9) {
      guard let x = across(tick) else { continue }
      lines.append(line(x, top, x, bottom, "#dddddd"))
      lines.append(text(chart.x.label(tick), x, bottom + 18, attributes: middle))
    }
    for tick in chart.y.ticks(atMost: 9) {
      guard let y = up(tick) else { continue }
      lines.append(line(left, y, right, y, "#dddddd"))
      lines.append(
        text(chart.y.label(tick), left - 8, y + 4, attributes: " text-anchor=\"end\""))
    }
    let centre = (top + bottom) / 2
    return lines + [
      "<rect x=\"\(number(left))\" y=\"\(number(top))\" width=\"\(number(right - left))\" "
        + "height=\"\(number(bottom - top))\" fill=\"none\" stroke=\"black\"/>",
      text(chart.x.label, (left + right) / 2, bottom + 42, attributes: middle),
      text(
        chart.y.label, 20, centre,
        attributes: middle + " transform=\"rotate(-90 20 \(number(centre)))\""),
    ]
  }

  private var marks: [String] {
    chart.visibleMarks.compactMap { mark in
      switch mark {
      case .x(let place, _): across(place).map { line($0, top, $0, bottom, "#555555", dotted) }
      case .y(let place, _): up(place).map { line(left, $0, right, $0, "#555555", dashDotted) }
      }
    }
  }

  private var curves: [String] {
    chart.curves.enumerated().flatMap { index, curve in
      runs(of: curve).map { run in
        let points = run.map { "\(number($0.0)),\(number($0.1))" }.joined(separator: " ")
        return "<polyline fill=\"none\" stroke=\"\(colour(index))\" stroke-width=\"2\""
          + "\(curve.isDashed ? dashed : "") points=\"\(points)\"/>"
      }
    }
  }

  /// Returns the runs of points of a curve between its gaps.
  private func runs(of curve: Chart.Curve) -> [[(Double, Double)]] {
    var runs: [[(Double, Double)]] = [[]]
    for point in curve.points {
      if let x = across(point.x), let y = up(point.y) {
        runs[runs.count - 1].append((x, y))
      } else {
        runs.append([])
      }
    }
    return runs.filter { !$0.isEmpty }
  }

  private var legend: [String] {
    var rows = chart.curves.enumerated().map { index, curve in
      (curve.name, colour(index), " stroke-width=\"2\"" + (curve.isDashed ? dashed : ""))
    }
    for mark in chart.visibleMarks {
      switch mark {
      case .x(_, let name): rows.append((name, "#555555", dotted))
      case .y(_, let name): rows.append((name, "#555555", dashDotted))
      }
    }
    return rows.enumerated().flatMap { index, row in
      let y = top + 10 + 22 * Double(index)
      return [
        line(right + 16, y, right + 46, y, row.1, row.2), text(row.0, right + 54, y + 4),
      ]
    }
  }

  // MARK: Elements

  private let middle = " text-anchor=\"middle\""
  private let dashed = " stroke-dasharray=\"7 4\""
  private let dotted = " stroke-dasharray=\"2 3\""
  private let dashDotted = " stroke-dasharray=\"8 3 2 3\""

  private func colour(_ index: Int) -> String { Self.colours[index % Self.colours.count] }

  private func line(
    _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ colour: String,
    _ attributes: String = ""
  ) -> String {
    "<line x1=\"\(number(x1))\" y1=\"\(number(y1))\" x2=\"\(number(x2))\" y2=\"\(number(y2))\" "
      + "stroke=\"\(colour)\"\(attributes)/>"
  }

  private func text(
    _ text: String, _ x: Double, _ y: Double, attributes: String = ""
  ) -> String {
    "<text x=\"\(number(x))\" y=\"\(number(y))\"\(attributes)>\(escaped(text))</text>"
  }

  private func number(_ number: Double) -> String { String(printf: "%.1f", number) }

  private func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
  }
}
