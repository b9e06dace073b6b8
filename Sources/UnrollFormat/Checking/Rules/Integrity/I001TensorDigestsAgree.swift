// Rule I001.

extension Rule {
  /// The `digest` of a dataset MUST be the SHA-256 of its elements, little-endian, in lower-
  /// case hexadecimal.
  static let tensorDigestsAgree = Rule(
    id: "I001", level: .error, cost: .bytes,
    summary: """
      The `digest` of a dataset MUST be the SHA-256 of its elements, little-endian, in lower-case \
      hexadecimal.
      """,
    why: """
      A flipped bit in a weight changes every number that the model gives, and nothing else \
      shows it.
      """,
    example: """
      One bit of `/model/embedding/weight` is flipped, and its SHA-256 is another than \
      `digest`.
      """,
    fix: "copy or download the file again; its numbers were changed"
  ) { contents in
    let stated = contents.datasets.compactMap { path, _ in
      contents.text(path, AttributeName.digest).flatMap { digest in
        contents.tensor(path).map { (path: path, digest: digest, tensor: $0) }
      }
    }
    return zip(stated, Digest.sha256(of: stated.map(\.tensor))).compactMap { stated, computed in
      guard computed != stated.digest else { return nil }
      return Violation(
        object: stated.path, expected: "digest \(stated.digest)", found: computed)
    }
  }
}
