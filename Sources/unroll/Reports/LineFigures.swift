// The lines of a scored text by their surprisal, on the page of `unroll score`.

import UnrollReport
import UnrollTensors

/// The figures of the lines of a text: all as a curve, and the most surprising ones with their words.
struct LineFigures {
  private struct Line {
    let number: Int
    let text: String
    let count: Int
    let sum: Double
    let mean: Double
    let perplexity: Double?
  }

  /// Lines that are drawn as one point.
  private struct Bin {
    let first: Int
    var count = 0
    var sum = 0.0
    var scored = 0
  }

  /// The most surprising lines so far, the first is the most surprising.
  private var top: [Line] = []
  private var bins: [Bin] = []
  /// The number of lines of a full bin.
  private var binSize = 1

  /// The number of rows of the table.
  private static let topCount = 20
  /// The most points of the curve.
  private static let binLimit = 240

  /// Adds a line.
  ///
  /// - Parameters:
  ///   - report: The line.
  ///   - isSpaced: `true` if its parts have a space between them.
  mutating func add(_ report: SentenceReport, isSpaced: Bool) {
    let values = report.scoredUnits.compactMap(\.surp)
    let sum = values.reduce(0, +)
    addBin(report.lineNumber, sum, values.count)
    guard !values.isEmpty, sum.isFinite else { return }
    let mean = sum / Double(values.count)
    guard top.count < Self.topCount || mean > top[top.count - 1].mean else { return }
    let names = report.scoredUnits.map(\.name)
    let line = Line(
      number: report.lineNumber, text: excerpt(names.joined(separator: isSpaced ? " " : "")),
      count: names.count, sum: sum, mean: mean, perplexity: report.perplexity)
    // Equal numbers stay in the order of the text.
    top.insert(line, at: top.firstIndex { $0.mean < mean } ?? top.count)
    if top.count > Self.topCount { top.removeLast() }
  }

  private mutating func addBin(_ number: Int, _ sum: Double, _ scored: Int) {
    if bins.last.map({ $0.count == binSize }) ?? true {
      if bins.count == Self.binLimit { mergeBins() }
      if bins.last.map({ $0.count == binSize }) ?? true { bins.append(Bin(first: number)) }
    }
    bins[bins.count - 1].count += 1
    bins[bins.count - 1].sum += sum
    bins[bins.count - 1].scored += scored
  }

  private mutating func mergeBins() {
    binSize *= 2
    bins = stride(from: 0, to: bins.count, by: 2).map { index in
      var bin = bins[index]
      if index + 1 < bins.count {
        bin.count += bins[index + 1].count
        bin.sum += bins[index + 1].sum
        bin.scored += bins[index + 1].scored
      }
      return bin
    }
  }

  // MARK: Page

  /// Returns the curve and the table.
  ///
  /// - Parameters:
  ///   - thing: The name of a part: word or token.
  ///   - unit: The unit of a surprisal.
  /// - Returns: The blocks.
  func blocks(_ thing: String, _ unit: String) -> [Document.Block] {
    guard !top.isEmpty else { return [.paragraph("No line has a number.")] }
    let table = Table(
      "The most surprising lines by the mean of a \(thing); surprisal in \(unit), perplexity of the line's tokens",
      [
        .number("line"), .number("\(thing)s"), .number("sum"), .number("mean"),
        .number("perplexity"), .text("text"),
      ],
      top.map { line in
        [
          Output.grouped(line.number), Output.grouped(line.count), Document.number(line.sum),
          Document.number(line.mean), Document.number(line.perplexity), line.text,
        ]
      })
    return (figure(thing, unit).map { [.figure($0)] } ?? []) + [.table(table)]
  }

  private func figure(_ thing: String, _ unit: String) -> Figure? {
    let points = bins.filter { $0.scored > 0 && $0.sum.isFinite }.map {
      Figure.Point(x: Double($0.first), y: $0.sum / Double($0.scored))
    }
    guard points.count > 1, let first = points.first, let last = points.last,
      let low = points.map(\.y).min(), let high = points.map(\.y).max()
    else { return nil }
    let margin = high > low ? (high - low) / 20 : max(abs(high) / 100, 1e-3)
    return Figure(
      title: binSize == 1
        ? "Mean surprisal of each line"
        : "Mean surprisal of \(counted(binSize, "neighboring line"))",
      summary: "From \(Document.number(low)) to \(Document.number(high)) \(unit) a \(thing).",
      x: Figure.Axis(label: "line", range: first.x...last.x),
      y: Figure.Axis(
        label: "surprisal of a \(thing), in \(unit)", range: (low - margin)...(high + margin)),
      series: [Figure.Series(name: "mean surprisal", points: points)])
  }
}
