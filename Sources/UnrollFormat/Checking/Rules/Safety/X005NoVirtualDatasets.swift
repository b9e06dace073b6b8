// Rule X005.

extension Rule {
  /// A dataset MUST NOT be virtual.
  static let noVirtualDatasets = Rule(
    id: "X005", level: .error,
    summary: "A dataset MUST NOT be virtual.",
    why: "A virtual dataset takes its numbers from other datasets, perhaps of other files.",
    example: """
      `/model/embedding/weight` is a virtual dataset over the first rows of `other.h5`.
      """,
    fix: "do not use the file: it reads others"
  ) { contents in
    contents.datasets.filter { $0.dataset.layout == .virtual }.map { path, _ in
      Violation(
        object: path, expected: "data inside the file", found: "a virtual dataset")
    }
  }
}
