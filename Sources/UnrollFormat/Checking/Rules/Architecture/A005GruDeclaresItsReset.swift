// Rule A005.

extension Rule {
  /// A GRU layer MUST declare its reset variant, and other layers MUST NOT.
  static let gruDeclaresItsReset = Rule(
    id: "A005", level: .error,
    summary: "A GRU layer MUST declare its reset variant, and other layers MUST NOT.",
    why: """
      The two variants compute different numbers from the same tensors, and without biases \
      even the shapes agree.
      """,
    example: "`/model/layers/00` has `cell` = \"gru\" and no attribute `reset`.",
    fix: Fix.convertAgain
  ) { contents in
    contents.layerGroups.compactMap { path in
      let isGRU = contents.text(path, AttributeName.cell) == Cell.gru.rawValue
      let reset = contents.text(path, AttributeName.reset)
      guard isGRU != (reset != nil) else { return nil }
      return Violation(
        object: path, expected: isGRU ? "attribute reset" : "no attribute reset",
        found: reset ?? "nothing")
    }
  }
}
