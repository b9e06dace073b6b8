// Rule O006.

extension Rule {
  /// Hyper-parameters MUST be finite and in their domain.
  static let hyperparametersAreInTheirDomain = Rule(
    id: "O006", level: .error,
    summary: """
      Hyper-parameters MUST be finite and at least 0; `momentum`, `dampening`, `beta1`, `beta2`, `alpha` \
      and `rho` MUST be less than 1, `clip_value` more than 0, `mu` at most 1. The numbers of a schedule MUST be as in its table. \
      `clip_value` MUST be present exactly if `clip_kind` is not "none", and `clip_scope` exactly if it is \
      "norm".
      """,
    why: "Outside its domain a number makes the next step diverge, or run away from the minimum.",
    example: "`/optimizer/groups/00` has `learning_rate` = -1, or `momentum` = 1.",
    fix: Fix.trainAgain
  ) { contents in
    contents.optimizerGroups.flatMap { contents.domainViolations(group: $0) }
      + ScheduleNumber.allCases.flatMap {
        contents.violation(Layout.trainingSchedule, $0.rawValue, $0.domain, $0.allows)
      }
  }
}

extension Contents {
  fileprivate func domainViolations(group: String) -> [Violation] {
    Hyperparameter.allCases.filter { !$0.isFlag }.flatMap { hyperparameter in
      violation(group, hyperparameter.rawValue, hyperparameter.domain, hyperparameter.allows)
    }
      + violation(group, AttributeName.clipValue, "a finite number of more than 0") { $0 > 0 }
      + violation(group, AttributeName.eta, "a finite number of at least 0") { $0 >= 0 }
      + violation(group, AttributeName.mu, "at least 0 and at most 1") { $0 >= 0 && $0 <= 1 }
      + clipViolations(group)
  }

  /// Returns the violation of a number that is there and not in its domain.
  fileprivate func violation(
    _ path: String, _ name: String, _ domain: String, _ isInDomain: (Double) -> Bool
  ) -> [Violation] {
    guard let value = number(path, name), !(value.isFinite && isInDomain(value)) else { return [] }
    return [Violation(object: path, expected: "\(name): \(domain)", found: "\(value)")]
  }

  private func clipViolations(_ group: String) -> [Violation] {
    guard let kind = text(group, AttributeName.clipKind).flatMap(ClipKind.init) else { return [] }
    return attributeViolations(
      group, [AttributeName.clipValue: kind != .none, AttributeName.clipScope: kind == .norm])
  }

  /// Attributes that are missing, or there and should not be.
  func attributeViolations(_ path: String, _ wanted: [String: Bool]) -> [Violation] {
    wanted.sorted { $0.key < $1.key }.compactMap { name, isWanted in
      let value = object(path)?.attributes[name]
      guard (value != nil) != isWanted else { return nil }
      return Violation(
        object: path, expected: isWanted ? "attribute \(name)" : "no attribute \(name)",
        found: value?.printed ?? "nothing")
    }
  }
}
