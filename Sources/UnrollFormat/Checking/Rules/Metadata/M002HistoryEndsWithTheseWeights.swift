// Rule M002.

extension Rule {
  /// The last `weights_digest` of the history SHOULD be that of the file.
  static let historyEndsWithTheseWeights = Rule(
    id: "M002", level: .warning,
    summary: "The last `weights_digest` in `/provenance` SHOULD be that of the file.",
    why: "Otherwise the weights were changed by a program that left no entry in the history.",
    example: """
      `/provenance/001` has the `weights_digest` from before weights were averaged with h5py.
      """,
    fix: "find out what changed the weights, and add an entry that says so"
  ) { contents in
    let entries = contents.members(of: Layout.provenance).map { "\(Layout.provenance)/\($0)" }
    guard let digest = contents.text(Layout.root, AttributeName.weightsDigest),
      let last = entries.last(where: {
        contents.text($0, AttributeName.weightsDigest) != nil
      }), let stated = contents.text(last, AttributeName.weightsDigest), stated != digest
    else { return [] }
    return [Violation(object: last, expected: "weights_digest \(digest)", found: stated)]
  }
}
