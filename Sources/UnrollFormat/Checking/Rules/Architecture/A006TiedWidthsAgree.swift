// Rule A006.

extension Rule {
  /// A tied model MUST have an embedding size equal to the width of what its output weight
  /// multiplies.
  static let tiedWidthsAgree = Rule(
    id: "A006", level: .error,
    summary: """
      A tied model MUST have an embedding size equal to the width of what its output weight \
      multiplies.
      """,
    why: "The embedding multiplies the last hidden state when it is the output weight.",
    example: """
      `/model` has `tied` = 1 and `embedding_size` = 5, and its last layer `hidden_size` = 6.
      """,
    fix: Fix.convertAgain
  ) { contents in
    guard let architecture = contents.architecture, architecture.isTied,
      architecture.outputInputSize != architecture.embeddingSize
    else { return [] }
    return [
      Violation(
        object: Layout.model,
        expected: "embedding_size \(architecture.outputInputSize), the width of the last layer",
        found: "\(architecture.embeddingSize)")
    ]
  }
}
