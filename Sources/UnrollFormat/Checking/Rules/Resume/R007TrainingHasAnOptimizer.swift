// Rule R007.

extension Rule {
  /// `/training` MUST NOT be present without `/optimizer`.
  static let trainingHasAnOptimizer = Rule(
    id: "R007", level: .error,
    summary: "`/training` MUST NOT be present without `/optimizer`.",
    why: """
      A place in a text says nothing without the rule of the next step. An optimizer alone can go on in \
      another text.
      """,
    example: "`/training` is there, and `/optimizer` was deleted.",
    fix: Fix.trainAgain
  ) { contents in
    guard contents.exists(Layout.training), !contents.exists(Layout.optimizer) else { return [] }
    return [
      Violation(
        object: Layout.optimizer, expected: "group /optimizer beside /training", found: "nothing")
    ]
  }
}
