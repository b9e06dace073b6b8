// Rule Q004.

import UnrollTensors

extension Rule {
  /// The norm of a parameter's rows SHOULD be at most 100.
  static let normsAreBounded = Rule(
    id: "Q004", level: .warning, cost: .bytes,
    summary: """
      The root mean square of the norms of a parameter's rows SHOULD be at most 100, where a row of \
      a bias is one number and a row of weights for one-hot input counts as the one it gives.
      """,
    why: """
      A row is multiplied with as many inputs as it is long, each at most about 1, so its norm is \
      the size of what comes out, and gates are shut or open for good from about 10. Rows of \
      trained models have norms of 0.3 to 13: such a training exploded, or the bytes are no floats.
      """,
    example: "The rows of `/model/layers/01/weight_ih` have norms of about 31,000.",
    fix: Fix.trainAgain
  ) { contents in
    contents.finiteParameters.compactMap { path, shape, summary in
      let isOneHot =
        contents.architecture?.input == .oneHot
        && path == ParameterPath.layer(0, .weightIH).description
      let rows = isOneHot ? shape.elementCount ?? 1 : shape.dimensions[0]
      let norm = (summary.squareSum / Double(rows)).squareRoot()
      guard norm > 100 else { return nil }
      return Violation(object: path, expected: "norms of at most 100", found: "\(Float(norm))")
    }
  }
}
