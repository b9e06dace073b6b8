// Rule I002.

extension Rule {
  /// Every dataset SHOULD have a `digest`.
  static let datasetsHaveDigests = Rule(
    id: "I002", level: .warning,
    summary: "Every dataset SHOULD have a `digest`.",
    why: "Without one a flipped bit goes unseen.",
    example: "`/vocabulary/counts` was added with h5py, without the attribute `digest`.",
    fix: Fix.writeAgain,
    repair: .digests
  ) { contents in
    contents.datasets.compactMap { path, _ in
      guard Layout.schema(of: path) != nil,
        contents.object(path)?.attributes[AttributeName.digest] == nil
      else { return nil }
      return Violation(
        object: path, expected: "attribute digest", found: "nothing")
    }
  }
}
