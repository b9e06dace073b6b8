// The page of `unroll score`: the text colored by surprisal, a histogram, the most surprising words.

import Foundation
import UnrollEngine
import UnrollReport
import UnrollTensors

/// The page of scores, gathered line by line; its memory does not grow with the text beyond a limit.
struct ScorePage {
  private let style: ScoreStyle
  private var lines: ShownLines
  private var lineFigures = LineFigures()
  /// The text beside another model; `nil` for none.
  private var paired: PairedText?
  private var baseline: BaselineScores?
  private var scoredCount = 0
  private var missingCount = 0
  private var total = 0.0
  /// The number of words in each bin of half a unit of the base.
  private var bins: [Int] = []
  /// The most surprising words so far, the first is the most surprising.
  private var top: [Surprise] = []

  /// A word or token and its surprisal.
  private struct Surprise {
    let text: String
    let line: Int
    let position: Int
    let value: Double
    let entropy: Double?
  }

  /// The number of rows of the most surprising words.
  private static let topCount = 20
  /// The lower bounds of the colors but the first, in bits.
  private static let levels = [1.0, 2, 4, 6, 9, 13, 18, 25]
  /// The most bins of the histogram.
  private static let binLimit = 40

  /// Creates a page without lines.
  ///
  /// - Parameters:
  ///   - style: The settings of the scores.
  ///   - baseline: The scores by another model; `nil` for none.
  ///   - path: The model's file.
  init(_ style: ScoreStyle, beside baseline: BaselineScores?, model path: String) {
    self.style = style
    self.baseline = baseline
    paired = baseline.map {
      PairedText(
        names: ($0.path, path), unit: Self.unitName(style), isSpaced: style.level == .word)
    }
    lines = ShownLines(Self.heatMap(style))
  }

  // MARK: Gathering

  /// Adds a line.
  ///
  /// - Parameters:
  ///   - report: The line.
  ///   - object: The line as `--json` prints it, if that is known already.
  /// - Throws: `EncodingError` if a number is not finite; `FileError` if a temporary file cannot be written.
  mutating func add(_ report: SentenceReport, object: String?) throws {
    let units = report.scoredUnits
    for (index, unit) in units.enumerated() { add(unit, line: report.lineNumber, index + 1) }
    lineFigures.add(report, isSpaced: style.level == .word)
    if let values = try baseline?.next(count: units.count, line: report.lineNumber) {
      try paired?.add(
        line: report.lineNumber,
        zip(units, values).map { PairedText.Part(text: $0.name, values: ($1, $0.surp)) })
    }
    let style = style
    try lines.add(
      line: report.lineNumber, cellCount: units.count, object: { try object ?? report.json },
      cells: { units.map { Self.cell($0, style) } })
  }

  private mutating func add(_ unit: SentenceReport.Unit, line: Int, _ position: Int) {
    guard let value = unit.surp else {
      missingCount += 1
      return
    }
    scoredCount += 1
    total += value
    let bin = Int(min(1e4, max(0, value * 2)))
    if bin >= bins.count { bins += Array(repeating: 0, count: bin + 1 - bins.count) }
    bins[bin] += 1
    guard top.count < Self.topCount || value > top[top.count - 1].value else { return }
    let surprise = Surprise(
      text: unit.name, line: line, position: position, value: value, entropy: unit.entropy)
    // Equal numbers stay in the order of the text.
    let index = top.firstIndex { $0.value < value } ?? top.count
    top.insert(surprise, at: index)
    if top.count > Self.topCount { top.removeLast() }
  }

  private static func cell(_ unit: SentenceReport.Unit, _ style: ScoreStyle) -> HeatMap.Cell {
    let level = unit.surp.map { value in
      let bits = value * style.base.logarithm / Elementary.log(2)
      return levels.count { $0 <= bits }
    }
    return HeatMap.Cell(text: excerpt(unit.name), level: level, detail: detail(unit, style))
  }

  private static func detail(_ unit: SentenceReport.Unit, _ style: ScoreStyle) -> String {
    // Appended piece by piece: a page has tens of thousands of them.
    var text = unit.surp.map { hundredths($0) + " " + unitName(style) } ?? unit.surpReason ?? ""
    if let entropy = unit.entropy {
      text += "; entropy "
      text += hundredths(entropy)
    }
    if let rank = unit.rank {
      text += "; rank "
      text += Output.grouped(rank)
    }
    for (index, guess) in (unit.guesses ?? []).prefix(5).enumerated() {
      text += index == 0 ? "; expected " : ", "
      text += excerpt(guess.token)
      text += " "
      text += hundredths(guess.prob)
    }
    return text
  }

  // MARK: Page

  private var thing: String { style.level == .token ? "token" : "word" }

  private var unitName: String { Self.unitName(style) }

  private static func unitName(_ style: ScoreStyle) -> String {
    switch style.base {
    case .two: "bits"
    case .e: "nats"
    case .ten: "decimal digits"
    }
  }

  /// The main figure; `nil` if nothing has a number.
  var histogram: Figure? {
    // Neighbors are merged until the bins are few.
    var (counts, width) = (bins, 0.5)
    while counts.count > Self.binLimit {
      counts = stride(from: 0, to: counts.count, by: 2).map {
        counts[$0] + ($0 + 1 < counts.count ? counts[$0 + 1] : 0)
      }
      width *= 2
    }
    return .histogram(
      title: "Surprisal of \(thing)s",
      label: "surprisal, in \(unitName)", unit: "\(thing)s",
      counts: counts, start: 0, width: width)
  }

  /// Fills a document.
  ///
  /// - Parameter document: The document, with its origin.
  /// - Throws: `FileError` if a temporary file cannot be written.
  func fill(_ document: inout Document) throws {
    document.highlights = [
      Document.Fact("mean surprisal, in \(unitName)", mean),
      Document.Fact("\(thing)s with a number", Output.grouped(scoredCount)),
      Document.Fact("without a number", Output.grouped(missingCount)),
      Document.Fact("lines", Output.grouped(lines.count)),
    ]
    document.sections = [
      Document.Section("Text", textBlocks),
      Document.Section("Distribution", distributionBlocks),
      Document.Section("Most surprising \(thing)s", [.table(topTable)]),
      Document.Section("Lines", lineFigures.blocks(thing, unitName)),
    ]
    if let paired {
      document.highlights.append(
        Document.Fact("less the baseline, in \(unitName) a \(thing)", paired.meanDifference))
      document.sections.insert(
        Document.Section("Beside the baseline", paired.blocks), at: 1)
    }
    document.result = try lines.result
  }

  private var mean: String {
    scoredCount > 0 ? String(printf: "%.4f", total / Double(scoredCount)) : "–"
  }

  private var textBlocks: [Document.Block] {
    return meaning + [
      .paragraph(
        "Each \(thing) has the color of its surprisal in \(unitName), and from \(boldFrom) on a line below it. Point at it, or "
          + "click on it and use the arrow keys, for its numbers.")
    ] + lines.cut("The other sections are about all lines.") + [.heatMap(lines.map)]
  }

  /// The sentences for readers to whom surprisal is new; none without a number.
  private var meaning: [Document.Block] {
    guard scoredCount > 0 else { return [] }
    let logarithm =
      switch style.base {
      case .two: "binary logarithm"
      case .e: "natural logarithm"
      case .ten: "decimal logarithm"
      }
    let choices = Elementary.exp(total / Double(scoredCount) * style.base.logarithm)
    let count =
      choices < 1000
      ? String(printf: "%.3g", choices)
      : choices < 1e9 ? Output.grouped(Int(choices)) : String(printf: "%.2e", choices)
    return [
      .paragraph(
        "Surprisal is minus the \(logarithm) of the probability that the model gave to the \(thing). The mean, "
          + "\(mean) \(unitName), is that of a choice among \(count) \(thing)s that are equally likely."
      )
    ]
  }

  /// The smallest number with a line below its word.
  private var boldFrom: String {
    String(printf: "%.3g \(unitName)", Self.levels[4] * Self.bitsInUnit(style))
  }

  private static func heatMap(_ style: ScoreStyle) -> HeatMap {
    let bounds = levels.map { String(printf: "%.3g", $0 * bitsInUnit(style)) }
    let inner = zip(bounds, bounds.dropFirst()).map { "\($0) to \($1)" }
    return HeatMap(
      title: "Lines of the text",
      legend: ["below \(bounds[0])"] + inner + [
        "\(bounds[bounds.count - 1]) \(unitName(style)) or more"
      ],
      missing: "no number", isSpaced: style.level == .word)
  }

  /// Returns the number of units of the base in a bit.
  private static func bitsInUnit(_ style: ScoreStyle) -> Double {
    Elementary.log(2) / style.base.logarithm
  }

  private var distributionBlocks: [Document.Block] {
    histogram.map { [.figure($0)] } ?? [.paragraph("No \(thing) has a number.")]
  }

  private var topTable: Table {
    Table(
      "Surprisal and entropy in \(unitName)",
      [
        .text(thing), .number("line"), .number("position"), .number("surprisal"),
        .number("entropy"),
      ],
      top.map {
        [
          excerpt($0.text), String($0.line), String($0.position), Document.number($0.value),
          Document.number($0.entropy),
        ]
      })
  }
}
