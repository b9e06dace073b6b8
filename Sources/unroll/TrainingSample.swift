// Text that a model generates at each evaluation of its training.

import ArgumentParser
import UnrollEngine
import UnrollTensors
import UnrollTokenization

/// The option of a sample at each evaluation.
struct TrainingSampleOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "At each evaluation, continue this text by 100 tokens, always with seed 1: on standard error, in --log, --json and "
        + "--report.",
      valueName: "prompt"))
  var sample: String?

  /// The words to repeat when the training is resumed.
  var arguments: [String] { sample.map { ["--sample", $0] } ?? [] }
}

/// A text that begins with the same words at each evaluation.
struct TrainingSample {
  let prompt: String

  /// Returns the continuation by the current model.
  ///
  /// The model is a copy: neither the weights of the training nor its random numbers are touched.
  ///
  /// - Parameters:
  ///   - run: The training.
  ///   - path: The model's file, for errors.
  /// - Returns: The text behind the prompt.
  /// - Throws: `TextError` if the model cannot read the prompt; `NeuralError` if memory is short; `NotFinite`.
  func text(_ run: TrainingRun, path: String) throws -> String {
    let model = try LanguageModel(run.weights, path: path)
    do {
      return try model.generate(after: prompt, GenerationSettings()) { _, _ in true }
        .map(model.text).joined()
    } catch let error as TextError {
      throw Refusal(
        "--sample: \(error.description)\n  the prompt is \(excerpt(prompt))")
    }
  }

  /// The settings in words.
  static let settings: String = {
    let settings = GenerationSettings()
    return
      "\(counted(settings.length, "token")), temperature \(TextLayout.number(settings.temperature)), seed "
      + "\(settings.seed)"
  }()

  /// Returns a text on one line: line breaks are slashes, as in quoted poems.
  static func line(_ text: String) -> String {
    excerpt(text.split(separator: "\n").joined(separator: " / "), limit: 1000)
  }
}
