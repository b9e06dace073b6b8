// Rule O008.

extension Rule {
  /// A group MUST have the hyper-parameters of its optimizer's kind, and no others.
  static let hyperparametersAreOfTheKind = Rule(
    id: "O008", level: .error,
    summary: """
      A group MUST have the hyper-parameters of the optimizer's `kind`, with `epsilon_position` at a place \
      that the kind has, and with `eta` and `mu` for "asgd"; it MUST NOT have those of other kinds.
      """,
    why: """
      A number that is missing would be somebody's default, and these differ from framework to framework.
      """,
    example: "`/optimizer` has `kind` = \"adam\", and `/optimizer/groups/00` no `beta2`.",
    fix: Fix.trainAgain
  ) { contents in
    guard let kind = contents.optimizerKind else { return [] }
    let places = kind.epsilonPositions.map(\.rawValue)
    var wanted = [
      AttributeName.eta: kind == .asgd, AttributeName.mu: kind == .asgd,
      AttributeName.epsilonPosition: !places.isEmpty,
    ]
    for hyperparameter in Hyperparameter.allCases {
      wanted[hyperparameter.rawValue] = kind.defaults[hyperparameter] != nil
    }
    // Those of all kinds are required by the layout.
    wanted[Hyperparameter.learningRate.rawValue] = nil
    wanted[Hyperparameter.weightDecay.rawValue] = nil
    return contents.optimizerGroups.flatMap { group -> [Violation] in
      let violations = contents.attributeViolations(group, wanted)
      guard violations.isEmpty, let place = contents.text(group, AttributeName.epsilonPosition),
        !places.contains(place)
      else { return violations }
      return [
        Violation(
          object: group,
          expected: "epsilon_position: \(places.joined(separator: " or ")) for \(kind.rawValue)",
          found: place)
      ]
    }
  }
}
