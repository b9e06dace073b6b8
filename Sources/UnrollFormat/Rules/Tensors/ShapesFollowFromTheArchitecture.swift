// Rule T001.

extension Rule {
  /// The shape of every parameter MUST be the one that follows from the architecture.
  static let shapesFollowFromTheArchitecture = Rule(
    id: "T001", level: .error,
    summary: "The shape of every parameter MUST be the one that follows from the architecture.",
    why: "A transposed or cut tensor would be read as other numbers."
  ) { contents in
    guard let architecture = contents.architecture else { return [] }
    return architecture.parameters.compactMap { path, shape in
      // The rows of the embedding are V002's finding.
      guard path != .embeddingWeight, let found = contents.dataset(path.description)?.shape,
        found != shape
      else { return nil }
      return Violation(
        object: path.description, expected: "shape \(shape)", found: "shape \(found)",
        fix: "convert again from the original model")
    }
  }
}
