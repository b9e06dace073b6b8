// Charts: where numbers stand, on both kinds of axis, in characters and in a picture.

import TestSupport
import Testing

@testable import unroll

@Suite("Charts as text and SVG") struct ChartTests {
  private static let lags = Chart.Axis(label: "lag", range: 0...20)
  private static let ratio = Chart.Axis(
    label: "ratio", range: 1e-4...1, isLogarithmic: true)

  @Test("Linear and logarithmic axes place numbers, and none outside their range")
  func axes() {
    #expect(Self.lags.place(of: 5) == 0.25 && Self.lags.place(of: 20) == 1)
    #expect(Self.ratio.place(of: 1e-2) == 0.5 && Self.ratio.place(of: 1) == 1)
    #expect(Self.lags.place(of: -1) == nil && Self.lags.place(of: .nan) == nil)
    #expect(Self.ratio.place(of: 0) == nil && Self.ratio.place(of: .infinity) == nil)
    #expect(Chart.Axis(label: "", range: 3...3).place(of: 3) == 0.5)
  }

  @Test("Ticks of an axis are round numbers and no more than requested")
  func ticks() {
    #expect(Self.lags.ticks(atMost: 5) == [0, 5, 10, 15, 20])
    #expect(Chart.Axis(label: "", range: 3...68).ticks(atMost: 8) == [10, 20, 30, 40, 50, 60])
    #expect(Chart.Axis(label: "", range: -1...1).ticks(atMost: 5) == [-1, -0.5, 0, 0.5, 1])
    #expect(
      Self.ratio.ticks(atMost: 9).map(Self.ratio.label) == ["1e-4", "0.001", "0.01", "0.1", "1"])
    #expect(Self.ratio.ticks(atMost: 3).map(Self.ratio.label) == ["1e-4", "0.01", "1"])
    for range in [0.0...7, 0...70, 1e-9...1, -3...1e6] {
      #expect((1...8).contains(Chart.Axis(label: "", range: range).ticks(atMost: 8).count))
    }
  }

  /// A straight line on the logarithmic axis, and one that is mostly out of it.
  private static let chart = Chart(
    title: "A < B & C", x: lags, y: ratio,
    curves: [
      Chart.Curve(
        name: "falls",
        points: (0...4).map { .init(x: Double($0) * 5, y: [1, 0.1, 0.01, 1e-3, 1e-4][$0]) }),
      Chart.Curve(
        name: "gaps", points: [.init(x: 0, y: 1e-4), .init(x: 10, y: 0), .init(x: 20, y: 1)],
        isDashed: true),
    ],
    marks: [.x(15, "window"), .y(0.1, "share"), .x(35, "beyond")])

  @Test("A chart in a terminal has curves, marks, axes and a legend in its characters")
  func terminalChart() {
    #expect(
      Self.chart.terminalLines(width: 21, height: 5) == [
        "A < B & C", "", "  ratio",
        "      1 +a              :    b",
        "    0.1 +-----a---------------",
        "   0.01 +          a    :",
        "  0.001 +               a",
        "   1e-4 +b              :    a",
        "        ++----+----+----+----+",
        "         0    5    10   15   20",
        "         lag", "",
        "  a falls", "  b gaps", "  : window", "  - share",
      ])
  }

  @Test("An SVG chart escapes its title, breaks curves at gaps and omits marks out of range")
  func svgChart() {
    let lines = Self.chart.svg.split(separator: "\n").map(String.init)
    #expect(lines.contains("<title>A &lt; B &amp; C</title>"))
    let curves = lines.filter { $0.hasPrefix("<polyline") }
    // The second curve has a gap in its middle.
    #expect(curves.count == 3 && curves.count { $0.contains("dasharray") } == 2)
    #expect(
      curves[0].hasSuffix("points=\"80.0,50.0 215.0,142.5 350.0,235.0 485.0,327.5 620.0,420.0\"/>"))
    let texts = lines.filter { $0.hasPrefix("<text") }
    for text in ["falls", "gaps", "window", "share", "lag", "ratio", "0.01", "15"] {
      #expect(texts.contains { $0.contains(">\(text)<") }, "\(text)")
    }
    #expect(!texts.contains { $0.contains(">beyond<") })
  }
}
