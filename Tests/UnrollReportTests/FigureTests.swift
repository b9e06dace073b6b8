// Figures: where numbers stand, on both kinds of axis, in characters and in a picture.

import TestSupport
import Testing

@testable import UnrollReport

@Suite("Figures as text and SVG") struct FigureTests {
  private static let lags = Figure.Axis(label: "lag", range: 0...20)
  private static let ratio = Figure.Axis(
    label: "ratio", range: 1e-4...1, isLogarithmic: true)

  @Test("Linear and logarithmic axes place numbers, and none outside their range")
  func axes() {
    #expect(Self.lags.place(of: 5) == 0.25 && Self.lags.place(of: 20) == 1)
    #expect(Self.ratio.place(of: 1e-2) == 0.5 && Self.ratio.place(of: 1) == 1)
    #expect(Self.lags.place(of: -1) == nil && Self.lags.place(of: .nan) == nil)
    #expect(Self.ratio.place(of: 0) == nil && Self.ratio.place(of: .infinity) == nil)
    #expect(Figure.Axis(label: "", range: 3...3).place(of: 3) == 0.5)
  }

  @Test("Ticks of an axis are round numbers and no more than requested")
  func ticks() {
    #expect(Self.lags.ticks(atMost: 5) == [0, 5, 10, 15, 20])
    #expect(Figure.Axis(label: "", range: 3...68).ticks(atMost: 8) == [10, 20, 30, 40, 50, 60])
    #expect(Figure.Axis(label: "", range: -1...1).ticks(atMost: 5) == [-1, -0.5, 0, 0.5, 1])
    #expect(
      Self.ratio.ticks(atMost: 9).map(Self.ratio.label) == ["1e-4", "0.001", "0.01", "0.1", "1"])
    #expect(Self.ratio.ticks(atMost: 3).map(Self.ratio.label) == ["1e-4", "0.01", "1"])
    for range in [0.0...7, 0...70, 1e-9...1, -3...1e6] {
      #expect((1...8).contains(Figure.Axis(label: "", range: range).ticks(atMost: 8).count))
    }
  }

  /// A straight line on the logarithmic axis, and one that is mostly out of it.
  private static let figure = Figure(
    title: "A < B & C", summary: "One falls > 0.", x: lags, y: ratio,
    series: [
      Figure.Series(
        name: "falls",
        points: (0...4).map { .init(x: Double($0) * 5, y: [1, 0.1, 0.01, 1e-3, 1e-4][$0]) }),
      Figure.Series(
        name: "gaps", points: [.init(x: 0, y: 1e-4), .init(x: 10, y: 0), .init(x: 20, y: 1)]),
    ],
    marks: [.x(15, "window"), .y(0.1, "share"), .x(35, "beyond")])

  @Test("A figure in a terminal has curves, marks, axes and a legend in its characters")
  func terminalFigure() {
    #expect(
      Self.figure.textLines(width: 21, height: 5) == [
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

  @Test("An SVG figure escapes its title, breaks curves at gaps and omits marks out of range")
  func svgFigure() {
    let lines = Self.figure.svg.split(separator: "\n").map(String.init)
    #expect(lines.contains("<title id=\"figure-title\">A &lt; B &amp; C</title>"))
    let curves = lines.filter { $0.hasPrefix("<polyline") }
    // The second curve has a gap in its middle.
    #expect(curves.map { $0.contains("class=\"line s0 d0\"") } == [true, false, false])
    #expect(
      curves[0].contains(" points=\"76,48 232,123 388,198 544,273 700,348\"></polyline>"))
    // The file has its colors in itself, without variables.
    #expect(lines.contains(".figure .s0{stroke:#0072b2}") && !Self.figure.svg.contains("var("))
    let texts = lines.filter { $0.hasPrefix("<text") }
    for text in ["falls", "gaps", "window", "share", "lag", "ratio", "0.01", "15"] {
      #expect(texts.contains { $0.contains(">\(text)<") }, "\(text)")
    }
    #expect(!texts.contains { $0.contains(">beyond<") })
  }

  @Test("The label of a tick at the right edge is not cut")
  func lastLabel() throws {
    let figure = try #require(
      Figure.bars(title: "Sizes", label: "numbers", rows: [("all", 100_000_000 / 1.149), ("b", 2)]))
    let label = try #require(
      figure.svg.firstMatch(of: #/<text class="(\w+)" x="(\d+)"[^>]*>100,000,000</#))
    #expect(label.1 == "end" && label.2 == "718")
    #expect(figure.svg.contains(">0</text>") && figure.svg.contains(">20,000,000</text>"))
  }

  @Test("A histogram has columns in SVG and text, and its numbers as a table")
  func histogram() throws {
    let figure = try #require(
      Figure.histogram(
        title: "Words", label: "bits", unit: "words", counts: [1, 4, 0, 2], start: 0, width: 0.5))
    #expect(figure.svg.matches(of: #/<rect class="f0"/#).count == 3)
    #expect(figure.svg.contains("<title>0.5 to 1: 4</title>"))
    #expect(
      figure.table.rows == [
        ["0", "0.5", "1"], ["0.5", "1", "4"], ["1", "1.5", "0"], ["1.5", "2", "2"],
      ])
    #expect(figure.summary == "Histogram of 4 bins; most words, 4 of 7, lie from 0.5 to 1.")
    #expect(
      figure.textLines(.unicode, width: 17, height: 7) == [
        "Words", "", "  words",
        "      4 ┤    ▅▅▅▅", "        │    ████", "      3 ┤    ████", "      2 ┤    ████    ▃▃▃▃",
        "        │    ████    ████", "      1 ┤▅▅▅▅████    ████", "      0 ┤████████    ████",
        "        └┴───┴───┴───┴───┴", "         0   0.5 1   1.5 2", "         bits",
      ])
    #expect(
      Figure.histogram(
        title: "", label: "", unit: "", values: Array(repeating: 1, count: 20)) == nil)
    let values = (0..<20).map { 0.1 + Double($0 * $0) }
    let squares = try #require(
      Figure.histogram(title: "", label: "", unit: "", values: values))
    let points = squares.series[0].points
    #expect(points.map(\.y).reduce(0, +) == 20 && points.count == 19)
    // 0.1 to 16.1 are below 20, and the columns at both ends are drawn.
    #expect(points[0].x == 10 && points[0].y == 5)
    #expect(squares.svg.matches(of: #/<rect class="f0"/#).count == points.count { $0.y > 0 })
  }

  @Test("Bars stand beside their names, the first at the top, with their numbers")
  func bars() throws {
    let figure = try #require(
      Figure.bars(title: "Sizes", label: "tokens", rows: [("one", 4), ("three", 2)]))
    #expect(
      figure.textLines(.ascii, width: 11) == [
        "Sizes", "", "  one   |########## 4", "  three |##### 2", "", "  tokens",
      ])
    #expect(figure.table.rows == [["one", "4"], ["three", "2"]])
    let texts = figure.svg.matches(of: #/<text class="(?:end|value)"[^>]*>([^<]*)</#).map(\.1)
    #expect(texts == ["three", "one", "4", "2"])
    #expect(Figure.bars(title: "", label: "", rows: []) == nil)
    // A long name takes its room from the bar.
    let long = try #require(
      Figure.bars(title: "t", label: "n", rows: [("abcdefghijklmnopqrst", 115), ("b", 1)]))
    let lengths = long.textLines(width: 40).map { $0.count { $0 == "#" } }
    #expect(lengths.max() == 24)
  }

  @Test("Points around the unit circle are drawn to scale, with a symbol for each series")
  func points() {
    let axis = Figure.Axis(label: "re", range: -2...2)
    let figure = Figure(
      title: "Eigenvalues", summary: "", x: axis, y: axis,
      series: [
        .init(name: "a", points: [.init(x: 1, y: 0)], style: .points),
        .init(name: "b", points: [.init(x: 0, y: -1)], style: .points),
      ], marks: [.unitCircle("unit circle")])
    // A circle around 544, 360, and a square around 388, 516.
    #expect(
      figure.svg.contains("<path class=\"f0\" d=\"M540 360a4 4 0 1 0 8 0a4 4 0 1 0-8 0z\""))
    #expect(figure.svg.contains("<path class=\"f1\" d=\"M384.5 512.5h7v7h-7z\""))
    // The circle goes through the point at 1.
    #expect(figure.svg.contains("class=\"mark ring\" cx=\"388\" cy=\"360\" r=\"156\""))
    #expect(figure.table.rows == [["a", "1", "0"], ["b", "0", "-1"]])
    #expect(figure.textLines(width: 21).contains { $0.contains(".") && $0.contains("a") })
  }
}
