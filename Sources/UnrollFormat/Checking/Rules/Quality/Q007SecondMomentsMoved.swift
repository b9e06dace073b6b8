// Rule Q007.

extension Rule {
  /// The second moments of a parameter SHOULD NOT all be zero after a step.
  static let secondMomentsMoved = Rule(
    id: "Q007", level: .warning, cost: .bytes,
    summary: """
      The second moments, or sums of squares, of a parameter SHOULD NOT all be zero after a step.
      """,
    why: """
      Its gradient was zero in every step, or the state was lost: the next steps are then far too large.
      """,
    example: """
      `/optimizer/state/second_moment/model/layers/00/weight_hh` is zero everywhere after 1,000 steps.
      """,
    fix: "look whether the state was read from where the producer keeps it; if so, `--ignore Q007`"
  ) { contents in
    guard let optimizer = contents.optimizer else { return [] }
    return optimizer.groups.filter { $0.step > 0 }.flatMap { group in
      [OptimizerSlot.secondMoment, .sumOfSquares].flatMap { slot in
        group.parameters.compactMap { path in
          let place = Layout.slot(slot, path)
          guard let summary = contents.summaries[place], summary.isFinite, summary.squareSum == 0
          else { return nil }
          return Violation(
            object: place, expected: "a number above 0 after \(group.step) steps",
            found: "zeros")
        }
      }
    }
  }
}
