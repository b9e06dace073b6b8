// Rule T003.

extension Rule {
  /// The model MUST NOT have parameters that do not follow from the architecture.
  static let noExtraParameters = Rule(
    id: "T003", level: .error,
    summary: "The model MUST NOT have parameters that do not follow from the architecture.",
    why: "A parameter that nobody reads was meant to change the numbers.",
    example: """
      `/model/layers/00/weight_hr` is there, and no layer of this version has a projection.
      """,
    fix: Fix.convertAgain
  ) { contents in
    guard let architecture = contents.architecture else { return [] }
    let known = Set(architecture.parameters.map(\.path.description))
    return contents.datasets.compactMap { path, _ in
      guard path.hasPrefix(Layout.model + "/"), !known.contains(path),
        !(architecture.isTied && path == ParameterPath.outputWeight.description)
      else { return nil }
      return Violation(
        object: path, expected: "only the parameters of the declared architecture",
        found: "an extra dataset")
    }
  }
}
