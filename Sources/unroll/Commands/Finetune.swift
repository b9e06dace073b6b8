// `unroll finetune`: from a model and two texts to a better model.

import ArgumentParser
import CProcess
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollTensors

struct Finetune: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a model on, choosing by a validation text.",
    discussion: """
      Truncated backpropagation through time, as word_language_model does it: the text is \
      cut into columns, the state is carried from window to window, gradients are clipped by their \
      global norm. Before the first step and after each epoch the validation text is evaluated \
      (protocol columns); where it is no better than the best so far, the learning rate is divided. \
      The best model is kept in --output, the state to resume from beside it, with .last in its name. \
      Standard output gets one TSV line an evaluation: epoch, step, learning_rate, train_nll and \
      valid_nll (nats a token), valid_ppl, best.
      Ctrl-C, SIGTERM or the end of the connection finishes the step, saves, and ends with exit code \
      3; --resume goes on from there, and the \
      result is the same, byte for byte, as without the pause. Results do not depend on --threads.
      """)

  @OptionGroup var options: ModelOptions

  @Option(help: ArgumentHelp("The text to learn: a file or a .gz file.", valueName: "file"))
  var train: String

  @Option(help: ArgumentHelp("The text that chooses the best model.", valueName: "file"))
  var valid: String

  @OptionGroup var target: OutputOptions

  @OptionGroup(title: "Training") var training: TrainingOptions

  @Flag(
    help:
      "Go on from MODEL, the .last file of a training; only --epochs, --steps and --learning-rate may change."
  )
  var resume = false

  @Option(help: ArgumentHelp("Pause after this many steps, as Ctrl-C does.", valueName: "steps"))
  var pauseAfter: Int?

  @Option(
    help: ArgumentHelp(
      "Write each step and evaluation as one JSON object a line; a resumed run appends.",
      valueName: "file"))
  var log: String?

  func validate() throws {
    if resume, let option = training.fixedOptions.first {
      throw ValidationError("\(option) cannot change when a training is resumed.")
    }
    if let pauseAfter, pauseAfter < 1 { throw ValidationError("--pause-after is at least 1.") }
  }

  func run() throws {
    let files = TrainingFiles(best: target.output)
    try checkFiles(files)
    var reporter = try TrainingReporter(log: log, appending: resume)
    var run = try makeRun(files, reporter: &reporter)
    let firstStep = run.state.step
    unroll_catch_requests_to_stop()
    reporter.begin(run)
    var outcome = Outcome(lastIsOurs: resume)
    do {
      let end = try run.run(
        saving: files,
        shouldPause: { state in
          unroll_asked_to_stop() || pauseAfter.map { state.step - firstStep >= $0 } ?? false
        },
        report: {
          outcome.add($0)
          try reporter.report($0, $1)
        }, progress: { reporter.report($0) })
      reporter.finish()
      switch end {
      case .finished: conclude(run, files, outcome)
      case .paused:
        Output.note("paused after step \(run.state.step): saved \(printable(files.last))")
        Output.note("  resume: \(resumeCommand(files))")
        try Output.finish()
        throw Ending.paused
      }
    } catch let error where !(error is ExitCode) {
      reporter.finish()
      Output.note("unroll: \(error)")
      if outcome.lastIsOurs && !(error is OutputTaken) { noteWhatIsSaved(files) }
      throw ExitCode(Ending.failure)
    }
  }

  /// What a run did so far.
  private struct Outcome {
    /// The file to resume from is of this training, not of one that used its name before.
    var lastIsOurs: Bool
    var wroteBest = false
    var didAnything = false

    /// - Parameter event: What happened; it is saved.
    mutating func add(_ event: TrainingEvent) {
      didAnything = true
      guard case .evaluation(_, let isBest) = event else { return }
      (lastIsOurs, wroteBest) = (true, wroteBest || isBest)
    }
  }

  // MARK: The beginning

  /// Refuses files that would be refused after hours of work.
  private func checkFiles(_ files: TrainingFiles) throws {
    if case .foreign(let format) = ConversionTarget(output: files.best) {
      throw Refusal(
        "\(printable(files.best)): cannot write: fine-tuning writes a checkpoint, and this is the "
          + "name of a \(format.name) file\n  fix: give a name such as tuned.unroll.h5; "
          + "`unroll convert tuned.unroll.h5 -o \(printable(files.best))` then exports it")
    }
    let inputs = [train, valid] + (resume ? [] : [options.model])
    for path in [files.best, files.last] {
      try OutputOptions.check(path, inputs: inputs, replacing: resume || target.force)
    }
    guard let log else { return }
    try OutputOptions.checkGrowing(
      log, inputs: inputs + [options.model], outputs: [files.best, files.last],
      replacing: resume || target.force)
  }

  private func makeRun(
    _ files: TrainingFiles, reporter: inout TrainingReporter
  ) throws -> TrainingRun {
    let examination = try Examination.shown(of: options.model, upTo: .bytes)
    let checkpoint = try Checkpoint(examination)
    // Every file is looked at in a child process, which must be forked before threads exist.
    let best = resume ? try weightsDigest(of: files.best) : nil
    options.applyThreads()
    let encoder = try LanguageModel.encoder(of: checkpoint, path: options.model)
    let texts = try [train, valid].map { path in
      let text = try TrainingText(path: path, encoder: encoder) { reporter.reading(path, $0) }
      if text.unknown > 0 {
        Output.note(
          "note: \(printable(path)): \(Output.grouped(text.unknown)) of "
            + "\(Output.grouped(text.count)) tokens are words that the vocabulary lacks")
      }
      return text
    }
    guard resume else {
      if checkpoint.training != nil {
        Output.note("note: \(printable(options.model)): its own training state is left behind")
      }
      let input =
        "\(digest(of: examination.contents.file)) "
        + URL(filePath: options.model).lastPathComponent
      return try TrainingRun(
        checkpoint, settings: try training.settings(), train: texts[0], valid: texts[1],
        input: input)
    }
    var run = try TrainingRun(
      resuming: checkpoint, path: options.model, train: texts[0], valid: texts[1])
    try run.restoreBest(files, weightsDigest: best)
    run.change(
      epochs: training.epochs, steps: training.steps, learningRate: training.learningRate)
    return run
  }

  private func weightsDigest(of path: String) throws -> String? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let examination = try Examination.shown(of: path, upTo: .bytes)
    _ = try Checkpoint(examination)
    return examination.header.weightsDigest
  }

  // MARK: The end

  private func conclude(_ run: TrainingRun, _ files: TrainingFiles, _ outcome: Outcome) {
    guard let best = run.state.best else { return }
    let perplexity = String(format: "%.4f", exp(best.validNLL))
    let bestName = printable(files.best)
    if best.step == 0 {
      Output.note(
        "note: no evaluation was better than the model before training, validation perplexity "
          + "\(perplexity): \(bestName) holds its weights unchanged")
    } else if outcome.wroteBest {
      Output.note("wrote \(bestName): step \(best.step), validation perplexity \(perplexity)")
    } else {
      Output.note(
        "\(bestName) still holds the best model: step \(best.step), validation perplexity "
          + perplexity)
    }
    let more = "--resume with more \(run.endsBySteps ? "--steps" : "--epochs")"
    if outcome.didAnything {
      Output.note("wrote \(printable(files.last)): the last state, for \(more)")
    } else {
      Output.note(
        "note: nothing was left to do after step \(run.state.step), and nothing was written: to go "
          + "on, \(more)")
    }
  }

  private func noteWhatIsSaved(_ files: TrainingFiles) {
    guard FileManager.default.fileExists(atPath: files.last) else { return }
    Output.note("  saved: \(printable(files.last)) holds the last good state")
    Output.note("  resume: \(resumeCommand(files))")
  }

  /// The command that goes on, as a shell takes it.
  private func resumeCommand(_ files: TrainingFiles) -> String {
    var words = ["unroll", "finetune", files.last, "--resume", "--train", train, "--valid", valid]
    words += ["-o", files.best]
    if let log { words += ["--log", log] }
    return words.map(Self.quoted).joined(separator: " ")
  }

  private static func quoted(_ word: String) -> String {
    let isPlain = word.allSatisfy {
      ($0.isASCII && ($0.isLetter || $0.isNumber)) || "-_./".contains($0)
    }
    return isPlain && !word.isEmpty
      ? word : "'" + word.replacingOccurrences(of: "'", with: "'\\''") + "'"
  }
}
