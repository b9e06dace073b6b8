// Rule O004.

import UnrollTensors

extension Rule {
  /// Sums and means of squares MUST NOT be negative.
  static let squaresAreNotNegative = Rule(
    id: "O004", level: .error, cost: .bytes,
    summary: """
      The numbers of `second_moment`, `largest_second_moment`, `sum_of_squares` and \
      `second_moment_of_updates` MUST NOT be negative.
      """,
    why: "A square is not negative; the root of such a number is NaN, and so is the next step.",
    example: "`/optimizer/state/second_moment/model/output/bias` has -0.5 at 3.",
    fix: Fix.trainAgain
  ) { contents in
    OptimizerSlot.allCases.filter(\.holdsSquares).flatMap { slot in
      (contents.architecture?.parameters ?? []).compactMap { path, _ in
        let place = Layout.slot(slot, path)
        guard let tensor = contents.tensor(place), let index = tensor.firstNegative else {
          return nil
        }
        return Violation(
          object: place, expected: "numbers of at least 0", found: "a negative number at \(index)")
      }
    }
  }
}

extension Tensor {
  /// The index of the first number below 0 in row-major order; `nil` where there is none.
  fileprivate var firstNegative: Int? {
    let size = dtype.size
    return withUnsafeBytes { bytes in
      for index in 0..<elementCount where bytes[index * size + size - 1] & 0x80 != 0 {
        // The sign is set; of -0 alone.
        let others = bytes[index * size..<(index + 1) * size - 1]
        if bytes[index * size + size - 1] != 0x80 || others.contains(where: { $0 != 0 }) {
          return index
        }
      }
      return nil
    }
  }
}
