// `unroll evaluate`: measures the perplexity of a text.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollNeural
import UnrollReport
import UnrollTensors
import UnrollTokenization

struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure the perplexity of a text.",
    discussion: """
      `unroll evaluate poet.unroll.h5 test.txt --protocol sentence`

      Several texts get a row each. A protocol says which tokens are predicted and from what: stream is one stream, \
      columns is that of word_language_model, sentence is each line alone; srilm, kenlm and lm-eval print the figures of \
      these programs, and window is for models trained on windows. Details: docs/reference/verbs.md
      """)

  @OptionGroup var options: RunningModelOptions

  @OptionGroup(title: "Text") var preparation: PreparationOptions

  @Argument(help: "Texts: files, .gz files, or - for standard input.")
  var texts: [String] = []

  @Option(
    help: "Evaluation protocol."
  )
  var `protocol`: PerplexityProtocol = .stream

  @OptionGroup(title: "Windows") var windows: WindowOptions

  @Flag(help: "Let windows cross lines (--protocol window).")
  var carry = false

  @OptionGroup(title: "Text") var unknownText: UnknownTextOptions

  @OptionGroup(title: "Confidence interval") var bootstrap: BootstrapOptions

  @OptionGroup(title: "Further figures") var further: DetailOptions

  @OptionGroup(title: "Interpolation") var mixtureOptions: MixtureOptions

  @OptionGroup(title: "Adaptation to the text") var adaptation: AdaptationOptions

  @OptionGroup(title: "Parts of a text") var parts: EvaluationPartOptions

  @Flag(help: "Estimate time and memory from a few seconds of work, and stop.")
  var estimate = false

  @OptionGroup(title: "Page and figure") var shown: ReportOptions

  @Flag(help: "Replace the page and the figure if they exist.")
  var force = false

  @Flag(help: "Print the result as one JSON object.")
  var json = false

  func validate() throws {
    guard !texts.isEmpty || parts.merge else {
      throw ValidationError("Missing expected argument '<texts> ...'")
    }
    guard !estimate || !shown.isGiven else {
      throw ValidationError("--estimate is without --report and --plot.")
    }
    guard (`protocol` == .window) == (windows.context != nil) else {
      throw ValidationError("--protocol window needs --context N, and --context N this protocol.")
    }
    guard !carry || `protocol` == .window else {
      throw ValidationError("--carry needs --protocol window.")
    }
    guard !estimate || (!adaptation.isGiven && texts.count == 1 && texts != ["-"]) else {
      throw ValidationError("--estimate is for one file, without --cache and --dynamic.")
    }
    guard texts.filter({ $0 == "-" }).count < 2 else {
      throw ValidationError("Standard input can be one of the texts only.")
    }
    guard adaptation.dynamic == nil || !unknownText.leavesOut else {
      throw ValidationError("--unknown drop does not go with --dynamic.")
    }
    guard !adaptation.isGiven || `protocol` == .stream else {
      throw ValidationError("--cache and --dynamic are for the protocol stream.")
    }
    if adaptation.dynamic != nil, !Precision.ofTraining.contains(options.precision) {
      throw ValidationError("--dynamic needs --precision f32 or bf16.")
    }
    try parts.check(
      `protocol`, texts: texts, json: json,
      excludes: further.isGiven || adaptation.isGiven || mixtureOptions.isGiven || carry || estimate
        || shown.isGiven)
    try mixtureOptions.check(
      `protocol`, excludes: adaptation.isGiven || estimate || further.isGiven)
    try further.check(
      `protocol`, texts: texts, adapts: adaptation.isGiven || estimate,
      leavesOutUnknown: unknownText.leavesOut)
  }

  func run() throws {
    guard !estimate else {
      let work = try Progress.during("measuring") {
        let model = try options.load(leavingOutUnknown: unknownText.leavesOut)
        return try model.estimate(
          ofText: texts[0], protocol: `protocol`, window: windows.window(of: model),
          crossesLines: carry, preparation: preparation.preparation)
      }
      return try EstimateReport(work).print(json: json)
    }
    try checkLauncher(part: parts.part)
    guard !parts.merge else {
      let (total, precision) = try EvaluationPartOptions.merged([options.path] + texts)
      var shown = self
      shown.options.precision = precision
      return try shown.print([total], total, nil)
    }
    try shown.check(inputs: [options.path] + texts, replacing: force, json: json)
    let checkpoint = try options.checkpoint()
    let measure = try measurement(checkpoint)
    let results = try texts.map { text in
      var progress = Progress()
      let result = try measure(text) { state in
        progress.report { seconds in progressLine(state, seconds) }
      }
      progress.finish()
      return result
    }
    guard let total = Perplexity.total(of: results) else { return }
    let baseline = try comparison()
    let part = try part(total, of: checkpoint)
    if let part, total.predictions == 0 {
      Output.note("note: no line of \(printable(texts[0])) begins in part \(part.part)")
      return try Output.json(["part": part])
    }
    if !shown.printsFigure { try print(results, total, baseline, part) }
    unknownText.note(total.leftOut)
    let notes = notes(total)
    for note in notes { Output.note(note) }
    guard shown.isGiven else { return }
    let page = EvaluationPage(
      texts: texts, results: results, total: total, precision: options.precision,
      tokenizer: checkpoint.tokenizer, baseline: baseline,
      interval: interval, rows: rows)
    try shown.write(
      {
        var document = Document(
          title: "Perplexity of \(texts.count == 1 ? texts[0] : counted(texts.count, "text"))",
          lead:
            "The model \(printable(options.path)) predicts the text; protocol \(`protocol`.rawValue), "
            + "\(total.context).",
          files: ["model": options.path], weights: checkpoint.statedDigest, texts: texts)
        if let baseline {
          document.facts.append(Document.Fact("baseline", printable(baseline.model)))
        }
        document.add(notes)
        try page.fill(&document)
        return document
      }, figure: page.figure, replacing: force)
  }

  private func notes(_ total: Perplexity) -> [String] {
    var notes: [String] = []
    if total.unknown > 0 {
      notes.append(
        "note: \(Output.grouped(total.unknown)) \(total.unknown == 1 ? "word is" : "words are") not in the "
          + "vocabulary; each counts with the probability of unknown words as a whole, which flatters the perplexity"
      )
    }
    if [.srilm, .kenlm].contains(`protocol`) && total.lineEndings == 0 {
      notes.append(
        "note: this model does not predict the end of a line, as \(`protocol` == .srilm ? "SRILM" : "KenLM") does: the "
          + "perplexities are over the words alone, and cannot be compared with that program's")
    }
    return notes
      + [
        warningOfGuessing(
          nll: total.nll, count: total.predictions, vocabularySize: total.vocabularySize)
      ].compactMap { $0 }
  }

  /// Prints the result of one text, or a row for each text and one for all.
  private func print(
    _ results: [Perplexity], _ total: Perplexity, _ baseline: BaselineReport?,
    _ part: PerplexityPart? = nil
  ) throws {
    guard results.count > 1 else {
      guard json else {
        printTable(total)
        let details = total.details.map { DetailsReport($0).lines } ?? []
        for line in (baseline?.lines ?? []) + details { Output.result(line) }
        return
      }
      return try Output.json(
        PerplexityReport(
          total, options.precision, interval: interval(total), baseline: baseline, part: part))
    }
    guard json else { return printRows(results, total) }
    func report(_ result: Perplexity) -> PerplexityReport {
      PerplexityReport(result, options.precision, interval: interval(result))
    }
    try Output.json(
      SeveralTextsReport(
        texts: zip(texts, results).map { SeveralTextsReport.Row(text: $0, result: report($1)) },
        all: report(total)))
  }

  /// Returns the part of the text that was measured, for `--merge`; `nil` for the whole.
  private func part(_ total: Perplexity, of model: Checkpoint) throws -> PerplexityPart? {
    guard let part = parts.part else { return nil }
    let text = try MappedFile(path: texts[0])
    return PerplexityPart(
      total, part: part, text: texts[0], textBytes: text.count,
      textDigest: String(ProvenanceEntry.input(text).prefix { $0 != " " }),
      model: model.weightsDigest,
      settings: [
        "precision": options.precision.rawValue,
        "normalize": preparation.preparation.normalization.rawValue,
        "lowercase": preparation.lowercase ? "1" : "0",
        "unknown": unknownText.leavesOut ? "drop" : "kept",
      ])
  }

  private func printRows(_ results: [Perplexity], _ total: Perplexity) {
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
    for line in TextLayout.table(head, rows, textColumns: [0]) { Output.result(line) }
    let figure = total.figures.isEmpty ? "" : "; ppl is \(total.headline.name)"
    Output.note(
      "note: protocol \(`protocol`.rawValue), \(total.context); nll in nats a token; the last row is over all "
        + "predictions\(figure)")
  }

  private func progressLine(_ state: EvaluationProgress, _ seconds: Double) -> String {
    let result = state.perplexity
    let speed = Double(result.predictions) / seconds
    var line =
      "\(Output.grouped(result.predictions)) tokens, "
      + String(printf: "perplexity %.2f", result.perplexity)
    if let fraction = state.fraction, fraction > 0 {
      line +=
        String(printf: ", %.0f %%, ", 100 * fraction)
        + "\(Output.duration(seconds / fraction - seconds)) left"
    }
    line += ", \(Output.grouped(Int(speed))) tokens/s"
    return line
  }

  /// Returns the measurement of a text; the model is opened once for all.
  private func measurement(_ checkpoint: Checkpoint) throws -> (
    _ text: String, _ progress: (EvaluationProgress) -> Void
  ) throws -> Perplexity {
    if let dynamic = adaptation.dynamicEvaluation {
      return { text, progress in
        try UnrollEngine.perplexity(
          ofText: text, adapting: checkpoint, path: options.path,
          by: dynamic, precision: options.precision, preparation: preparation.preparation,
          progress: progress)
      }
    }
    let model = try options.load(checkpoint, leavingOutUnknown: unknownText.leavesOut)
    let mixture = try mixtureOptions.mixture(
      of: model, options, protocol: `protocol`, preparation: preparation.preparation)
    var taken = preparation.preparation
    taken.part = parts.part
    return { [taken] text, progress in
      warnOfLineEnds(inText: text, model.encoder, isLowered: preparation.lowercase)
      if let cache = adaptation.neuralCache {
        return try model.perplexity(
          ofText: text, with: cache, preparation: preparation.preparation, progress: progress)
      }
      return try model.perplexity(
        ofText: text, protocol: `protocol`, window: windows.window(of: model), crossesLines: carry,
        preparation: taken, withDetails: further.details,
        mixture: mixture, progress: progress)
    }
  }

  /// Returns the comparison with the baseline; `nil` without one.
  private func comparison() throws -> BaselineReport? {
    guard let baseline = further.baseline else { return nil }
    var other = options
    other.options.model = baseline
    let models = [try other.load(), try options.load()]
    var progress = Progress()
    let difference = try TextDifference(
      models, onText: texts[0], carriesState: `protocol` == .stream,
      preparation: preparation.preparation
    ) { progress.report($0, "predictions compared", nil) }
    progress.finish()
    return BaselineReport(baseline, difference, bootstrap)
  }

  private func interval(_ result: Perplexity) -> (low: Double, high: Double, blocks: Int)? {
    result.interval(resamples: bootstrap.resamples, seed: bootstrap.seed)
  }

  private func printTable(_ result: Perplexity) {
    let time =
      String(printf: "%.2f s, ", result.seconds)
      + Output.grouped(Int(result.tokensPerSecond)) + " tokens/s"
    for (name, value) in rows(result) + [("time", time)] {
      Output.result(name + String(repeating: " ", count: max(1, 16 - name.count)) + value)
    }
  }

  /// Returns names and values of the figures, without the time.
  private func rows(_ result: Perplexity) -> [(name: String, value: String)] {
    var rows: [(name: String, value: String)] = []
    func row(_ name: String, _ value: String) { rows.append((name, value)) }
    func number(_ value: Double) -> String { String(printf: "%.6f", value) }
    row("protocol", result.protocol.rawValue)
    if let adaptation = result.adaptation { row("adaptation", adaptation) }
    if options.precision != .float32 { row("precision", options.precision.rawValue) }
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
    if unknownText.leavesOut { row("left out", Output.grouped(result.leftOut)) }
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

extension PerplexityProtocol: ExpressibleByArgument {}
