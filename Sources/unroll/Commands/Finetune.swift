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

  @OptionGroup var verb: TrainingVerb

  @OptionGroup(title: "Training") var training: TrainingOptions

  @Flag(
    help:
      "Begin with the optimizer of MODEL's file, its numbers and its state, as PyTorch saved it.")
  var keepOptimizer = false

  @Flag(
    help:
      "Go on from MODEL, the .last file of a training; only --epochs, --steps and --learning-rate may change."
  )
  var resume = false

  @Flag(
    help:
      "With --resume: take other texts and settings, too; the model's history says from which step."
  )
  var allowChanges = false

  func validate() throws {
    if resume, let option = training.fixedOptions(allowingChanges: allowChanges).first {
      throw ValidationError(
        "\(option) cannot change when a training is resumed"
          + (allowChanges ? "; without --resume it begins a new one." : " without --allow-changes.")
      )
    }
    if allowChanges && !resume {
      throw ValidationError("--allow-changes is for --resume; a new training may differ anyway.")
    }
    if resume && keepOptimizer {
      throw ValidationError("--resume keeps the optimizer anyway; leave --keep-optimizer out.")
    }
    if keepOptimizer, let option = training.optimizerOptions.first {
      throw ValidationError(
        "\(option) is a number of a new optimizer; --keep-optimizer keeps the old.")
    }
  }

  func run() throws {
    try verb.run(resuming: resume, inputs: [options.model], begin: makeRun)
  }

  private func makeRun(
    _ files: TrainingFiles, reporter: inout TrainingReporter
  ) throws -> TrainingRun {
    let examination = try Examination.shown(of: options.model, upTo: .bytes)
    let checkpoint = try Checkpoint(examination)
    // Every file is looked at in a child process, which must be forked before threads exist.
    let best = resume ? try best(files.best) : nil
    options.threads.apply()
    let encoder = try LanguageModel.encoder(of: checkpoint, path: options.model)
    let texts = try verb.texts(encoder, reporter: &reporter)
    guard resume else {
      if checkpoint.training != nil {
        Output.note("note: \(printable(options.model)): its own training state is left behind")
      }
      var settings = try training.settings()
      settings.keepsOptimizer = keepOptimizer
      if keepOptimizer && training.learningRate == nil { settings.hyperparameters = [:] }
      let input =
        "\(digest(of: examination.contents.file)) "
        + URL(filePath: options.model).lastPathComponent
      return try TrainingRun(
        checkpoint, settings: settings, train: texts.train, valid: texts.valid,
        input: input)
    }
    var changes = try training.changes()
    changes.allowsOtherTexts = allowChanges
    var run = try TrainingRun(
      resuming: checkpoint, path: options.model, train: texts.train, valid: texts.valid,
      changes: changes)
    try run.restoreBest(
      files, weightsDigest: best?.weightsDigest, parameters: best?.parameters,
      mayForget: allowChanges)
    if run.state.best == nil && checkpoint.training?.best != nil {
      // The best model so far may be all that is left of the old evaluations.
      try OutputOptions.check(files.best, inputs: [], replacing: verb.target.force)
      Output.note(
        "note: the evaluations so far are not comparable: the best model is chosen from here on")
    }
    return run
  }

  /// The best model so far, if its file is there.
  private func best(
    _ path: String
  ) throws -> (weightsDigest: String?, parameters: ParameterTree<Tensor>)? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let examination = try Examination.shown(of: path, upTo: .bytes)
    return (examination.header.weightsDigest, try Checkpoint(examination).parameters)
  }
}
