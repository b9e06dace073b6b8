// Rule I004.

extension Rule {
  /// `content_digest` MUST be the digest of all datasets, links and attributes.
  static let contentDigestAgrees = Rule(
    id: "I004", level: .error,
    summary: "`content_digest` MUST be the digest of all datasets, links and attributes.",
    why: "It finds a changed token, size or history, which no digest of a tensor covers.",
    example: """
      `unknown_id` was edited from 10 to 9 in `/vocabulary`, and `content_digest` is still \
      that of 10.
      """,
    fix: Fix.takeOriginal,
    repair: .digests
  ) { contents in
    guard let stated = contents.text(Layout.root, AttributeName.contentDigest) else { return [] }
    let computed = Digest.content(contents.digestEntries)
    guard computed != stated else { return [] }
    return [
      Violation(
        object: Layout.root, expected: "content_digest \(stated)", found: computed)
    ]
  }
}
