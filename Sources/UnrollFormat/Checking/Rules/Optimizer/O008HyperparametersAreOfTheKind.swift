// Rule O008.

extension Rule {
  /// A group MUST have the hyper-parameters of its optimizer's kind, and no others.
  static let hyperparametersAreOfTheKind = Rule(
    id: "O008", level: .error,
    summary: """
      A group MUST have the hyperparameters of the optimizer's `kind`, with a value of `epsilon_position` \
      that the kind has, and with `eta` and `mu` for "asgd"; a schedule MUST have the numbers of its \
      `kind`. They MUST NOT have those of other kinds.
      """,
    why: """
      A number that is missing would be somebody's default, and these differ from framework to framework.
      """,
    example: "`/optimizer` has `kind` = \"adam\", and `/optimizer/groups/00` no `beta2`.",
    fix: Fix.trainAgain
  ) { contents in
    contents.groupViolations + contents.scheduleViolations
  }
}

extension Contents {
  fileprivate var scheduleViolations: [Violation] {
    let path = Layout.trainingSchedule
    guard let kind = text(path, AttributeName.kind).flatMap(ScheduleKind.init) else { return [] }
    return attributeViolations(
      path,
      Dictionary(
        uniqueKeysWithValues: ScheduleNumber.allCases.map {
          ($0.rawValue, kind.defaults[$0] != nil)
        }))
  }

  fileprivate var groupViolations: [Violation] {
    guard let kind = optimizerKind else { return [] }
    let places = kind.epsilonPositions.map(\.rawValue)
    var wanted = [
      AttributeName.eta: kind == .asgd, AttributeName.mu: kind == .asgd,
      AttributeName.epsilonPosition: !places.isEmpty,
    ]
    for hyperparameter in Hyperparameter.allCases {
      wanted[hyperparameter.rawValue] = kind.defaults[hyperparameter] != nil
    }
    // The layout requires the hyperparameters that all kinds have.
    wanted[Hyperparameter.learningRate.rawValue] = nil
    wanted[Hyperparameter.weightDecay.rawValue] = nil
    return optimizerGroups.flatMap { group -> [Violation] in
      let violations = attributeViolations(group, wanted)
      guard violations.isEmpty, let place = text(group, AttributeName.epsilonPosition),
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
