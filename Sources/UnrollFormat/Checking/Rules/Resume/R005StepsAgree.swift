// Rule R005.

extension Rule {
  /// The steps of optimizer, training, history and best evaluation MUST agree.
  static let stepsAgree = Rule(
    id: "R005", level: .error,
    summary: """
      The `step` of `/optimizer` MUST be that of `/training`. The datasets of the history MUST \
      have one length of at least 1, and its steps MUST NOT decrease. The steps of history and \
      best MUST NOT be beyond `step`.
      """,
    why: "Steps that disagree are of files that were mixed, or of a clock that ran backwards.",
    example: "`/training` has `step` = 12, and `/optimizer` `step` = 13.",
    fix: Fix.trainAgain
  ) { contents in
    guard let step = contents.integer(Layout.training, AttributeName.step) else { return [] }
    var violations: [Violation] = []
    if let other = contents.integer(Layout.optimizer, AttributeName.step), other != step {
      violations.append(
        violation(Layout.optimizer, "step \(step), as in \(Layout.training)", other))
    }
    if let best = contents.integer(Layout.trainingBest, AttributeName.step), best > step {
      violations.append(violation(Layout.trainingBest, "a step of at most \(step)", best))
    }
    return violations + contents.historyViolations(step)
  }
}

extension Contents {
  fileprivate func historyViolations(_ step: Int) -> [Violation] {
    let group = Layout.trainingHistory
    guard exists(group) else { return [] }
    let names = [
      MemberName.step, MemberName.epoch, MemberName.learningRate, MemberName.trainNLL,
      MemberName.validNLL,
    ]
    let lengths = names.map { dataset("\(group)/\($0)")?.shape?.elementCount ?? 0 }
    guard let length = lengths.first, length > 0, Set(lengths).count == 1 else {
      let found = lengths.map(String.init).joined(separator: ", ")
      return [violation(group, "columns of one length of at least 1", "lengths \(found)")]
    }
    let path = "\(group)/\(MemberName.step)"
    let steps = historySteps ?? []
    if let drop = zip(steps, steps.dropFirst()).first(where: { $0 > $1 }) {
      return [violation(path, "steps that never decrease", "\(drop.0) before \(drop.1)")]
    }
    guard let last = steps.last, last > step else { return [] }
    return [violation(path, "steps of at most \(step)", last)]
  }
}

private func violation(_ path: String, _ expected: String, _ found: some Any) -> Violation {
  Violation(object: path, expected: expected, found: "\(found)")
}
