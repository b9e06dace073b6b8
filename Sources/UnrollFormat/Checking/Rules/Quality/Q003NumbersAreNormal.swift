// Rule Q003.

import UnrollTensors

extension Rule {
  /// At most 1 in 100 numbers of a parameter SHOULD be subnormal.
  static let numbersAreNormal = Rule(
    id: "Q003", level: .note, cost: .bytes,
    summary: """
      At most 1 in 100 numbers of a parameter of f32, bf16 or f64 SHOULD be subnormal: not 0, but \
      below the least number of full precision.
      """,
    why: """
      Subnormal numbers come from bytes that were no floats, or from a decay that went on for too \
      long, and many processors are slow with them. In f16 they are healthy small weights.
      """,
    example: "Of 1,048,576 numbers in `/model/layers/00/weight_hh` 300,000 are below 1.2e-38.",
    fix: "convert again from the original model, or set such numbers to 0"
  ) { contents in
    contents.finiteParameters.compactMap { path, shape, summary in
      let count = shape.elementCount ?? 0
      guard summary.subnormalCount > count / 100, contents.tensor(path)?.dtype != .float16 else {
        return nil
      }
      return Violation(
        object: path, expected: "at most \(count / 100) subnormal numbers",
        found: "\(summary.subnormalCount) of \(count)")
    }
  }
}
