// Rule A009.

extension Rule {
  /// A model MUST have at least one recurrent layer.
  static let layersArePresent = Rule(
    id: "A009", level: .error,
    summary: "A model MUST have at least one recurrent layer.",
    why: "Without one there is nothing recurrent to run.",
    example: "`/model/layers` is an empty group.",
    fix: Fix.convertAgain
  ) { contents in
    guard contents.layerGroups.isEmpty else { return [] }
    return [
      Violation(
        object: Layout.layers, expected: "at least one layer", found: "none")
    ]
  }
}
