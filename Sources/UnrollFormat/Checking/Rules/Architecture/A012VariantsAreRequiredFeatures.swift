// Rule A012.

extension Rule {
  /// A file MUST list the cells and the output that are not of every version of the format.
  static let variantsAreRequiredFeatures = Rule(
    id: "A012", level: .error,
    summary: """
      A file with a layer whose `cell` is "mingru" or "qrnn", or an output whose `kind` is \
      "adaptive_softmax", MUST list that name in `required_features`.
      """,
    why:
      "A reader that does not know them then says so, and does not take the file for damaged.",
    example: "`/model/layers/00` has `cell` \"qrnn\", and the root has no `required_features`.",
    fix: Fix.convertAgain
  ) { contents in
    guard let architecture = contents.architecture else { return [] }
    var listed: [String] = []
    if case .texts(let features)? =
      contents.object(Layout.root)?.attributes[AttributeName.requiredFeatures]
    {
      listed = features
    }
    return architecture.requiredFeatures.filter { !listed.contains($0) }.map {
      Violation(
        object: Layout.root, expected: "required_features with \"\($0)\"", found: "\(listed)")
    }
  }
}
