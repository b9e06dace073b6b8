// Rule T004.

extension Rule {
  /// Every parameter that follows from the architecture MUST be present.
  static let noMissingParameters = Rule(
    id: "T004", level: .error,
    summary: "Every parameter that follows from the architecture MUST be present.",
    why: "A missing parameter is never replaced by a guess.",
    example: "`/model` has two layers, and `/model/layers/01/weight_hh` is not there.",
    fix: Fix.convertAgain
  ) { contents in
    guard let architecture = contents.architecture else { return [] }
    return architecture.parameters.compactMap { path, shape in
      guard !contents.exists(path.description) else { return nil }
      return Violation(
        object: path.description, expected: "a dataset of shape \(shape)", found: "nothing")
    }
  }
}
