// Options of `score` for a model that learns from each line.

import ArgumentParser
import UnrollEngine
import UnrollFormat
import UnrollNeural
import UnrollTensors

/// A learning rate and the file of the adapted model, or a neural cache.
struct DynamicOptions: ParsableArguments {
  @OptionGroup var caching: CacheOptions

  @Option(
    help: ArgumentHelp(
      "Learn from each line after it is scored, by SGD with this learning rate.", valueName: "rate")
  )
  var dynamic: Double?

  @Option(
    help: ArgumentHelp("Save the model as it is after the text (--dynamic).", valueName: "file"))
  var saveModel: String?

  /// `true` if the model adapts.
  var isGiven: Bool { dynamic != nil || caching.cache != nil }

  func validate() throws {
    guard caching.cache == nil || dynamic == nil else {
      throw ValidationError("--cache and --dynamic cannot be combined.")
    }
    guard saveModel == nil || dynamic != nil else {
      throw ValidationError("--save-model needs --dynamic.")
    }
    if let dynamic, !(dynamic > 0 && dynamic.isFinite) {
      throw ValidationError("--dynamic is a number above 0.")
    }
  }

  /// Refuses what adaptation does not go with.
  ///
  /// - Throws: `ValidationError`.
  func check(_ precision: Precision, files: [String], excludes others: Bool) throws {
    guard isGiven else { return }
    guard !others else {
      throw ValidationError(
        "--dynamic and --cache cannot be combined with --carry, --context, --pairs, --nbest, --with, --states or --unknown drop."
      )
    }
    guard dynamic == nil || Precision.ofTraining.contains(precision) else {
      throw ValidationError("--dynamic needs --precision f32 or bf16.")
    }
    guard saveModel == nil || !files.contains("-") else {
      throw ValidationError(
        "--save-model needs a text in a file: its digest goes into the history.")
    }
  }

  /// Opens the model that learns; `nil` if it is not requested.
  ///
  /// - Parameters:
  ///   - options: The options of the model.
  ///   - force: `true` to replace the file of the adapted model.
  ///   - inputs: The other files that are read.
  /// - Returns: The model.
  /// - Throws: `Refusal` if the adapted model cannot be written; the errors of opening a model.
  func scoring(
    _ options: RunningModelOptions, force: Bool, inputs: [String]
  ) throws -> DynamicScoring? {
    guard let dynamic else { return nil }
    if let save = saveModel {
      try OutputOptions.check(save, inputs: [options.path] + inputs, replacing: force)
    }
    let scoring = try DynamicScoring(
      options.checkpoint(), path: options.path, learningRate: dynamic,
      precision: options.precision)
    Output.note("note: \(scoring.description)")
    return scoring
  }

  /// Writes the adapted model, if that is requested.
  ///
  /// - Throws: The errors of writing.
  func save(_ scoring: DynamicScoring?, text: String, replacing: Bool) throws {
    guard let save = saveModel, let scoring else { return }
    let adapted = try scoring.adapted(toText: text)
    try Progress.during("writing and reading back \(save)") {
      try adapted.write(to: save, replacing: replacing)
    }
    Output.note("wrote \(printable(save))")
  }
}
