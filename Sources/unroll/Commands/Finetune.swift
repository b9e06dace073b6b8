// `unroll finetune`: trains an existing model.

import ArgumentParser
import CProcess
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollTensors
import UnrollTokenization

struct Finetune: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Fine-tune a model and keep the one with the best validation loss.",
    discussion: """
      `unroll finetune poet.unroll.h5 --train train.txt --valid valid.txt -o tuned.unroll.h5`

      Truncated BPTT as in word_language_model. The model with the best validation loss is written to --output, the state \
      to resume from beside it, as tuned.last.unroll.h5. Ctrl-C saves and ends with exit code 3; `unroll finetune \
      tuned.last.unroll.h5 --resume` goes on to the same bytes. Details: docs/reference/verbs.md
      """)

  @OptionGroup var options: ModelOptions

  @OptionGroup(title: "Texts and output") var verb: TrainingVerb

  @OptionGroup(title: "Tokens") var lines: LineOptions

  @OptionGroup(title: "New words") var words: NewWordOptions

  @OptionGroup(title: "Training") var training: TrainingOptions

  @Flag(
    help:
      "Keep the optimizer of MODEL's file, its hyperparameters and its state.")
  var keepOptimizer = false

  @Flag(
    help:
      "Resume from MODEL, the .last file of a training, with its texts in this folder or beside it; of the settings only --epochs, --steps and --learning-rate may change."
  )
  var resume = false

  @Flag(
    help:
      "With --resume: allow other texts and settings, and record the step in the history."
  )
  var allowChanges = false

  func validate() throws {
    if !resume { _ = try verb.names() }
    if resume && verb.autoResume {
      throw ValidationError(
        "--resume and --auto-resume cannot be combined: one resumes from MODEL, the other from the .last file."
      )
    }
    if resume && words.mode != .fixed {
      throw ValidationError(
        "--resume and --vocabulary cannot be combined: new words are added before the first step.")
    }
    if allowChanges && !resume {
      throw ValidationError("--allow-changes needs --resume.")
    }
    if resume && keepOptimizer {
      throw ValidationError(
        "--resume and --keep-optimizer cannot be combined: a resumed training keeps its optimizer.")
    }
    if keepOptimizer, let option = training.optimizerOptions.first {
      throw ValidationError(
        "\(option) and --keep-optimizer cannot be combined.")
    }
  }

  func run() throws {
    Launcher.beginShared()
    if resume, options.model.hasSuffix(".last.unroll.h5"),
      !FileManager.default.fileExists(atPath: options.model)
    {
      throw Refusal(
        "\(printable(options.model)): expected the last state of a training; found no such file\n"
          + "  fix: if the training ended before it saved a state, begin anew; --save-every N saves more often"
      )
    }
    let names = try verb.names(resuming: resume ? options.model : nil)
    if resume {
      var changes = try training.changes()
      changes.allowsOtherTexts = allowChanges
      changes.allowsOtherSettings = allowChanges
      return try resume(options.model, names, changes)
    }
    if let state = verb.stateToResume(names) {
      let begun = try Checkpoint(try Examination.shown(of: state, upTo: .header))
      try begun.checkBeginning(
        try settings, new: nil, words: words.request,
        inputs: [ProvenanceEntry.input(try MappedFile(path: options.model))],
        freeShards: training.shards == nil, path: state)
      Output.note("note: \(printable(state)) exists: its training is resumed")
      return try resume(state, names, training.length)
    }
    try verb.run(
      names, resuming: false, inputs: [options.model] + words.paths,
      resumeOptions: words.resumeOptions + options.threads.arguments
    ) { try beginning(names, $0, reporter: &$1) }
  }

  private func resume(
    _ state: String, _ names: TrainingNames, _ changes: TrainingChanges
  ) throws {
    try verb.resume(
      state, names, changes, lines: lines.tokens, words: words, threads: options.threads)
  }

  /// The settings of a training that begins.
  private var settings: TrainingSettings {
    get throws {
      var settings = try training.settings()
      settings.keepsOptimizer = keepOptimizer
      if keepOptimizer && training.learningRate == nil { settings.hyperparameters = [:] }
      return settings
    }
  }

  /// Returns a training from the model's first step on.
  private func beginning(
    _ names: TrainingNames, _ files: TrainingFiles, reporter: inout TrainingReporter
  ) throws -> TrainingRun {
    let examination = try Examination.shown(of: options.model, upTo: .bytes)
    var old = try Checkpoint(examination)
    try lines.tokens.apply(to: &old, path: options.model)
    options.threads.apply()
    let (checkpoint, newWords) = try words.apply(to: old, path: options.model, text: names.train)
    let encoder = try LanguageModel.encoder(of: checkpoint, path: options.model)
    let texts = try verb.texts(names, encoder, reporter: &reporter)
    let oldEncoder = try LanguageModel.encoder(of: old, path: options.model)
    let kept = try words.retentionText(old: oldEncoder, new: encoder)
    if checkpoint.training != nil {
      Output.note(
        "note: \(printable(options.model)): its training state is discarded"
          + (keepOptimizer ? ", and its optimizer continues" : ", and its optimizer"))
    }
    if let newWords {
      try words.reportChange(
        newWords, old: old, new: checkpoint, path: options.model,
        text: kept ?? RetentionText(path: names.valid, old: oldEncoder, new: encoder))
    }
    var run = try TrainingRun(
      checkpoint, settings: try settings, train: texts.train, valid: texts.valid,
      inputs: [ProvenanceEntry.input(examination.contents.file)], newWords: newWords)
    run.retention = kept
    return run
  }
}

/// The treatment of words of the text that the model lacks, and of words of the model that the text
/// lacks.
struct NewWordOptions: ParsableArguments {
  enum Mode: String, ExpressibleByArgument, CaseIterable {
    case fixed
    case extend
    case replace
  }

  @Option(
    name: .customLong("vocabulary"),
    help: ArgumentHelp(
      "fixed: unknown words stay unknown; extend: add the words of --train; replace: the words of "
        + "--train replace the vocabulary, and known ones keep their rows.",
      valueName: "mode"))
  var mode = Mode.fixed

  @Option(
    help: ArgumentHelp(
      "Initial rows of new words: unknown (that of the unknown token, sharing its probability), mean "
        + "(of all rows) or pieces (the mean of the word's tokens); default: unknown if there is such a "
        + "token, else mean.",
      valueName: "rows"))
  var newRows: NewWords.Rows?

  @Option(help: "Minimum count of a new word in --train (default: 1).")
  var minCount: Int?

  @Option(
    help: ArgumentHelp(
      "Retention text, evaluated too: retention_ppl shows how much is forgotten.",
      valueName: "file"))
  var retention: String?

  func validate() throws {
    if let minCount, minCount < 1 {
      throw ValidationError("--min-count is at least 1.")
    }
    if mode == .fixed, newRows != nil || minCount != nil {
      throw ValidationError(
        "--new-rows and --min-count are for --vocabulary extend or replace.")
    }
  }

  /// The files to read.
  var paths: [String] { [retention].compactMap { $0 } }

  /// The options to repeat when the training is resumed.
  var resumeOptions: [String] { retention.map { ["--retention", $0] } ?? [] }

  /// The requested treatment; `nil` if the vocabulary stays.
  var request: NewWords? {
    guard let mode = NewWords.Mode(rawValue: mode.rawValue) else { return nil }
    var words = NewWords()
    words.mode = mode
    words.rows = newRows
    words.minimumCount = minCount ?? 1
    return words
  }

  /// Returns the model with the requested vocabulary.
  func apply(
    to checkpoint: Checkpoint, path: String, text: String
  ) throws -> (Checkpoint, NewWordsReport?) {
    guard let words = request else { return (checkpoint, nil) }
    return try Progress.during("counting the words of \(text)") {
      try words.apply(to: checkpoint, path: path, text: text)
    }
  }

  /// Returns the retention text, if there is one.
  func retentionText(old: Encoder, new: Encoder) throws -> RetentionText? {
    guard let retention else { return nil }
    let text = try RetentionText(path: retention, old: old, new: new)
    if text.knownCount < text.count {
      Output.note(
        "note: \(printable(retention)): \(Output.grouped(text.count - text.knownCount)) of "
          + "\(Output.grouped(text.count)) tokens do not count in retention_ppl: a vocabulary lacks them"
      )
    }
    return text
  }

  /// Reports the effect of new rows on the retention text, before any step.
  func reportChange(
    _ report: NewWordsReport, old: Checkpoint, new: Checkpoint, path: String, text: RetentionText
  ) throws {
    let dropped =
      report.droppedCount > 0 ? ", \(counted(report.droppedCount, "old one")) dropped" : ""
    Output.note(
      "note: \(counted(report.newCount, "new token"))\(dropped), rows as \(report.rows.rawValue)"
    )
    let nlls = try Progress.during("evaluating \(text.path)") {
      (
        try LanguageModel(old, path: path).nll(of: text, isOld: true),
        try LanguageModel(new, path: path).nll(of: text)
      )
    }
    Output.note(
      "note: \(printable(text.path)): perplexity of the old words "
        + String(
          printf: "%.4f before, %.4f with the new rows (%+.4f %%)", Elementary.exp(nlls.0),
          Elementary.exp(nlls.1),
          // Adding 0 turns -0.0000 into 0.
          (1e6 * (Elementary.exp(nlls.1 - nlls.0) - 1)).rounded() / 1e4 + 0))
  }
}

extension NewWords.Rows: ExpressibleByArgument {}
