// Rule X019.

import UnrollHDF5

extension Rule {
  /// Paths, attribute names and attribute values MUST NOT be larger than 16 MiB together, each
  /// counted with 128 bytes more.
  static let textIsSmall = Rule(
    id: "X019", level: .error,
    summary: """
      Paths, attribute names and attribute values MUST NOT be larger than 16 MiB together, each \
      counted with 128 bytes more.
      """,
    why: "Every opening reads all of them and keeps them in memory.",
    example: "1,000 groups have four attributes of 32 KiB each.",
    fix: "store long text and many numbers as datasets"
  ) { contents in
    guard contents.inventory.stoppedAt == .text else { return [] }
    return [
      Violation(
        object: Layout.root,
        expected: "at most \(Inventory.maximumTextSize) bytes of paths and attributes",
        found: "more")
    ]
  }
}
