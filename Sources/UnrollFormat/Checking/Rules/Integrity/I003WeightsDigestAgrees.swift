// Rule I003.

extension Rule {
  /// `weights_digest` MUST be the digest of the parameters and of the attributes of the
  /// model.
  static let weightsDigestAgrees = Rule(
    id: "I003", level: .error,
    summary: """
      `weights_digest` MUST be the digest of the parameters and of the attributes of the \
      model.
      """,
    why: """
      It names the function that the model computes, whatever its vocabulary, history and \
      storage.
      """,
    example: """
      `tied` was edited in `/model`, and `weights_digest` in the root is still that of the old \
      value.
      """,
    fix: Fix.takeOriginal
  ) { contents in
    guard let stated = contents.text(Layout.root, AttributeName.weightsDigest) else { return [] }
    let computed = Digest.weights(contents.digestEntries)
    guard computed != stated else { return [] }
    return [
      Violation(
        object: Layout.root, expected: "weights_digest \(stated)", found: computed)
    ]
  }
}
