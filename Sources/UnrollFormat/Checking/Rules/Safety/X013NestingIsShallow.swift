// Rule X013.

import UnrollHDF5

extension Rule {
  /// Groups MUST NOT be nested deeper than 16.
  static let nestingIsShallow = Rule(
    id: "X013", level: .error,
    summary: "Groups MUST NOT be nested deeper than 16.",
    why: "Deep nesting exhausts the stack of whoever walks it.",
    example: "`/a/a/a/...` is 17 groups deep.",
    fix: "do not use the file: no checkpoint is so deep"
  ) { contents in
    guard case .depth(let path) = contents.inventory.stoppedAt else { return [] }
    return [
      Violation(
        object: path, expected: "at most \(Inventory.maximumDepth) groups inside each other",
        found: "more")
    ]
  }
}
