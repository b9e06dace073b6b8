// The page of `unroll evaluate`: the figures, and the loss along the text.

import Foundation
import UnrollEngine
import UnrollFormat
import UnrollReport
import UnrollTensors
import UnrollTokenization

/// The page of the perplexity of one or several texts.
struct EvaluationPage {
  let texts: [String]
  let results: [Perplexity]
  let total: Perplexity
  let precision: Precision
  /// The model's tokenizer, which says where lines end.
  let tokenizer: Tokenizer
  /// The comparison with another model; `nil` for none.
  let baseline: BaselineReport?
  let interval: (Perplexity) -> (low: Double, high: Double, blocks: Int)?
  let rows: (Perplexity) -> [(name: String, value: String)]

  /// The largest number of points of the curve along the text.
  private static let pointLimit = 240
  /// The number of rows of the blocks with the largest loss.
  private static let worstCount = 15

  /// The main figure: the texts beside each other, or the loss along the only text; `nil` for a text
  /// without blocks.
  var figure: Figure? { results.count > 1 ? bars : course }

  /// Fills a document.
  ///
  /// - Parameter document: The document, with its origin.
  /// - Throws: `EncodingError` if a number is not finite.
  func fill(_ document: inout Document) throws {
    document.highlights = [
      Document.Fact(total.headline.name, Document.number(total.headline.value)),
      Document.Fact("nats a token", Document.number(total.nll)),
      Document.Fact("bits a word", Document.number(total.bitsPerWord)),
      Document.Fact("predictions", Output.grouped(total.predictions)),
    ]
    if let baseline {
      document.highlights.append(
        Document.Fact(
          "nats a token, less the baseline", Document.number(baseline.nllDifference.value)))
    }
    let figures = rows(total).map { Document.Fact($0.name, $0.value) }
    document.sections =
      (results.count > 1 ? [textSection] : [])
      + [Document.Section("Figures", [.facts(figures)])]
      + (baseline.map { [$0.section(beside: total)] } ?? [])
      + (total.details.map { DetailsReport($0).sections } ?? [])
      + (course.map { [courseSection($0)] } ?? [])
    document.result = LongText(try json)
  }

  private var json: String {
    get throws {
      func report(_ result: Perplexity) -> PerplexityReport {
        PerplexityReport(
          result, precision, interval: interval(result), baseline: baseline, withTimes: false)
      }
      guard results.count > 1 else { return try Output.encoded(report(total)) }
      return try Output.encoded(
        SeveralTextsReport(
          texts: zip(texts, results).map { SeveralTextsReport.Row(text: $0, result: report($1)) },
          all: report(total)))
    }
  }

  // MARK: Texts

  private var textSection: Document.Section {
    let rows = zip(texts.map(printable) + ["all"], results + [total]).map { name, result in
      let bounds = interval(result)
      return [
        name, Output.grouped(result.predictions), Document.number(result.nll),
        Document.number(result.headline.value), Document.number(bounds?.low),
        Document.number(bounds?.high),
      ]
    }
    let table = Table(
      "Texts; low and high are the ends of a 95 % bootstrap interval of \(total.headline.name)",
      [
        .text("text"), .number("predictions"), .number("nll"), .number(total.headline.name),
        .number("low"), .number("high"),
      ], rows)
    return Document.Section("Texts", (bars.map { [.figure($0)] } ?? []) + [.table(table)])
  }

  private var bars: Figure? {
    let name = total.headline.name
    return .bars(
      title: "\(name.prefix(1).uppercased())\(name.dropFirst()) of each text", label: name,
      rows: zip(texts, results).map { (printable($0), $1.headline.value) })
  }

  // MARK: Blocks

  private func courseSection(_ course: Figure) -> Document.Section {
    let blocks = total.blockLosses
    let worst = blocks.indices.sorted {
      (blocks[$1].loss, $0) < (blocks[$0].loss, $1)
    }.prefix(Self.worstCount)
    let lines = lines(at: Set(worst))
    let table = Table(
      lines == nil ? "Blocks with the largest loss" : "Lines with the largest loss",
      [.number(lines == nil ? "block" : "line"), .number("nats a token"), .number("predictions")]
        + (lines == nil ? [] : [.text("text")]),
      worst.map { index in
        [
          Output.grouped(index + 1), Document.number(blocks[index].loss),
          Output.grouped(blocks[index].predictions),
        ] + (lines.map { [$0[index] ?? ""] } ?? [])
      })
    return Document.Section(
      "Loss along the text",
      [
        .paragraph(
          "A block is a line or a window of the text, or several where there are many; the interval is a bootstrap over "
            + "them."), .figure(course),
      ] + (distribution.map { [.figure($0)] } ?? []) + [.table(table)])
  }

  /// Returns the texts of some lines by their indices; `nil` if a block is not a line of a file that
  /// can be read again.
  private func lines(at indices: Set<Int>) -> [Int: String]? {
    let perLine: [PerplexityProtocol] = [.sentence, .srilm, .kenlm]
    guard texts.count == 1, perLine.contains(total.protocol),
      total.blockLosses.count == total.lines,
      var reader = LineReader.peeking(into: texts[0], for: tokenizer)
    else { return nil }
    var found: [Int: String] = [:]
    var count = 0
    while let line = try? reader.next() {
      if indices.contains(count) {
        let text = String(decoding: line.bytes, as: UTF8.self)
        found[count] = excerpt(text.hasSuffix("\n") ? String(text.dropLast()) : text)
      }
      count += 1
    }
    // Blank lines that the protocol skips would shift the others.
    return count == total.lines ? found : nil
  }

  /// The mean loss of groups of neighboring blocks; `nil` with fewer than two blocks.
  private var course: Figure? {
    let blocks = total.blockLosses
    guard blocks.count > 1 else { return nil }
    let size = (blocks.count + Self.pointLimit - 1) / Self.pointLimit
    let points = stride(from: 0, to: blocks.count, by: size).map { start in
      let group = blocks[start..<min(start + size, blocks.count)]
      let predictions = group.reduce(0) { $0 + $1.predictions }
      let loss = group.reduce(0) { $0 + $1.loss * Double($1.predictions) } / Double(predictions)
      return Figure.Point(x: Double(start + 1), y: loss)
    }
    let losses = points.map(\.y).filter(\.isFinite)
    guard let low = losses.min(), let high = losses.max() else { return nil }
    let margin = high > low ? (high - low) / 20 : max(abs(high) / 100, 1e-3)
    return Figure(
      title: size == 1
        ? "Loss of each block" : "Mean loss of \(counted(size, "neighboring block"))",
      summary: "Losses from \(Document.number(low)) to \(Document.number(high)) nats a token over "
        + "\(counted(blocks.count, "block")).",
      x: Figure.Axis(label: "block", range: 1...Double(blocks.count)),
      y: Figure.Axis(label: "loss, in nats a token", range: (low - margin)...(high + margin)),
      series: [Figure.Series(name: "loss", points: points)],
      marks: [.y(total.nll, "all predictions, \(Document.number(total.nll))")])
  }

  private var distribution: Figure? {
    .histogram(
      title: "Distribution of the losses of blocks", label: "loss, in nats a token",
      unit: "blocks", values: total.blockLosses.map(\.loss).filter(\.isFinite))
  }
}
