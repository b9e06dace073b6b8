// `unroll score`: computes surprisal of tokens and words, and log-probabilities of sentences.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollReport
import UnrollTensors

struct Score: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Score each token, word or line of a text.",
    discussion: """
      `unroll score poet.unroll.h5 sentences.txt > surprisal.tsv`

      Each line is a sentence of its own, unless --carry is given. The result is TSV, or CSV with --csv; NA is a missing \
      number. The columns are in docs/reference/output.md, what --boundary and --unknown count in docs/reference/verbs.md.
      """)

  enum ScoreLevel: String, ExpressibleByArgument, CaseIterable {
    case token
    case word
    case sentence
  }

  enum Base: String, ExpressibleByArgument, CaseIterable {
    case two = "2"
    case e
    case ten = "10"

    /// The natural logarithm of the base.
    var logarithm: Double {
      switch self {
      case .two: Elementary.log(2)
      case .e: 1
      case .ten: Elementary.log(10)
      }
    }
  }

  @OptionGroup var options: RunningModelOptions

  @Argument(help: "Text: a file, a .gz file, or - for standard input.")
  var text: String

  @Option(help: "Unit of the table.")
  var level: ScoreLevel = .word

  @Option(
    help: "Base of logarithms (default: 2 for surprisal, e for sentences).")
  var base: Base?

  @Option(help: "Word boundary that a word's probability includes.")
  var boundary: WordBoundary = .after

  @Option(
    help: ArgumentHelp(
      "Unknown words: include or penalty=X (number of the unknown token, less X), exclude, drop (leave them out of the text); default: NA.",
      valueName: "choice"))
  var unknown: UnknownChoice?

  @OptionGroup(title: "Windows") var windows: WindowOptions

  @Flag(help: "Carry the state from line to line.")
  var carry = false

  @Option(
    help: ArgumentHelp(
      "The words of each line, between white space (or tabs, in a line with one), if they are not the "
        + "text's own parts.",
      valueName: "file"))
  var words: String?

  @Option(
    help: ArgumentHelp(
      "Add the rank of each token among all, and the N likeliest tokens in its place; with --level word those of the word's "
        + "first token.",
      valueName: "n"))
  var guesses: Int?

  @Flag(
    help:
      "Compare minimal pairs: the text is JSON lines, or TSV with a header, of sentence_good and sentence_bad."
  )
  var pairs = false

  @OptionGroup(title: "Minimal pairs") var pairOptions: PairOptions

  @Flag(
    help: ArgumentHelp(
      "Choose among hypotheses: the text is an n-best list of utterance, score and hypothesis, as TSV, JSON "
        + "lines or Kaldi's lines."))
  var nbest = false

  @OptionGroup(title: "N-best lists") var nbestOptions: NBestOptions

  @OptionGroup(title: "Lattices") var latticeOptions: LatticeOptions

  @OptionGroup(title: "Interpolation") var mixtureOptions: MixtureOptions

  @OptionGroup(title: "Adaptation") var dynamicOptions: DynamicOptions

  @OptionGroup(title: "States") var stateOptions: StateOptions

  @OptionGroup(title: "Text") var preparation: PreparationOptions

  @OptionGroup(title: "Parts of a text") var parts: PartOptions

  @OptionGroup(title: "Page and figure") var shown: ReportOptions

  @OptionGroup(title: "Page and figure") var beside: ScoreBaselineOptions

  @Flag(help: "Print the table as CSV (RFC 4180).")
  var csv = false

  @Flag(help: "Print one JSON object per line of the text.")
  var json = false

  @Flag(help: "Answer each line as soon as it arrives, for use in a pipe.")
  var flush = false

  func validate() throws {
    guard !csv || !json else {
      throw ValidationError("--csv and --json cannot be combined.")
    }
    if pairs || nbest {
      guard !carry, words == nil, guesses == nil, !flush, level == .word, pairs != nbest,
        stateOptions.states == nil
      else {
        throw ValidationError(
          "\(pairs ? "--pairs" : "--nbest") cannot be combined with --carry, --words, --guesses, --flush, "
            + "--states, --level or \(pairs ? "--nbest" : "--pairs").")
      }
    }
    if pairOptions.isGiven && !pairs {
      throw ValidationError("--compare, --group and --each need --pairs.")
    }
    try checkLattice()
    if nbestOptions.isGiven && !nbest && !latticeOptions.lattice {
      throw ValidationError(
        "--lm-weight, --word-penalty, --reference and --tune need --nbest (or --lattice, but for --tune)."
      )
    }
    if nbest, windows.context != nil {
      throw ValidationError("--nbest cannot be combined with --context.")
    }
    if shown.isGiven, nbest || level == .sentence {
      throw ValidationError(
        "--report and --plot show words, tokens or pairs: leave --nbest and --level sentence out.")
    }
    if beside.baseline != nil {
      guard shown.report != nil, !pairs, !mixtureOptions.isGiven, !dynamicOptions.isGiven,
        text != "-"
      else {
        throw ValidationError(
          "--baseline needs --report and the file of a text, and cannot be combined with --pairs, --with, --dynamic or --cache."
        )
      }
    }
    guard
      !mixtureOptions.isGiven
        || (!carry && guesses == nil && windows.context == nil && stateOptions.states == nil)
    else {
      throw ValidationError(
        "--with cannot be combined with --carry, --guesses, --context or --states.")
    }
    try dynamicOptions.check(
      options.precision, files: [text],
      excludes: carry || windows.context != nil || pairs || nbest || latticeOptions.lattice
        || mixtureOptions.isGiven
        || stateOptions.states != nil || unknown?.leavesOut == true)
    guard parts.part == nil || !wholeTextOptions.contains(where: \.isGiven) else {
      let names = wholeTextOptions.map(\.name)
      throw ValidationError(
        "--part cannot be combined with \(names.dropLast().joined(separator: ", ")) or \(names.last ?? "")."
      )
    }
    guard stateOptions.states == nil || windows.context == nil else {
      throw ValidationError("--states cannot be combined with --context.")
    }
    if let guesses {
      guard 1...1000 ~= guesses else { throw ValidationError("--guesses is 1 to 1000.") }
      guard level != .sentence else {
        throw ValidationError("--guesses needs --level token or word.")
      }
    }
  }

  func run() throws {
    guard !Launcher.isShared || parts.part != nil else { return try runShared() }
    let force = stateOptions.force
    try shown.check(
      inputs: [options.path, text] + [beside.baseline].compactMap { $0 }, replacing: force,
      json: json)
    var dynamic = try dynamicOptions.scoring(
      options, force: force, inputs: [text] + [words].compactMap { $0 })
    let checkpoint = try options.checkpoint()
    let model =
      try dynamic?.model
      ?? options.load(checkpoint, leavingOutUnknown: unknown?.leavesOut == true)
    var cached = dynamicOptions.caching.neuralCache.map { CacheScoring(model, $0) }
    if let cached { Output.note("note: \(cached.description)") }
    let mixture = try mixtureOptions.mixture(
      of: model, options, protocol: .sentence, preparation: preparation.preparation)
    if let mixture { Output.note(mixture.note) }
    if latticeOptions.lattice { return try rescoreLattices(model) }
    if pairs { return try comparePairs(model, mixture, weights: checkpoint.statedDigest) }
    if nbest { return try rescore(model, mixture) }
    warnOfLineEnds(inText: text, model.encoder, isLowered: preparation.lowercase)
    let settings = try settings(model, mixture)
    let style = style(model, settings, adaptation: dynamic?.description ?? cached?.description)
    let states = try stateOptions.file(
      of: model, level: level, carry: carry,
      inputs: [options.path, text] + [words].compactMap { $0 })
    var totals = ScoreTotals()
    let baseline = try beside.scores(
      ofText: text, like: options, settings, windows: windows, style)
    var page = shown.isGiven ? ScorePage(style, beside: baseline, model: options.path) : nil
    var progress = Progress()
    var notes = self.notes(model)
    for note in notes { Output.note(note) }
    func print(_ sentence: SentenceScore, _ fraction: Double?) throws {
      if totals.lines == 0, hasHeader { printHeader(style) }
      totals.add(sentence)
      try states?.add(sentence)
      let report = SentenceReport(sentence, style)
      let object = json ? try report.json : nil
      try page?.add(report, object: object)
      if let object {
        Output.result(object)
      } else if !shown.printsFigure {
        for row in report.rows { Output.result(style.form.row(row)) }
      }
      if flush { fflush(nil) }
      progress.report(sentence.line, "lines", fraction)
    }
    try dynamic?.score(text: text, settings, print)
      ?? cached?.score(text: text, settings, print) ?? model.score(text: text, settings, print)
    progress.finish()
    try dynamicOptions.save(dynamic, text: text, replacing: stateOptions.force)
    try states?.finish()
    if totals.lines == 0, hasHeader { printHeader(style) }
    for note in self.notes(totals, model, style) {
      Output.note(note)
      notes.append(note)
    }
    if let page { try write(page, notes, weights: checkpoint.statedDigest) }
  }

  /// `true` unless the table goes on behind that of the part before.
  private var hasHeader: Bool { (parts.part?.index ?? 1) == 1 }

  private func write(_ page: ScorePage, _ notes: [String], weights: String?) throws {
    try shown.write(
      {
        var document = Document(
          title: "Surprisal of \(text == "-" ? "a text" : text)",
          lead:
            "The model \(printable(options.path)) predicts each \(level.rawValue) from the text before it.",
          files: ["model": options.path], weights: weights, texts: [text])
        if let baseline = beside.baseline {
          document.facts.append(Document.Fact("baseline", printable(baseline)))
        }
        document.add(notes)
        try page.fill(&document)
        return document
      }, figure: page.histogram, replacing: stateOptions.force)
  }

  private func printHeader(_ style: ScoreStyle) {
    guard !json, !shown.printsFigure else { return }
    Output.result(style.form.row(style.header))
  }
}
