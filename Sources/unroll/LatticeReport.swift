// `unroll score --lattice`: the best path of each lattice, and word error rates.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollTensors

/// Options of lattices.
struct LatticeOptions: ParsableArguments {
  @Flag(
    help: ArgumentHelp(
      "Choose the best path of word lattices: the text is a file in HTK's Standard Lattice Format (also .gz), "
        + "or a folder of such files."))
  var lattice = false

  @Option(
    help: ArgumentHelp(
      "Share of the lattice's own language model in the language model's log-probability, 0 to 1 (default: 0).",
      valueName: "share"))
  var latticeWeight: Double?

  @Option(
    help: ArgumentHelp(
      "Give up all but the best of the partial paths at a node that have their last N words in common "
        + "(default: all words, which is exact).", valueName: "n"))
  var recombine: Int?

  @Option(
    help: ArgumentHelp(
      "Give up partial paths that are worse by more than this than the best at their node.",
      valueName: "x"))
  var beam: Double?

  @Option(
    help: ArgumentHelp("Maximum number of partial paths that leave a node.", valueName: "n"))
  var maxTokensPerNode: Int?

  /// `true` if an option is given.
  var isGiven: Bool {
    latticeWeight != nil || recombine != nil || beam != nil || maxTokensPerNode != nil
  }

  func validate() throws {
    guard lattice || !isGiven else {
      throw ValidationError(
        "--lattice-weight, --recombine, --beam and --max-tokens-per-node need --lattice.")
    }
    if let latticeWeight, !(0...1 ~= latticeWeight) {
      throw ValidationError("--lattice-weight is a number from 0 to 1.")
    }
    if let beam, !(beam >= 0 && beam.isFinite) {
      throw ValidationError("--beam is a number, at least 0.")
    }
    for (name, value) in [("--recombine", recombine), ("--max-tokens-per-node", maxTokensPerNode)] {
      guard value.map({ $0 >= 1 }) != false else {
        throw ValidationError("\(name) is an integer, at least 1.")
      }
    }
  }
}

/// The best path of a lattice.
struct LatticeReport: Encodable {
  let utt: String
  let hyp: String
  let sentences: Int
  let am: OrNull<Double>
  let latticeLm: OrNull<Double>
  let lm: OrNull<Double>
  let total: OrNull<Double>
  let lmWeight: Double
  let wordPenalty: Double

  /// The header of the table.
  static let header = ["utt", "hyp", "sentences", "am", "lattice_lm", "lm", "total"]

  /// Describes a path in the units of a base of logarithms.
  init(_ lattice: Lattice, _ choice: LatticeChoice, _ base: Score.Base) {
    func inBase(_ nats: Double?) -> OrNull<Double> { OrNull(nats.map { $0 / base.logarithm }) }
    utt = lattice.utterance
    hyp = choice.text
    sentences = choice.sentenceCount
    am = inBase(choice.acoustic)
    latticeLm = inBase(choice.language)
    lm = inBase(choice.logProbability)
    total = inBase(choice.total)
    lmWeight = choice.languageWeight
    wordPenalty = 0 - choice.wordWeight / base.logarithm
  }

  /// The row of the table.
  var cells: [String] {
    [utt, hyp, "\(sentences)"] + [am, latticeLm, lm, total].map { cell($0.value) }
  }
}

/// The word errors of the paths of lattices.
private struct LatticeErrors {
  private let references: ReferenceTexts
  private let path: String
  private(set) var chosen = WordErrors()
  private(set) var firstPass = WordErrors()

  init(path: String) throws {
    references = try ReferenceTexts(path: path)
    self.path = path
  }

  mutating func add(_ lattice: Lattice, _ choice: LatticeChoice) throws {
    guard let reference = references[lattice.utterance] else {
      throw Refusal(
        "\(printable(path)): expected a reference of \(printable(lattice.utterance)); found none\n"
          + "  fix: give a line of its name and its words")
    }
    chosen += WordErrors(of: choice.text, reference: reference)
    let text = lattice.firstPass(scale: choice.languageWeight, word: choice.wordWeight)
    firstPass += WordErrors(of: text, reference: reference)
  }
}

/// All paths as one JSON object.
private struct LatticesReport: Encodable {
  let utterances: [LatticeReport]
  let unscored: Int
  let wer: WordErrorsReport?
  let firstPassWer: WordErrorsReport?
}

extension Score {
  /// Checks the options that go with `--lattice`.
  func checkLattice() throws {
    guard latticeOptions.lattice else { return }
    guard !nbest, !pairs, !carry, words == nil, guesses == nil, !flush, level == .word,
      stateOptions.states == nil, !mixtureOptions.isGiven, windows.context == nil, !shown.isGiven
    else {
      throw ValidationError(
        "--lattice cannot be combined with --nbest, --pairs, --carry, --words, --guesses, --flush, --states, "
          + "--level, --with, --context, --report or --plot.")
    }
    guard !nbestOptions.tune else {
      throw ValidationError("--tune needs --nbest: a lattice has too many paths to compare.")
    }
  }

  /// Prints the best path of each lattice.
  func rescoreLattices(_ model: LanguageModel) throws {
    let base = base ?? .e
    let settings = latticeSettings(base)
    var errors = try nbestOptions.reference.map { try LatticeErrors(path: $0) }
    let form: TableForm = csv ? .csv : .tsv
    var reports: [LatticeReport] = []
    var progress = Progress()
    let files = try latticeFiles()
    for (index, file) in files.enumerated() {
      let lattice = try Lattice(path: file)
      let choice = try model.bestPath(of: lattice, settings)
      let report = LatticeReport(lattice, choice, base)
      if !json, reports.isEmpty { Output.result(form.row(LatticeReport.header)) }
      reports.append(report)
      try errors?.add(lattice, choice)
      if !json { Output.result(form.row(report.cells)) }
      progress.report(index + 1, "lattices", Double(index + 1) / Double(files.count))
    }
    progress.finish()
    let unscored = reports.count { $0.lm.value == nil }
    if json {
      try Output.json(
        LatticesReport(
          utterances: reports, unscored: unscored,
          wer: errors.map { WordErrorsReport($0.chosen) },
          firstPassWer: errors.map { WordErrorsReport($0.firstPass) }))
    }
    if let errors {
      Output.note("word error rate: \(WordErrorsReport(errors.chosen).text)")
      Output.note(
        "word error rate with the lattices' own scores: \(WordErrorsReport(errors.firstPass).text)")
    }
    if unscored > 0 {
      Output.note(
        "note: \(counted(unscored, "lattice")) without a path that has a score, since words are not in the "
          + "vocabulary; the path with the best am is shown: --unknown include or penalty=X scores them"
      )
    }
  }

  private func latticeSettings(_ base: Base) -> LatticeSettings {
    var settings = LatticeSettings()
    settings.languageModel = nbestOptions.lmWeight
    settings.word = nbestOptions.wordPenalty.map { -$0 * base.logarithm }
    settings.latticeShare = latticeOptions.latticeWeight ?? 0
    settings.recombined = latticeOptions.recombine
    settings.beam = latticeOptions.beam.map { $0 * base.logarithm }
    settings.pathsPerNode = latticeOptions.maxTokensPerNode
    settings.unknown = unknown?.words(base) ?? .undefined
    settings.preparation = preparation.preparation
    return settings
  }

  /// Returns the files of a folder whose names do not begin with a dot, by name, or the one file.
  private func latticeFiles() throws -> [String] {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: text) else {
      return [text]
    }
    let files = names.filter { !$0.hasPrefix(".") }.sorted().map { "\(text)/\($0)" }
    guard !files.isEmpty else {
      throw Refusal(
        "\(printable(text)): expected lattices; found an empty folder\n"
          + "  fix: give a folder of files in HTK's Standard Lattice Format")
    }
    return files
  }
}
