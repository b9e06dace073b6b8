// Rule R007.

extension Rule {
  /// `/optimizer` and `/training` MUST be both present or both absent.
  static let optimizerAndTrainingComeTogether = Rule(
    id: "R007", level: .error,
    summary: "`/optimizer` and `/training` MUST be both present or both absent.",
    why: "With one of them alone a training cannot go on as if it had not stopped.",
    example: "`/optimizer` is there, and `/training` was deleted.",
    fix: Fix.trainAgain
  ) { contents in
    let parts = [Layout.optimizer, Layout.training]
    let missing = parts.filter { !contents.exists($0) }
    guard missing.count == 1, let path = missing.first else { return [] }
    let other = path == Layout.training ? Layout.optimizer : Layout.training
    return [
      Violation(
        object: path, expected: "group \(path) beside \(other)", found: "nothing")
    ]
  }
}
