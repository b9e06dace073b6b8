// Rule X021.

import UnrollHDF5

extension Rule {
  /// An object MUST NOT have more than 1,000 attributes.
  static let attributesAreFew = Rule(
    id: "X021", level: .error,
    summary: "An object MUST NOT have more than 1,000 attributes.",
    why: """
      libhdf5 looks for each of them among all others, in blocks that it reads again and again.
      """,
    example: "`/model` has a million attributes.",
    fix: "store many numbers as a dataset"
  ) { contents in
    guard case .attributes(let path) = contents.inventory.stoppedAt else { return [] }
    return [
      Violation(
        object: path, expected: "at most \(Inventory.maximumAttributes) attributes", found: "more")
    ]
  }
}
