// Rule R004.

extension Rule {
  /// A training that says that it resumes exactly MUST have the state for it, another a reason.
  static let exactnessIsTold = Rule(
    id: "R004", level: .error,
    summary: """
      If `resume` is "exact", the slots that groups with a step use MUST be present; `resume_reason` MUST be a text that is not empty if `resume` is "inexact", and \
      MUST be absent otherwise.
      """,
    why: "Without its state an optimizer takes other steps, and whoever resumes has to know.",
    example: """
      `/training` has `resume` = "exact", and `/optimizer/groups/00` `momentum` = 0.9 without \
      a slot `momentum`.
      """,
    fix: Fix.trainAgain
  ) { contents in
    guard let resume = contents.text(Layout.training, AttributeName.resume) else { return [] }
    let reason = contents.text(Layout.training, AttributeName.resumeReason)
    if resume == ResumeKind.inexact.rawValue {
      guard reason?.isEmpty ?? true else { return [] }
      return [
        violation("resume_reason: why the training is resumed inexactly", reason ?? "nothing")
      ]
    }
    var violations: [Violation] = []
    if let reason { violations.append(violation("no attribute resume_reason", reason)) }
    guard let optimizer = contents.optimizer else { return violations }
    let slots = optimizer.groups.filter { $0.step > 0 }.flatMap { $0.slots(of: optimizer.kind) }
    for slot in Set(slots).sorted().map(Layout.slot) where !contents.exists(slot) {
      violations.append(violation("resume inexact without group \(slot)", "exact"))
    }
    return violations
  }
}

private func violation(_ expected: String, _ found: String) -> Violation {
  Violation(
    object: Layout.training, expected: expected, found: found)
}
