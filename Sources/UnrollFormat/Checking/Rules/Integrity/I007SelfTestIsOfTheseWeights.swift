// Rule I007.

extension Rule {
  /// The `weights_digest` of `/self_test` MUST be that of the file.
  static let selfTestIsOfTheseWeights = Rule(
    id: "I007", level: .error,
    summary: "The `weights_digest` of `/self_test` MUST be that of the file.",
    why: "The numbers of other weights would accuse these of being wrong.",
    example: "A model was trained on, and its file still has the `/self_test` from before.",
    fix: "write the file again with a tool that drops the self-test of other weights",
    repair: .omission
  ) { contents in
    guard let stated = contents.text(Layout.selfTest, AttributeName.weightsDigest),
      let weights = contents.text(Layout.root, AttributeName.weightsDigest), stated != weights
    else { return [] }
    return [Violation(object: Layout.selfTest, expected: weights, found: stated)]
  }
}
