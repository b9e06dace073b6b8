// Rule O007.

extension Rule {
  /// The groups MUST be a partition of the parameters that the model owns.
  static let groupsPartitionTheParameters = Rule(
    id: "O007", level: .error,
    summary: """
      The groups MUST be a partition of the parameters that the model owns: `parameters` lists \
      paths in UTF-8, each ended by `\\n`, and each parameter stands once in one group.
      """,
    why: "A parameter in no group is never trained, and one in two takes two steps at once.",
    example: """
      `/model/layers/01/bias_ih` stands in the `parameters` of no group, or of both 00 and 01.
      """,
    fix: Fix.trainAgain
  ) { contents in
    guard let architecture = contents.architecture, contents.exists(Layout.optimizer) else {
      return []
    }
    let owned = Set(architecture.parameters.map(\.path.description))
    var met: Set<String> = []
    var violations: [Violation] = []
    for group in contents.optimizerGroups {
      let object = "\(group)/\(MemberName.parameters)"
      guard let lines = contents.parameterLines(of: group) else {
        violations.append(violation(object, "lines of UTF-8 that end with \\n", "other bytes"))
        continue
      }
      for line in lines {
        if !owned.contains(line) {
          violations.append(violation(object, "paths of the model's own parameters", line))
        } else if !met.insert(line).inserted {
          violations.append(violation(object, "each path once", "\(line) twice"))
        }
      }
    }
    // A missing parameter may be in the list that is no text, or be the name that is unknown.
    guard violations.isEmpty else { return violations }
    return architecture.parameters.map(\.path.description).filter { !met.contains($0) }.map {
      violation(Layout.optimizerGroups, "a group with \($0)", "no such group")
    }
  }
}

private func violation(_ object: String, _ expected: String, _ found: String) -> Violation {
  Violation(object: object, expected: expected, found: found)
}
