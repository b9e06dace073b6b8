// Figures: curves, points, columns and bars with two axes.

import Foundation
import UnrollTensors

/// A drawing with two axes; writers turn it into SVG or text.
package struct Figure: Sendable {
  /// The title above the drawing.
  package var title: String
  /// The description, for those who do not see the drawing.
  package var summary: String
  /// The horizontal axis, with its unit.
  package var x: Axis
  /// The vertical axis, with its unit.
  package var y: Axis
  /// The series; later ones are drawn over earlier ones.
  package var series: [Series]
  /// Lines across the drawing, such as a limit.
  package var marks: [Mark] = []

  package struct Axis: Sendable {
    package var label: String
    package var range: ClosedRange<Double>
    package var isLogarithmic: Bool
    /// The names of the numbers 0, 1, ...; empty for an axis of numbers.
    package var names: [String]

    package init(
      label: String, range: ClosedRange<Double>, isLogarithmic: Bool = false, names: [String] = []
    ) {
      self.label = label
      self.range = range
      self.isLogarithmic = isLogarithmic
      self.names = names
    }
  }

  /// Points that belong together.
  package struct Series: Sendable {
    package var name: String
    /// The points; one outside the domain of an axis, such as 0 on a logarithmic one, leaves a gap.
    package var points: [Point]
    package var style: Style

    package init(name: String, points: [Point], style: Style = .line) {
      self.name = name
      self.points = points
      self.style = style
    }
  }

  package struct Point: Sendable {
    package var x: Double
    package var y: Double

    package init(x: Double, y: Double) {
      self.x = x
      self.y = y
    }
  }

  /// The drawing of a series.
  package enum Style: Sendable, Equatable {
    case line
    case points
    /// Upright columns around their x, of a width in units of the axis, without gaps between them.
    case columns(width: Double)
    /// Bars to the right, at the names of the vertical axis.
    case bars
  }

  /// A line across the drawing.
  package enum Mark: Sendable {
    case x(Double, String)
    case y(Double, String)
    /// A circle around 0 with a radius of 1; the axes have the same scale.
    case unitCircle(String)

    /// The name in the legend.
    var name: String {
      switch self {
      case .x(_, let name), .y(_, let name), .unitCircle(let name): name
      }
    }
  }

  package init(
    title: String, summary: String, x: Axis, y: Axis, series: [Series], marks: [Mark] = []
  ) {
    self.title = title
    self.summary = summary
    self.x = x
    self.y = y
    self.series = series
    self.marks = marks
  }
}

extension Figure {
  /// The marks within the axes.
  var visibleMarks: [Mark] {
    marks.filter { mark in
      switch mark {
      case .x(let number, _): x.range.contains(number)
      case .y(let number, _): y.range.contains(number)
      case .unitCircle: true
      }
    }
  }

  /// `true` if both axes have the same scale.
  var isSquare: Bool {
    marks.contains { mark in
      if case .unitCircle = mark { true } else { false }
    }
  }

  /// `true` if the drawing needs a legend: its only series is not named by the title.
  var hasLegend: Bool { series.count > 1 || !visibleMarks.isEmpty }
}

extension Figure.Axis {
  /// Returns the position of a number from 0 to 1 within the range, or `nil` outside it.
  func place(of number: Double) -> Double? {
    guard range.contains(number) else { return nil }
    let (low, high) = (scaled(range.lowerBound), scaled(range.upperBound))
    return high > low ? (scaled(number) - low) / (high - low) : 0.5
  }

  private func scaled(_ number: Double) -> Double { isLogarithmic ? log10(number) : number }

  /// Returns round numbers within the range: powers of ten, or multiples of 1, 2 or 5 times one.
  ///
  /// - Parameter limit: The maximum number of them, at least 2.
  /// - Returns: The numbers in order.
  package func ticks(atMost limit: Int) -> [Double] {
    guard names.isEmpty else { return names.indices.map(Double.init) }
    let (low, high) = (scaled(range.lowerBound), scaled(range.upperBound))
    let step = Self.roundStep(atLeast: (high - low) / Double(limit - 1), isLogarithmic)
    let numbers =
      Int(
        (low / step).rounded(.up))...max(
        Int((low / step).rounded(.up)), Int((high / step).rounded(.down)))
    return numbers.map { isLogarithmic ? pow(10, Double($0) * step) : Double($0) * step }
      .filter(range.contains)
  }

  private static func roundStep(atLeast least: Double, _ isWhole: Bool) -> Double {
    guard least > 0 else { return 1 }
    let power = pow(10, floor(log10(least)))
    let step = [1, 2, 5, 10].map { $0 * power }.first { $0 >= least * (1 - 1e-9) } ?? 10 * power
    return isWhole ? max(1, step) : step
  }

  /// Returns the label of a number beside the axis.
  func label(_ number: Double) -> String {
    if !names.isEmpty {
      let index = Int(number.rounded())
      return names.indices.contains(index) ? names[index] : ""
    }
    return isLogarithmic && !(1e-3...1e3).contains(number)
      ? String(printf: "1e%.0f", log10(number)) : rounded(number, digits: 6)
  }
}
