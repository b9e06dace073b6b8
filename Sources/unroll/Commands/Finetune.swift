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

  @OptionGroup var verb: TrainingVerb

  @OptionGroup var lines: LineOptions

  @OptionGroup(title: "New words") var words: NewWordOptions

  @OptionGroup(title: "Training") var training: TrainingOptions

  @Flag(
    help:
      "Keep the optimizer of MODEL's file, its hyperparameters and its state.")
  var keepOptimizer = false

  @Flag(
    help:
      "Resume from MODEL, the .last file of a training: its texts and output are known, and only --epochs, --steps and --learning-rate may change."
  )
  var resume = false

  @Flag(
    help:
      "With --resume: allow other texts and settings, and record the step in the history."
  )
  var allowChanges = false

  func validate() throws {
    if !resume { _ = try verb.names() }
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
    let names = try verb.names(resuming: resume ? options.model : nil)
    try verb.run(
      names, resuming: resume, inputs: [options.model] + words.paths,
      resumeOptions: words.resumeOptions + options.threads.arguments
    ) { try makeRun(names, $0, reporter: &$1) }
  }

  private func makeRun(
    _ names: TrainingNames, _ files: TrainingFiles, reporter: inout TrainingReporter
  ) throws -> TrainingRun {
    let examination = try Examination.shown(of: options.model, upTo: .bytes)
    var old = try Checkpoint(examination)
    if resume {
      try lines.tokens.check(against: old, path: options.model)
    } else {
      try lines.tokens.apply(to: &old, path: options.model)
    }
    // Child processes examine the files; they must be forked before threads exist.
    let best = resume ? try best(files.best) : nil
    options.threads.apply()
    let (checkpoint, newWords) = try words.apply(to: old, path: options.model, text: names.train)
    let encoder = try LanguageModel.encoder(of: checkpoint, path: options.model)
    let texts = try verb.texts(names, encoder, reporter: &reporter)
    let kept = try words.keptText(
      old: LanguageModel.encoder(of: old, path: options.model), new: encoder)
    guard resume else {
      if checkpoint.training != nil {
        Output.note(
          "note: \(printable(options.model)): its training state is discarded"
            + (keepOptimizer ? ", and its optimizer continues" : ", and its optimizer"))
      }
      var settings = try training.settings()
      settings.keepsOptimizer = keepOptimizer
      if keepOptimizer && training.learningRate == nil { settings.hyperparameters = [:] }
      let input = ProvenanceEntry.input(examination.contents.file)
      if let newWords {
        try words.reportChange(
          newWords, old: old, new: checkpoint, path: options.model,
          text: kept
            ?? KeptText(
              path: names.valid, old: LanguageModel.encoder(of: old, path: options.model),
              new: encoder))
      }
      var run = try TrainingRun(
        checkpoint, settings: settings, train: texts.train, valid: texts.valid,
        inputs: [input], newWords: newWords)
      run.kept = kept
      return run
    }
    var changes = try training.changes()
    (changes.allowsOtherTexts, changes.allowsOtherSettings) = (allowChanges, allowChanges)
    var run = try TrainingRun(
      resuming: checkpoint, path: options.model, train: texts.train, valid: texts.valid,
      changes: changes)
    // An estimate writes nothing, and after a killed run the best model may not be written yet.
    guard !verb.estimate else { return run }
    try run.restoreBest(
      files, weightsDigest: best?.weightsDigest, parameters: best?.parameters,
      mayForget: allowChanges)
    if run.state.best == nil && checkpoint.training?.best != nil {
      // The best model may be all that remains of the discarded evaluations.
      try OutputOptions.check(files.best, inputs: [], replacing: verb.force)
      Output.note(
        "note: the evaluations so far are not comparable: the best model is chosen from here on")
    }
    run.kept = kept
    return run
  }

  /// Returns the best model so far, if its file exists.
  private func best(
    _ path: String
  ) throws -> (weightsDigest: String?, parameters: ParameterTree<Tensor>)? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let examination = try Examination.shown(of: path, upTo: .bytes)
    return (examination.header.weightsDigest, try Checkpoint(examination).parameters)
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
      "Retention text, evaluated too: kept_ppl shows how much is forgotten.",
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

  /// Returns the model with the requested vocabulary.
  func apply(
    to checkpoint: Checkpoint, path: String, text: String
  ) throws -> (Checkpoint, NewWordsReport?) {
    guard let mode = NewWords.Mode(rawValue: mode.rawValue) else { return (checkpoint, nil) }
    var words = NewWords()
    (words.mode, words.rows, words.minimumCount) = (mode, newRows, minCount ?? 1)
    return try Progress.during("counting the words of \(text)") {
      try words.apply(to: checkpoint, path: path, text: text)
    }
  }

  /// Returns the retention text, if there is one.
  func keptText(old: Encoder, new: Encoder) throws -> KeptText? {
    guard let retention else { return nil }
    let text = try KeptText(path: retention, old: old, new: new)
    if text.knownCount < text.count {
      Output.note(
        "note: \(printable(retention)): \(Output.grouped(text.count - text.knownCount)) of "
          + "\(Output.grouped(text.count)) tokens do not count in kept_ppl: a vocabulary lacks them"
      )
    }
    return text
  }

  /// Reports the effect of new rows on the retention text, before any step.
  func reportChange(
    _ report: NewWordsReport, old: Checkpoint, new: Checkpoint, path: String, text: KeptText
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
          format: "%.4f before, %.4f with the new rows (%+.4f %%)", Elementary.exp(nlls.0),
          Elementary.exp(nlls.1),
          // Adding 0 turns -0.0000 into 0.
          (1e6 * (Elementary.exp(nlls.1 - nlls.0) - 1)).rounded() / 1e4 + 0))
  }
}

extension NewWords.Rows: ExpressibleByArgument {}
