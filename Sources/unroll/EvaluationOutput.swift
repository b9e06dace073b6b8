// The figures of `unroll evaluate`, and the forms in which it prints them.

import ArgumentParser
import UnrollEngine
import UnrollFormat
import UnrollTensors

/// The form of the figures.
struct EvaluationOutput: ParsableArguments {
  @Flag(help: "Print the result as one JSON object.")
  var json = false

  /// Prints the figures of one text, or a row for each text and one for all.
  func print(_ figures: EvaluationFigures) throws {
    guard json else {
      for line in figures.results.count > 1 ? figures.table : figures.lines { Output.result(line) }
      if figures.results.count > 1 { Output.note(figures.noteOnTable) }
      return
    }
    guard figures.results.count > 1 else {
      return try Output.json(
        figures.report(figures.total, baseline: figures.baseline, part: figures.part))
    }
    try Output.json(
      SeveralTextsReport(
        texts: zip(figures.texts, figures.results).map {
          SeveralTextsReport.Row(text: $0, result: figures.report($1))
        },
        all: figures.report(figures.total)))
  }
}

/// The perplexity of one or several texts, with what is printed beside it.
struct EvaluationFigures {
  let texts: [String]
  let results: [Perplexity]
  /// Over all predictions.
  let total: Perplexity
  let precision: Precision
  let bootstrap: BootstrapOptions
  let leavesOutUnknown: Bool
  /// The comparison with another model; `nil` for none.
  var baseline: BaselineReport?
  /// The part of the text that was measured; `nil` for the whole.
  var part: PerplexityPart?

  /// Returns the confidence interval of a result.
  func interval(_ result: Perplexity) -> (low: Double, high: Double, blocks: Int)? {
    result.interval(resamples: bootstrap.resamples, seed: bootstrap.seed)
  }

  /// Returns a result as it is encoded.
  func report(
    _ result: Perplexity, baseline: BaselineReport? = nil, part: PerplexityPart? = nil
  ) -> PerplexityReport {
    PerplexityReport(
      result, precision, interval: interval(result), baseline: baseline, part: part)
  }

  /// The figures of the only text, one a line.
  var lines: [String] {
    let time =
      String(printf: "%.2f s, ", total.seconds)
      + Output.grouped(Int(total.tokensPerSecond)) + " tokens/s"
    return (rows(total) + [("time", time)]).map { name, value in
      name + String(repeating: " ", count: max(1, 16 - name.count)) + value
    } + (baseline?.lines ?? []) + (total.details.map { DetailsReport($0).lines } ?? [])
  }

  /// A row for each text, and one for all.
  var table: [String] {
    let names = texts.map { text in
      // The end of a path tells files apart.
      let name = printable(text)
      return name.count <= 36 ? name : "…" + name.suffix(35)
    }
    let rows = zip(names + ["all"], results + [total]).map { name, result in
      [
        name, Output.grouped(result.predictions), String(printf: "%.6f", result.nll),
        String(printf: "%.4f", result.headline.value),
      ]
    }
    let head = ["text", "predictions", "nll", total.figures.isEmpty ? "perplexity" : "ppl"]
    return TextLayout.table(head, rows, textColumns: [0])
  }

  /// The meaning of the table's columns.
  var noteOnTable: String {
    let figure = total.figures.isEmpty ? "" : "; ppl is \(total.headline.name)"
    return
      "note: protocol \(total.protocol.rawValue), \(total.context); nll in nats a token; the last row is over all "
      + "predictions\(figure)"
  }

  /// Returns names and values of the figures, without the time.
  func rows(_ result: Perplexity) -> [(name: String, value: String)] {
    var rows: [(name: String, value: String)] = []
    func row(_ name: String, _ value: String) { rows.append((name, value)) }
    func number(_ value: Double) -> String { String(printf: "%.6f", value) }
    row("protocol", result.protocol.rawValue)
    if let adaptation = result.adaptation { row("adaptation", adaptation) }
    if precision != .float32 { row("precision", precision.rawValue) }
    for (path, weight) in result.mixture {
      row("mixture", number(weight) + " " + printable(path))
    }
    row("context", result.context)
    row("first token", result.firstToken)
    row("line ends", result.lineEnds)
    row(
      result.figures.contains { $0.name == "tokens" } ? "model tokens" : "tokens",
      Output.grouped(result.tokens))
    row("predictions", Output.grouped(result.predictions))
    row("words", Output.grouped(result.words))
    row("bytes", Output.grouped(result.bytes))
    row("unknown", Output.grouped(result.unknown))
    if leavesOutUnknown { row("left out", Output.grouped(result.leftOut)) }
    let isOwn = result.figures.isEmpty
    row(
      "divisor",
      isOwn
        ? "the predictions: nll and perplexity are of their mean"
        : "the predictions: nll is their mean")
    row("nll", number(result.nll) + " nats a token")
    if isOwn { row("perplexity", number(result.perplexity)) }
    for (name, value) in result.figures where value.isFinite {
      row(
        name, value.rounded() == value && value < 1e15 ? Output.grouped(Int(value)) : number(value))
    }
    if let (low, high, blocks) = interval(result) {
      row(
        "interval",
        "\(number(low)) to \(number(high)), 95 % by bootstrap over \(Output.grouped(blocks)) blocks"
          + (isOwn ? "" : ", of \(result.headline.name)"))
    }
    row("bits per token", number(result.bitsPerToken))
    row("bits per word", result.bitsPerWord.map(number) ?? "-")
    row("bits per byte", result.bitsPerByte.map(number) ?? "-")
    return rows
  }
}
