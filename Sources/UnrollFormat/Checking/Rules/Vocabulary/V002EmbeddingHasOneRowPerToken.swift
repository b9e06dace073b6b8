// Rule V002.

import UnrollTensors

extension Rule {
  /// `/model/embedding/weight`, if the input is "embedding", MUST have the shape [`vocabulary_size`, `embedding_size`], and
  /// `vocabulary_size` MUST be the `size` of the vocabulary.
  static let embeddingHasOneRowPerToken = Rule(
    id: "V002", level: .error,
    summary: """
      `/model/embedding/weight`, if the input is "embedding", MUST have the shape [`vocabulary_size`, `embedding_size`], and \
      `vocabulary_size` MUST be the `size` of the vocabulary.
      """,
    why: """
      A token without a row cannot be looked up; a row too many means that the vocabulary is \
      not the one the model was trained on.
      """,
    example: """
      `/model/embedding/weight` has the shape [10, 5], and `/vocabulary` has `size` = 11.
      """,
    fix: Fix.convertWithVocabulary
  ) { contents in
    guard let architecture = contents.architecture,
      // A size below 1 is A001's finding.
      let size = contents.integer(Layout.vocabulary, AttributeName.size), size >= 1,
      // A missing one is T004's finding.
      let shape = contents.dataset(ParameterPath.embeddingWeight.description)?.shape
        ?? (architecture.input == .oneHot ? [size, architecture.embeddingSize] : nil)
    else { return [] }
    let expected: Shape = [size, architecture.embeddingSize]
    guard shape != expected || architecture.vocabularySize != size else { return [] }
    return [
      Violation(
        object: ParameterPath.embeddingWeight.description,
        expected: "shape \(expected), one row for each of the \(size) tokens",
        found: "shape \(shape), vocabulary_size \(architecture.vocabularySize)")
    ]
  }
}
