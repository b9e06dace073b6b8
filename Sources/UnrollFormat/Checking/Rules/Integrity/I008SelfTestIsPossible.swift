// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Rule I008.

extension Rule {
  /// The numbers of `/self_test` MUST be possible.
  static let selfTestIsPossible = Rule(
    id: "I008", level: .error,
    summary: """
      `/self_test` MUST have 2 to 4,096 `token_ids`, each smaller than `vocabulary_size`, and one \
      of `log_probabilities` fewer, each finite and at most 0; its `tolerance` MUST be finite and \
      at least 0.
      """,
    why: "A test that cannot be run, or that every model passes, shows nothing.",
    example: "`token_ids` has 33 entries, and `log_probabilities` 33 too.",
    fix: "write the self-test again with the program that made it"
  ) { contents in
    guard let test = contents.selfTest, let architecture = contents.architecture else { return [] }
    func violation(_ path: String, _ expected: String, _ found: String) -> [Violation] {
      [Violation(object: path, expected: expected, found: found)]
    }
    let V = architecture.vocabularySize
    guard (2...4096).contains(test.tokenIDs.count) else {
      return violation(Layout.selfTestIDs, "2 to 4,096 ids", "\(test.tokenIDs.count)")
    }
    if let id = test.tokenIDs.first(where: { $0 >= V }) {
      return violation(Layout.selfTestIDs, "ids below \(V)", "\(id)")
    }
    guard test.logProbabilities.count == test.tokenIDs.count - 1 else {
      return violation(
        Layout.selfTestLogProbabilities, "\(test.tokenIDs.count - 1) numbers",
        "\(test.logProbabilities.count)")
    }
    if let value = test.logProbabilities.first(where: { !($0.isFinite && $0 <= 0) }) {
      return violation(
        Layout.selfTestLogProbabilities, "finite numbers of at most 0", "\(value)")
    }
    guard test.tolerance.isFinite, test.tolerance >= 0 else {
      return violation(
        Layout.selfTest, "a finite tolerance of at least 0", "\(test.tolerance)")
    }
    return []
  }
}
