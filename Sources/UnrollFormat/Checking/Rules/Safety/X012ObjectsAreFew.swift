// Rule X012.

import UnrollHDF5

extension Rule {
  /// The file MUST NOT have more than 20,000 objects.
  static let objectsAreFew = Rule(
    id: "X012", level: .error,
    summary: "The file MUST NOT have more than 20,000 objects.",
    why: "Millions of objects make a small file slow to open.",
    example: "`/model` has a million empty groups.",
    fix: "do not use the file: no recurrent model has so many parts"
  ) { contents in
    guard contents.inventory.stoppedAt == .objects else { return [] }
    return [
      Violation(
        object: "/", expected: "at most \(Inventory.maximumObjects) objects", found: "more")
    ]
  }
}
