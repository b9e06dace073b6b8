// Rule O006.

extension Rule {
  /// Hyper-parameters MUST be finite and in their domain.
  static let hyperparametersAreInTheirDomain = Rule(
    id: "O006", level: .error,
    summary: """
      Hyper-parameters MUST be finite and in their domain: `learning_rate` and `weight_decay` at \
      least 0, `momentum` at least 0 and less than 1, `clip_value` more than 0, `factor` at least \
      1. `clip_value` and `clip_scope` MUST be present exactly if `clip_kind` is "norm".
      """,
    why: "Outside its domain a number makes the next step diverge, or run away from the minimum.",
    example: "`/optimizer/groups/00` has `learning_rate` = -1, or `momentum` = 1.",
    fix: Fix.trainAgain
  ) { contents in
    contents.optimizerGroups.flatMap { contents.domainViolations(group: $0) }
      + contents.violation(
        Layout.trainingSchedule, AttributeName.factor, "a finite number of at least 1"
      ) { $0 >= 1 }
  }
}

extension Contents {
  fileprivate func domainViolations(group: String) -> [Violation] {
    violation(group, AttributeName.learningRate, "a finite number of at least 0") { $0 >= 0 }
      + violation(group, AttributeName.momentum, "at least 0 and less than 1") { $0 >= 0 && $0 < 1 }
      + violation(group, AttributeName.weightDecay, "a finite number of at least 0") { $0 >= 0 }
      + violation(group, AttributeName.clipValue, "a finite number of more than 0") { $0 > 0 }
      + clipViolations(group)
  }

  /// A number that is there and not in its domain.
  fileprivate func violation(
    _ path: String, _ name: String, _ domain: String, _ isInDomain: (Double) -> Bool
  ) -> [Violation] {
    guard let value = number(path, name), !(value.isFinite && isInDomain(value)) else { return [] }
    return [
      Violation(
        object: path, expected: "\(name): \(domain)", found: "\(value)")
    ]
  }

  private func clipViolations(_ group: String) -> [Violation] {
    let isClipped = text(group, AttributeName.clipKind) == ClipKind.norm.rawValue
    let attributes = object(group)?.attributes
    return [AttributeName.clipValue, AttributeName.clipScope].compactMap { name in
      let value = attributes?[name]
      guard (value != nil) != isClipped else { return nil }
      return Violation(
        object: group, expected: isClipped ? "attribute \(name)" : "no attribute \(name)",
        found: value?.printed ?? "nothing")
    }
  }
}
