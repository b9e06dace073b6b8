// Rule A010.

extension Rule {
  /// A model whose input is "one_hot" MUST have an embedding size equal to its vocabulary size.
  static let oneHotStandsAlone = Rule(
    id: "A010", level: .error,
    summary: """
      A model whose input is "one_hot" MUST have an embedding size equal to its vocabulary size, and \
      MUST NOT be tied.
      """,
    why: "Its first layer multiplies a vector as long as the vocabulary; no embedding is there.",
    example: "`/model` has `input` \"one_hot\", `vocabulary_size` 47 and `embedding_size` 64.",
    fix: Fix.convertAgain
  ) { contents in
    guard let architecture = contents.architecture, architecture.input == .oneHot,
      architecture.isTied || architecture.embeddingSize != architecture.vocabularySize
    else { return [] }
    return [
      Violation(
        object: Layout.model,
        expected: "embedding_size \(architecture.vocabularySize) and tied 0 for one-hot input",
        found: "\(architecture.embeddingSize) and \(architecture.isTied ? 1 : 0)")
    ]
  }
}
