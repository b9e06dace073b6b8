// Rule C005.

extension Rule {
  /// The root attribute `complete` MUST be 1; a writer sets it last.
  static let fileIsComplete = Rule(
    id: "C005", level: .error,
    summary: "The root attribute `complete` MUST be 1; a writer sets it last.",
    why: "A writer that is killed can leave a file that opens and lacks tensors.",
    example: "The root has `complete` = 0, since its writer was killed before it set 1.",
    fix: "write the file again: its writer did not finish"
  ) { contents in
    guard contents.text(Layout.root, AttributeName.format) == Layout.format,
      contents.integer(Layout.root, AttributeName.complete) != 1
    else { return [] }
    let found = contents.object(Layout.root)?.attributes[AttributeName.complete]?.printed
    return [
      Violation(
        object: Layout.root, expected: "complete = 1", found: found ?? "nothing")
    ]
  }
}
