// Rule R002.

extension Rule {
  /// `columns` MUST be at most half of `tokens`, and `cursor` at most `tokens` / `columns` - 1.
  static let cursorIsInTheText = Rule(
    id: "R002", level: .error,
    summary: """
      `columns` MUST be at most half of `tokens`, and `cursor` at most `tokens` / `columns` - 1, \
      rounded down; `shards` MUST be at most `columns`, with `window_kind` "sentence" at most `accumulation`.
      """,
    why: """
      The next window starts at the cursor; outside the columns there is no text, and a shard without columns has \
      nothing to learn from.
      """,
    example: "`/training/data` has 3,001 `tokens` in 3 `columns`, and `cursor` = 1000.",
    fix: Fix.trainAgain
  ) { contents in
    let group = Layout.trainingData
    guard let tokens = contents.integer(group, AttributeName.tokens),
      let columns = contents.integer(group, AttributeName.columns), columns > 0,
      let cursor = contents.integer(group, AttributeName.cursor)
    else { return [] }
    func violation(_ expected: String, _ found: Int) -> [Violation] {
      [Violation(object: group, expected: expected, found: "\(found)")]
    }
    guard columns <= tokens / 2 else {
      return violation("columns: at most \(tokens / 2), half of the tokens", columns)
    }
    let last = tokens / columns - 1
    guard (0...last).contains(cursor) else { return violation("cursor: 0 to \(last)", cursor) }
    let isBySentence =
      contents.text(group, AttributeName.windowKind) == WindowKind.sentence.rawValue
    guard let shards = contents.integer(Layout.training, AttributeName.shards),
      let most = isBySentence
        ? contents.integer(Layout.training, AttributeName.accumulation) : columns, shards > most
    else { return [] }
    return [
      Violation(
        object: Layout.training, expected: "shards: at most \(most)", found: "\(shards)")
    ]
  }
}
