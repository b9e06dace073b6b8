// Rule V012.

import UnrollTokenization

extension Rule {
  /// `definition` MUST be a file of the format that `definition_format` names, of a tokenizer of this
  /// `kind`, and its tokens MUST be those of the vocabulary.
  static let definitionDefines = Rule(
    id: "V012", level: .error, cost: .bytes,
    summary: """
      `definition` MUST be a file of the format that `definition_format` names, of a tokenizer of this \
      `kind`, and its tokens MUST be those of the vocabulary under the same ids.
      """,
    why: "A tokenizer with other ids than the embedding has rows gives numbers that mean nothing.",
    example: "`definition` has the token \"the\" at 262, and `/vocabulary` has it at 265.",
    fix: "convert again with the tokenizer's own file"
  ) { contents in
    guard let vocabulary = contents.vocabulary, let tokenizer = contents.tokenizer,
      tokenizer.definition != nil
    else { return [] }
    do {
      try tokenizer.check(vocabulary)
      return []
    } catch {
      let error = DefinitionError(error)
      // A feature that this version lacks is no fault of the file.
      guard !error.isUnsupported else { return [] }
      return [
        Violation(
          object: Layout.tokenizerDefinition, expected: "\(error.place): \(error.expected)",
          found: error.found)
      ]
    }
  }
}
