// Rule R006.

extension Rule {
  /// `total_nll` and the `valid_nll` of best MUST be finite.
  static let lossesAreFinite = Rule(
    id: "R006", level: .error,
    summary: "`total_nll` and the `valid_nll` of best MUST be finite.",
    why: "No sum that goes on from such a number is right, and no evaluation is better than NaN.",
    example: """
      `/training/data` has `total_nll` = NaN, since a learning rate of 1,000 made the training \
      diverge.
      """,
    fix: Fix.trainAgain
  ) { contents in
    [
      (Layout.trainingData, AttributeName.totalNLL), (Layout.trainingBest, AttributeName.validNLL),
    ].compactMap { path, name in
      guard let value = contents.number(path, name), !value.isFinite else { return nil }
      return Violation(
        object: path, expected: "\(name): a finite number", found: "\(value)")
    }
  }
}
