// Rule T005.

extension Rule {
  /// The output weight of a tied model MUST be a hard link to the embedding.
  static let tieIsAHardLink = Rule(
    id: "T005", level: .error,
    summary: "The output weight of a tied model MUST be a hard link to the embedding.",
    why: "Two copies drift apart as soon as one is trained or edited.",
    example: """
      `/model` has `tied` = 1, and `/model/output/weight` is a dataset with a copy of the \
      embedding.
      """,
    fix: Fix.convertAgain,
    repair: .tie
  ) { contents in
    guard contents.architecture?.isTied == true,
      contents.hardLinkTarget(of: ParameterPath.outputWeight.description) == nil
    else { return [] }
    let path = ParameterPath.outputWeight.description
    return [
      Violation(
        object: path, expected: "a hard link to \(ParameterPath.embeddingWeight)",
        found: contents.exists(path) ? "a dataset of its own" : "nothing")
    ]
  }
}
