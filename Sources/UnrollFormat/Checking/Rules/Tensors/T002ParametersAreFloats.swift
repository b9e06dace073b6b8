// Rule T002.

extension Rule {
  /// Parameters MUST be f16, bf16, f32 or f64.
  static let parametersAreFloats = Rule(
    id: "T002", level: .error,
    summary: "Parameters MUST be f16, bf16, f32 or f64.",
    why: "Integers need a scale, which this version of the format does not have.",
    example: "`/model/output/bias` is of u64.",
    fix: Fix.convertAgain
  ) { contents in
    contents.datasets.compactMap { path, dataset in
      guard path.hasPrefix(Layout.model + "/"), case .element(let element) = dataset.datatype,
        !element.isFloat
      else { return nil }
      return Violation(
        object: path, expected: "f16, bf16, f32 or f64", found: element.rawValue)
    }
  }
}
