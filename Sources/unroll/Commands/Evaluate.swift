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

  @OptionGroup var output: EvaluationOutput

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
      `protocol`, texts: texts, json: output.json,
      excludes: needsWholeText)
    try mixtureOptions.check(
      `protocol`, excludes: adaptation.isGiven || estimate || further.isGiven)
    try further.check(
      `protocol`, texts: texts, adapts: adaptation.isGiven || estimate,
      leavesOutUnknown: unknownText.leavesOut)
  }

  /// `true` if there is an option that needs the whole text.
  var needsWholeText: Bool {
    further.isGiven || adaptation.isGiven || mixtureOptions.isGiven || carry || estimate
      || shown.isGiven
  }

  func run() throws {
    guard !Launcher.isShared || parts.part != nil || parts.merge else { return try runShared() }
    guard !estimate else {
      let work = try Progress.during("measuring") {
        let model = try options.load(leavingOutUnknown: unknownText.leavesOut)
        return try model.estimate(
          ofText: texts[0], protocol: `protocol`, window: windows.window(of: model),
          crossesLines: carry, preparation: preparation.preparation)
      }
      return try EstimateReport(work).print(json: output.json)
    }
    guard !parts.merge else {
      let (total, precision) = try EvaluationPartOptions.merged([options.path] + texts)
      return try output.print(figures([total], total, precision))
    }
    try shown.check(inputs: [options.path] + texts, replacing: force, json: output.json)
    let checkpoint = try options.checkpoint()
    let measure = try measurement(checkpoint)
    let results = try texts.map { try measured($0, by: measure) }
    guard let total = Perplexity.total(of: results) else { return }
    let baseline = try comparison()
    let part = try part(total, of: checkpoint)
    if let part, total.predictions == 0 {
      Output.note("note: no line of \(printable(texts[0])) begins in part \(part.part)")
      return try Output.json(["part": part])
    }
    var figures = figures(results, total, options.precision)
    (figures.baseline, figures.part) = (baseline, part)
    if !shown.printsFigure { try output.print(figures) }
    unknownText.note(total.leftOut)
    let notes = notes(total)
    for note in notes { Output.note(note) }
    guard shown.isGiven else { return }
    let page = EvaluationPage(
      texts: texts, results: results, total: total, precision: options.precision,
      tokenizer: checkpoint.tokenizer, baseline: baseline,
      interval: figures.interval, rows: figures.rows)
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

  /// Measures a text, with progress.
  private func measured(_ text: String, by measure: Measurement) throws -> Perplexity {
    var progress = Progress()
    let result = try measure(text) { state in
      progress.report { seconds in progressLine(state, seconds) }
    }
    progress.finish()
    return result
  }

  /// Measures the part of the text that the options name.
  func measuredPart() throws -> PerplexityPart {
    let checkpoint = try options.checkpoint()
    let result = try measured(texts[0], by: try measurement(checkpoint))
    guard let part = try part(result, of: checkpoint) else {
      throw Refusal("expected a part of \(printable(texts[0])); found none\n  fix: give --part")
    }
    return part
  }

  /// Prints the figures of a text from those of all its parts.
  func printMerged(_ parts: [(path: String, part: PerplexityPart)]) throws {
    let total = try PerplexityPart.merged(parts)
    try output.print(figures([total], total, options.precision))
    unknownText.note(total.leftOut)
    for note in notes(total) { Output.note(note) }
  }

  private func figures(
    _ results: [Perplexity], _ total: Perplexity, _ precision: Precision
  ) -> EvaluationFigures {
    EvaluationFigures(
      texts: texts, results: results, total: total, precision: precision, bootstrap: bootstrap,
      leavesOutUnknown: unknownText.leavesOut)
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

  /// Returns the part of the text that was measured, for `--merge`; `nil` for the whole.
  private func part(_ total: Perplexity, of model: Checkpoint) throws -> PerplexityPart? {
    guard let part = parts.part else { return nil }
    let text = try MappedFile(path: texts[0])
    return PerplexityPart(
      total, part: part, text: texts[0], textBytes: text.count,
      textDigest: String(ProvenanceEntry.input(text).prefix { $0 != " " }),
      model: model.weightsDigest,
      settings: [
        // The digest of weights does not cover the vocabulary and the tokenizer.
        "model_file": UnrollFormat.digest(of: try MappedFile(path: options.path)),
        "precision": options.precision.rawValue,
        "normalize": preparation.preparation.normalization.rawValue,
        "lowercase": preparation.lowercase ? "1" : "0",
        "unknown": unknownText.leavesOut ? "drop" : "kept",
      ])
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

  private typealias Measurement = (
    _ text: String, _ progress: (EvaluationProgress) -> Void
  ) throws -> Perplexity

  /// Returns the measurement of a text; the model is opened once for all.
  private func measurement(_ checkpoint: Checkpoint) throws -> Measurement {
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
      if let cache = adaptation.caching.neuralCache {
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
}

extension PerplexityProtocol: ExpressibleByArgument {}
