// Rule T006.

extension Rule {
  /// An output weight that is the embedding MUST be declared by `tied` = 1.
  static let sharedWeightIsDeclared = Rule(
    id: "T006", level: .error,
    summary: "An output weight that is the embedding MUST be declared by `tied` = 1.",
    why: "A tool that trains the file has to know that one weight has two roles.",
    example: """
      `/model/output/weight` is a hard link to the embedding, and `/model` has `tied` = 0.
      """,
    fix: Fix.convertAgain
  ) { contents in
    guard contents.architecture?.isTied == false,
      let target = contents.hardLinkTarget(of: ParameterPath.outputWeight.description)
    else { return [] }
    return [
      Violation(
        object: ParameterPath.outputWeight.description, expected: "tied = 1 in \(Layout.model)",
        found: "tied = 0 and a hard link to \(target)"
      )
    ]
  }
}
