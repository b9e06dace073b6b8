// Curves to be drawn on a terminal or as SVG.

import Foundation
import UnrollTensors

/// Curves with the same axes.
struct Chart {
  /// The title above the chart.
  var title: String
  /// The horizontal axis, with its unit.
  var x: Axis
  /// The vertical axis, with its unit.
  var y: Axis
  /// The curves; later ones are drawn over earlier ones.
  var curves: [Curve]
  /// Lines across the chart, such as a limit.
  var marks: [Mark] = []

  struct Axis {
    var label: String
    var range: ClosedRange<Double>
    var isLogarithmic = false
  }

  struct Curve {
    var name: String
    /// The points; one outside the domain of an axis, such as 0 on a logarithmic one, leaves a gap.
    var points: [Point]
    var isDashed = false
  }

  struct Point {
    var x: Double
    var y: Double
  }

  /// A line across the chart, at a value of one of its axes.
  enum Mark {
    case x(Double, String)
    case y(Double, String)
  }
}

extension Chart {
  /// The marks within the axes.
  var visibleMarks: [Mark] {
    marks.filter { mark in
      switch mark {
      case .x(let number, _): x.range.contains(number)
      case .y(let number, _): y.range.contains(number)
      }
    }
  }
}

extension Chart.Axis {
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
  func ticks(atMost limit: Int) -> [Double] {
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
    isLogarithmic && !(1e-3...1e3).contains(number)
      ? String(printf: "1e%.0f", log10(number)) : String(printf: "%.6g", number)
  }
}
