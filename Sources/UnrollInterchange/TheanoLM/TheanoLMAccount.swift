// The account of a TheanoLM file: every dataset belongs to the model or its training, or is refused
// by name.

import UnrollFormat

extension TheanoLMFile {
  /// Accounts for every dataset.
  ///
  /// - Parameters:
  ///   - layers: The layers of the model.
  ///   - ignored: The datasets, and groups of them, that the caller leaves out.
  /// - Returns: The settlement.
  /// - Throws: `InterchangeError` naming unused content, or a dataset to ignore that the model
  ///   needs.
  func settled(
    with layers: [TheanoLMLayer], ignoring ignored: Set<String>
  ) throws -> Ledger.Settlement {
    var ledger = try Ledger(container.datasets, ignoring: ignored, of: file.path)
    let parameters = layers.flatMap { layer in
      TheanoLMLanguageModel.parameters(of: layer.kind).map(layer.path)
    }
    let words = ["words", "classes", "probs"].map { "/vocabulary/\($0)" }
    for path in (parameters + words).map(container.firstPath) {
      guard !ledger.isIgnored(path) else {
        throw error(
          path, expected: "datasets that the model does not need, to be ignored",
          found: "one that it is made of", fix: "leave `--ignore \(path)` out")
      }
      ledger.use(path)
    }
    for path in ledger.left where isOfTraining(path, of: parameters) { ledger.pass(path) }
    // The probabilities of words outside the shortlist, which have a note of their own.
    ledger.pass("/vocabulary/unigram_probs")
    ledger.pass(
      ["/optimizer", "/trainer", "/iterator"],
      noting: "not preserved: the training state and the optimizer's")
    return try ledger.settle(
      expected: "the parameters of the layers in /architecture, and words",
      fix: "only such models are converted")
  }

  /// Returns `true` if a dataset is optimizer state of a parameter, stored beside it.
  private func isOfTraining(_ path: String, of parameters: [String]) -> Bool {
    let isMemory = path.hasSuffix("_gradient") || path.hasSuffix("_velocity")
    return isMemory && parameters.contains { path.hasPrefix($0 + "_") }
  }
}
