// Rule P004.

import UnrollTensors

extension Rule {
  /// Parameters SHOULD NOT be f64.
  static let parametersAreSmall = Rule(
    id: "P004", level: .note,
    summary: "Parameters SHOULD NOT be f64.",
    why: """
      Such a file is twice as large, and many programs compute in f32 and round it when they read \
      it. It is right for a model that was trained in f64.
      """,
    example: "`/model/embedding/weight` is f64, since NumPy makes that of every list of numbers.",
    fix: "convert to f32 where the model came from, if it was not trained in f64"
  ) { contents in
    let paths = (contents.architecture?.parameters ?? []).map(\.path.description)
    let wide = paths.filter { contents.dataset($0)?.datatype == .element(.float64) }
    guard let first = wide.first else { return [] }
    return [
      Violation(
        object: first, expected: "f16, bf16 or f32",
        found: "f64 in \(wide.count) of \(paths.count) parameters")
    ]
  }
}
