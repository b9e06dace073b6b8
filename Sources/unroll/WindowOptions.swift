// Options for models that read a fixed window of tokens before each prediction.

import ArgumentParser
import UnrollEngine

/// The window of a model that predicts from exactly N tokens.
struct WindowOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Predict each token from the N tokens before it only.", valueName: "N"))
  var context: Int?

  @Option(
    help: ArgumentHelp(
      "Token that fills windows with fewer than N tokens before, or none (default: the vocabulary's).",
      valueName: "token"))
  var pad: String?

  func validate() throws {
    if let context, !FixedWindow.lengths.contains(context) {
      throw ValidationError("--context is 1 to \(FixedWindow.lengths.upperBound).")
    }
    guard context != nil || pad == nil else {
      throw ValidationError("--pad is the padding of --context; give that too.")
    }
  }

  /// Returns the requested window, if any.
  ///
  /// - Throws: `TextError` if the vocabulary lacks the padding token.
  func window(of model: LanguageModel) throws -> FixedWindow? {
    try context.map { try model.fixedWindow(length: $0, padding: pad) }
  }
}
