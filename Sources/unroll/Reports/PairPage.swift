// The page of `unroll score --pairs`: accuracy by group, both sentences of each pair, the worst pairs.

import UnrollEngine
import UnrollReport
import UnrollTensors

/// The page of minimal pairs, gathered pair by pair.
struct PairPage {
  private struct Row {
    let line: Int
    let group: String
    let good: Double
    let bad: Double
    let sentences: (good: String, bad: String)
  }

  private let base: Score.Base
  /// The pairs that are drawn, and the number of all with a score.
  private var points: [(good: Double, bad: Double)] = []
  private var count = 0
  /// The pairs whose wrong sentence is preferred most, or whose right one is preferred least.
  private var worst: [Row] = []

  private static let pointLimit = 1000
  private static let worstCount = 20

  /// Creates a page without pairs.
  ///
  /// - Parameter base: The base of the logarithms.
  init(_ base: Score.Base) { self.base = base }

  /// Adds a pair.
  mutating func add(_ score: PairScore) {
    guard let good = score.good, let bad = score.bad, good.isFinite, bad.isFinite else { return }
    let row = Row(
      line: score.pair.line, group: score.pair.group ?? "–", good: good / base.logarithm,
      bad: bad / base.logarithm, sentences: (score.pair.good, score.pair.bad))
    count += 1
    if points.count < Self.pointLimit { points.append((row.good, row.bad)) }
    let margin = row.good - row.bad
    let place = worst.firstIndex { $0.good - $0.bad > margin } ?? worst.count
    guard place < Self.worstCount else { return }
    worst.insert(row, at: place)
    if worst.count > Self.worstCount { worst.removeLast() }
  }

  // MARK: Page

  /// The main figure: the log-probabilities of both sentences; `nil` without pairs.
  var figure: Figure? {
    let all = points.flatMap { [$0.good, $0.bad] }
    guard let low = all.min(), let high = all.max() else { return nil }
    let margin = high > low ? (high - low) / 20 : max(abs(high) / 100, 1e-3)
    let range = (low - margin)...(high + margin)
    func series(_ name: String, _ isRight: Bool) -> Figure.Series {
      Figure.Series(
        name: name,
        points: points.filter { ($0.good > $0.bad) == isRight }.map {
          Figure.Point(x: $0.bad, y: $0.good)
        }, style: .points)
    }
    let right = points.count { $0.good > $0.bad }
    return Figure(
      title: "Log-probabilities of both sentences of each pair",
      summary:
        "\(right) of \(counted(points.count, "pair")) lie above the diagonal, where the right sentence is the "
        + "likelier one.",
      x: Figure.Axis(label: "log-probability of the wrong sentence, \(unit)", range: range),
      y: Figure.Axis(label: "of the right sentence", range: range),
      series: [
        series("right sentence preferred", true), series("wrong sentence preferred", false),
        Figure.Series(
          name: "diagonal: both as likely",
          points: [
            .init(x: range.lowerBound, y: range.lowerBound),
            .init(x: range.upperBound, y: range.upperBound),
          ]),
      ].filter { !$0.points.isEmpty })
  }

  private var unit: String {
    switch base {
    case .two: "bits"
    case .e: "nats"
    case .ten: "decimal digits"
    }
  }

  /// Fills a document.
  ///
  /// - Parameters:
  ///   - document: The document, with its origin.
  ///   - report: The accuracies.
  /// - Throws: `EncodingError` if a number is not finite.
  func fill(_ document: inout Document, _ report: PairReport) throws {
    let table = report.table
    document.highlights = [
      Document.Fact("accuracy", Document.number(report.all.share)),
      Document.Fact("95 % interval", interval(report.all)),
      Document.Fact("pairs with a score", Output.grouped(report.all.pairs)),
      Document.Fact("without a score", Output.grouped(report.all.unscored)),
    ]
    if let note = report.note { document.add([note]) }
    let bars = Figure.bars(
      title: "Accuracy of each group",
      label: "share of pairs whose right sentence is the likelier one",
      rows: table.dropFirst().compactMap { row in Double(row[4]).map { (excerpt(row[0]), $0) } })
    document.sections = [
      Document.Section(
        "Accuracy",
        (bars.map { [.figure($0)] } ?? []) + [
          .table(
            Table(
              "Groups; low and high are the ends of a 95 % interval",
              [.text("group")] + table[0].dropFirst().map { .number($0) },
              table.dropFirst().map { $0.map { excerpt($0) } }))
        ]), Document.Section("Pairs", pairBlocks),
      Document.Section("Smallest differences", [.table(worstTable)]),
    ]
    document.result = LongText(try Output.encoded(report))
  }

  private func interval(_ accuracy: PairAccuracy) -> String {
    accuracy.interval.map {
      "\(Document.number($0.lowerBound)) to \(Document.number($0.upperBound))"
    } ?? "–"
  }

  private var pairBlocks: [Document.Block] {
    guard let figure else { return [.paragraph("No pair has a score.")] }
    let cut =
      points.count < count
      ? [
        Document.Block.paragraph(
          "The figure shows the first \(Output.grouped(points.count)) of \(Output.grouped(count)) pairs."
        )
      ] : []
    return cut + [.figure(figure)]
  }

  private var worstTable: Table {
    Table(
      "Pairs by the difference of their log-probabilities in \(unit): the right sentence less the wrong one",
      [
        .number("line"), .text("group"), .number("difference"), .number("right"), .number("wrong"),
        .text("right sentence"), .text("wrong sentence"),
      ],
      worst.map { row in
        [
          Output.grouped(row.line), excerpt(row.group), Document.number(row.good - row.bad),
          Document.number(row.good), Document.number(row.bad), excerpt(row.sentences.good),
          excerpt(row.sentences.bad),
        ]
      })
  }
}
