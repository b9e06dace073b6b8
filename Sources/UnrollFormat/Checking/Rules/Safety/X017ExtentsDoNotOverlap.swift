// Rule X017.

extension Rule {
  /// The bytes of two datasets MUST NOT overlap.
  static let extentsDoNotOverlap = Rule(
    id: "X017", level: .error,
    summary: "The bytes of two datasets MUST NOT overlap.",
    why: "Overlapping data amplifies a small file, and one tensor would change with another.",
    example: """
      `/model/embedding/weight` has the bytes 2,048 to 2,268, and `/vocabulary/token_bytes` \
      begins at 2,112.
      """,
    fix: "do not use the file: its tensors share bytes"
  ) { contents in
    let extents = contents.datasets.compactMap { path, dataset -> (UInt64, UInt64, String)? in
      guard let offset = dataset.offset, dataset.storageSize > 0 else { return nil }
      let (end, overflow) = offset.addingReportingOverflow(dataset.storageSize)
      return (offset, overflow ? .max : end, path)
    }.sorted { $0.0 < $1.0 }
    return zip(extents, extents.dropFirst()).filter { $0.1 > $1.0 }.map { first, second in
      Violation(
        object: second.2, expected: "bytes of its own",
        found: "bytes from \(second.0) inside those of \(first.2), which end at \(first.1)")
    }
  }
}
