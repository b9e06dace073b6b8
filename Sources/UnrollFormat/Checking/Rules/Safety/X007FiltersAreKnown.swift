// Rule X007.

extension Rule {
  /// Filters MUST be among shuffle, deflate and fletcher32.
  static let filtersAreKnown = Rule(
    id: "X007", level: .error,
    summary: "Filters MUST be among shuffle, deflate and fletcher32.",
    why: "Another filter is code that is loaded by its number.",
    example: "The filter 32000 (LZF) stands in the pipeline of `/model/embedding/weight`.",
    fix: "write the file again without this filter"
  ) { contents in
    contents.datasets.flatMap { path, dataset in
      dataset.filters.filter { !(1...3).contains($0) }.map { filter in
        Violation(
          object: path, expected: "filters 1 (deflate), 2 (shuffle), 3 (fletcher32)",
          found: "filter \(filter)")
      }
    }
  }
}
