// Rule R008.

extension Rule {
  /// The regularization MUST be of valid terms, with a seed where masks are drawn.
  static let regularizationIsLawful = Rule(
    id: "R008", level: .error,
    summary: """
      Each group of `/training/regularization` MUST have a `kind` that acts at its `site`, a `rate` that is \
      finite, at least 0, and less than 1 for dropout; no two may drop the same numbers. `seed` MUST be \
      present exactly if a term draws masks, `window_kind` is "random" or there is `sampled_softmax`, which \
      MUST NOT be there for an adaptive softmax.
      """,
    why: "Without the masks that would have been drawn the next steps differ.",
    example: "`/training/regularization/00` has `site` = \"weight_hh\" and `kind` = \"locked\".",
    fix: Fix.trainAgain
  ) { contents in
    guard contents.exists(Layout.training) else { return [] }
    var violations: [Violation] = []
    var terms: [RegularizationTerm] = []
    for group in contents.members(of: Layout.regularization).map({
      "\(Layout.regularization)/\($0)"
    }) {
      // Missing parts and parts of another type are findings of other rules.
      guard let term = contents.regularizationTerm(group) else { continue }
      let words = "\(term.kind.rawValue) of \(term.rate) at \(term.site.rawValue)"
      if !term.isLawful {
        violations.append(
          Violation(object: group, expected: "a kind and rate that the site takes", found: words))
      } else if terms.contains(where: term.excludes) {
        violations.append(
          Violation(object: group, expected: "one dropout of these numbers", found: words))
      }
      terms.append(term)
    }
    let draws =
      terms.contains { $0.kind.isDropout }
      || contents.text(Layout.trainingData, AttributeName.windowKind) == WindowKind.random.rawValue
    let samples = contents.object(Layout.training)?.attributes[AttributeName.sampledSoftmax] != nil
    if samples, contents.architecture?.tails.isEmpty == false {
      violations.append(
        Violation(
          object: Layout.training, expected: "no sampled_softmax with an adaptive softmax",
          found: "attribute \(AttributeName.sampledSoftmax)"))
    }
    return violations
      + contents.attributeViolations(Layout.training, [AttributeName.seed: draws || samples])
  }
}

extension Contents {
  /// Returns a regularization term; `nil` where a part is missing or not allowed.
  func regularizationTerm(_ group: String) -> RegularizationTerm? {
    value(
      RegularizationTerm.fields, at: group,
      in: RegularizationTerm(site: .embedding, kind: .element, rate: 0))
  }
}
