// Rule Q001.

import UnrollTensors

extension Rule {
  /// Parameters, slots and carried state SHOULD be finite.
  static let numbersAreFinite = Rule(
    id: "Q001", level: .warning, cost: .bytes,
    summary: """
      The numbers of parameters, of an optimizer's slots and of the carried state SHOULD be finite.
      """,
    why: "One NaN spreads to every probability that follows it; the training diverged.",
    example: "`/model/layers/00/weight_hh` has 3 NaN, the first at [3, 17].",
    fix: Fix.trainAgain
  ) { contents in
    contents.summaries.sorted { $0.key < $1.key }.compactMap { path, summary in
      guard let first = summary.firstNonFinite, let shape = contents.dataset(path)?.shape else {
        return nil
      }
      return Violation(
        object: path, expected: "finite numbers",
        found: """
          \(summary.nanCount) NaN and \(summary.infinityCount) infinite, the first at \
          \(shape.place(of: first))
          """)
    }
  }
}

extension Shape {
  /// Returns the index of an element in each dimension, such as `[3, 17]`, from its index in row-major order.
  fileprivate func place(of element: Int) -> Shape {
    var rest = element
    var places: [Int] = []
    for dimension in dimensions.reversed() {
      places.append(rest % dimension)
      rest /= dimension
    }
    return Shape(places.reversed())
  }
}
