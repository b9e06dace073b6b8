// Rule I006.

extension Rule {
  /// The model MUST give the log-probabilities of `/self_test` within its `tolerance`.
  static let selfTestReplays = Rule(
    id: "I006", level: .error, cost: .replay,
    summary: """
      The model MUST give each of the `log_probabilities` of `/self_test` within its `tolerance`.
      """,
    why: """
      Every byte can be right and the numbers wrong, where gates are in another order or a variant \
      is misread; only computing shows it.
      """,
    example: "The self-test has -3.2188 for the first token, and the model gives -4.0112.",
    fix: "convert again from the original model, and report it: one of the two computes wrongly"
  ) { contents in
    guard let test = contents.selfTest, let replay = contents.replay else { return [] }
    let differences = zip(test.logProbabilities, replay).map { abs($0 - $1) }
    // NaN differs by more than any tolerance.
    guard let place = differences.firstIndex(where: { !($0 <= test.tolerance) }) else { return [] }
    return [
      Violation(
        object: Layout.selfTestLogProbabilities,
        expected: "\(test.logProbabilities[place]) within \(test.tolerance) at \(place), by "
          + "\(test.producer) in \(test.arithmetic)",
        found: "\(replay[place])")
    ]
  }
}
