// Rule S006.

extension Rule {
  /// A dataset MUST be stored contiguously and unfiltered (live profile).
  static let storageIsContiguous = Rule(
    id: "S006", level: .error,
    summary: "A dataset MUST be stored contiguously and unfiltered (live profile).",
    why: """
      Contiguous data is mapped into memory where it lies; this version of the format has no \
      other profile.
      """,
    example: """
      `/model/embedding/weight` is stored in chunks of [64, 64] with the filter deflate.
      """,
    fix: Fix.writeAgain
  ) { contents in
    contents.datasets.compactMap { path, dataset in
      guard dataset.layout != .contiguous || !dataset.filters.isEmpty else { return nil }
      return Violation(
        object: path, expected: "contiguous, unfiltered storage",
        found: "\(dataset.layout.rawValue) storage with \(dataset.filters.count) filter(s)")
    }
  }
}
