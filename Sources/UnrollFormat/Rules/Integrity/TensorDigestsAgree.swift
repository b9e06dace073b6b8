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
    contents.datasets.compactMap { path, _ in
      guard let stated = contents.text(path, AttributeName.digest),
        let tensor = contents.tensor(path)
      else { return nil }
      let computed = tensor.withUnsafeBytes { Digest.sha256($0) }
      guard computed != stated else { return nil }
      return Violation(
        object: path, expected: "digest \(stated)", found: computed)
    }
  }
}
