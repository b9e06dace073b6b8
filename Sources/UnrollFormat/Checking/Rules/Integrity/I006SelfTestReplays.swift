// Rule I006.

extension Rule {
  /// The model MUST give the log-probabilities of `/self_test` within its `tolerance` and rounding.
  static let selfTestReplays = Rule(
    id: "I006", level: .error, cost: .replay,
    summary: """
      The model MUST give each of the `log_probabilities` of `/self_test` within its `tolerance` and \
      the rounding of its logits.
      """,
    why: """
      Every byte can be right and the numbers wrong, where gates are in another order or a variant \
      is misread; only computing shows it.
      """,
    example: "The self-test has -3.2188 for the first token, and the model gives -4.0112.",
    fix: "convert again from the original model, and report it: one of the two computes wrongly"
  ) { contents in
    guard let test = contents.selfTest, let replay = contents.replay else { return [] }
    let differences = zip(test.logProbabilities, replay.logProbabilities).map { abs($0 - $1) }
    // The stored numbers are rounded too, unless they are of double precision.
    let share = test.arithmetic == "f64" ? 1.0 : 2.0
    let limits = differences.indices.map { index in
      let rounding = replay.roundings.indices.contains(index) ? replay.roundings[index] : 0
      return test.tolerance + (rounding.isFinite ? share * rounding : 0)
    }
    // NaN differs by more than any limit.
    guard let place = differences.indices.first(where: { !(differences[$0] <= limits[$0]) }) else {
      return []
    }
    return [
      Violation(
        object: Layout.selfTestLogProbabilities,
        expected: "\(test.logProbabilities[place]) within \(limits[place]) at \(place), by "
          + "\(test.producer) in \(test.arithmetic)",
        found: "\(replay.logProbabilities[place])")
    ]
  }
}
