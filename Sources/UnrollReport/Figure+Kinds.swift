// Histograms and bars, and the numbers behind a figure.

import Foundation
import UnrollTensors

extension Figure {
  /// Creates a histogram.
  ///
  /// - Parameters:
  ///   - title: The title.
  ///   - label: The counted number, with its unit.
  ///   - unit: The counted things, in the plural.
  ///   - counts: The numbers of things in each bin, from the first to the last bin that has any.
  ///   - start: The lower bound of the first bin.
  ///   - width: The width of a bin.
  /// - Returns: The figure; `nil` without bins.
  package static func histogram(
    title: String, label: String, unit: String, counts: [Int], start: Double, width: Double
  ) -> Figure? {
    guard let most = counts.max(), let peak = counts.firstIndex(of: most), width > 0 else {
      return nil
    }
    let end = start + width * Double(counts.count)
    func bound(_ index: Int) -> String { String(printf: "%.4g", start + width * Double(index)) }
    return Figure(
      title: title,
      summary: "Histogram of \(counts.count) bins; most \(unit), \(most) of "
        + "\(counts.reduce(0, +)), lie from \(bound(peak)) to \(bound(peak + 1)).",
      x: Axis(label: label, range: start...end),
      y: Axis(label: unit, range: 0...(Double(max(most, 1)) * 1.05)),
      series: [
        Series(
          name: unit,
          points: counts.enumerated().map {
            Point(x: start + (Double($0) + 0.5) * width, y: Double($1))
          }, style: .columns(width: width))
      ])
  }

  /// Creates a histogram of numbers, in at most 30 bins of a round width.
  ///
  /// - Parameters:
  ///   - title: The title.
  ///   - label: The counted number, with its unit.
  ///   - unit: The counted things, in the plural.
  ///   - values: The numbers, all finite.
  /// - Returns: The figure; `nil` for fewer than ten numbers, or equal ones.
  package static func histogram(
    title: String, label: String, unit: String, values: [Double]
  ) -> Figure? {
    guard values.count >= 10, let low = values.min(), let high = values.max(), low < high else {
      return nil
    }
    let ticks = Axis(label: "", range: low...high).ticks(atMost: 30)
    guard ticks.count > 1 else { return nil }
    let width = ticks[1] - ticks[0]
    let start = (low / width).rounded(.down) * width
    var counts = [Int](repeating: 0, count: Int((high - start) / width) + 1)
    for value in values { counts[min(counts.count - 1, Int((value - start) / width))] += 1 }
    return histogram(
      title: title, label: label, unit: unit, counts: counts, start: start, width: width)
  }

  /// Creates bars to the right, the first at the top.
  ///
  /// - Parameters:
  ///   - title: The title.
  ///   - label: The number, with its unit.
  ///   - rows: Names and numbers, at least 0.
  /// - Returns: The figure; `nil` without rows.
  package static func bars(
    title: String, label: String, rows: [(name: String, value: Double)]
  ) -> Figure? {
    guard let largest = rows.map(\.value).max(), largest.isFinite else { return nil }
    let last = Double(rows.count - 1)
    return Figure(
      title: title,
      summary:
        "\(rows.count) bars; the longest, \(rows.first { $0.value == largest }?.name ?? ""), "
        + String(printf: "is %.4g.", largest),
      x: Axis(label: label, range: 0...(largest > 0 ? largest * 1.15 : 1)),
      y: Axis(label: "", range: -0.6...(last + 0.6), names: rows.reversed().map(\.name)),
      series: [
        Series(
          name: label,
          points: rows.enumerated().map { Point(x: $1.value, y: last - Double($0)) }, style: .bars)
      ])
  }
}

extension Figure {
  /// The numbers that the figure draws.
  package var table: Table {
    switch series.first?.style {
    case .columns(let width): columnTable(width)
    case .bars: barTable
    case .points: pointTable
    case .line, nil: lineTable
    }
  }

  private func text(_ number: Double?) -> String {
    number.map { rounded($0, digits: 6) } ?? ""
  }

  private func columnTable(_ width: Double) -> Table {
    let rows = (series.first?.points ?? []).map {
      [text($0.x - width / 2), text($0.x + width / 2), text($0.y)]
    }
    return Table(
      title, [.number("from, \(x.label)"), .number("to"), .number(y.label)], rows)
  }

  private var barTable: Table {
    let rows = (series.first?.points ?? []).map { [y.label($0.y), text($0.x)] }
    return Table(title, [.text("name"), .number(x.label)], rows)
  }

  private var pointTable: Table {
    let rows = series.flatMap { series in
      series.points.map {
        [series.name, text($0.x), y.names.isEmpty ? text($0.y) : y.label($0.y)]
      }
    }
    let last = y.names.isEmpty ? Table.Column.number(y.label) : .text("name")
    return Table(title, [.text("series"), .number(x.label), last], rows)
  }

  private var lineTable: Table {
    let places = Set(series.flatMap { $0.points.map(\.x) }).sorted()
    let columns = series.map { series in
      Dictionary(series.points.map { ($0.x, $0.y) }, uniquingKeysWith: { _, last in last })
    }
    return Table(
      "\(title); \(y.label)",
      [.number(x.label)] + series.map { .number($0.name) },
      places.map { place in [text(place)] + columns.map { text($0[place]) } })
  }
}
