// Rule A013.

extension Rule {
  /// The tails of an adaptive softmax MUST be declared and leave tokens for the head.
  static let tailsFitTheVocabulary = Rule(
    id: "A013", level: .error,
    summary: """
      An output of the kind "adaptive_softmax" MUST have at least one tail, fewer tokens in its tails than \
      the vocabulary has, and neither a tied weight nor a `projection` of its own; one of the kind "softmax" \
      MUST NOT have tails.
      """,
    why: "The first tokens belong to the head, and the others to the tails in their order.",
    example: "`/model/output` has the kind \"softmax\" and a member `tails` with `00`.",
    fix: Fix.convertAgain
  ) { contents in
    guard let architecture = contents.architecture,
      let kind = contents.text(Layout.output, AttributeName.kind)
    else { return [] }
    let isAdaptive = kind == OutputKind.adaptiveSoftmax.rawValue
    guard isAdaptive == !architecture.tails.isEmpty, isAdaptive || !contents.exists(Layout.tails)
    else {
      return [
        Violation(
          object: Layout.output,
          expected: isAdaptive ? "at least one tail in \(Layout.tails)" : "no \(Layout.tails)",
          found: isAdaptive ? "none" : "it, and kind \"\(kind)\"")
      ]
    }
    return architecture.contradictionOfTails.map {
      [Violation(object: Layout.tails, expected: $0.expected, found: $0.found)]
    } ?? []
  }
}
