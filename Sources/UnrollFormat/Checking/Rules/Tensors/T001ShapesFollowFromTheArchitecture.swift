// Rule T001.

extension Rule {
  /// The shape of every parameter MUST be the one that follows from the architecture.
  static let shapesFollowFromTheArchitecture = Rule(
    id: "T001", level: .error,
    summary: "The shape of every parameter MUST be the one that follows from the architecture.",
    why: "A transposed or cut tensor would be read as other numbers.",
    example: """
      `/model/layers/00/weight_ih` of an LSTM with 5 inputs and 7 units has the shape [5, 28] \
      where [28, 5] follows.
      """,
    fix: Fix.convertAgain
  ) { contents in
    guard let architecture = contents.architecture else { return [] }
    return architecture.parameters.compactMap { path, shape in
      // The rows of the embedding are V002's finding.
      guard path != .embeddingWeight, let found = contents.dataset(path.description)?.shape,
        found != shape
      else { return nil }
      return Violation(
        object: path.description, expected: "shape \(shape)", found: "shape \(found)")
    }
  }
}
