// Rule V008.

import UnrollTokenization

extension Rule {
  /// `definition` and `definition_format` MUST come together, and kinds that need them MUST have them.
  static let definitionHasAFormat = Rule(
    id: "V008", level: .error,
    summary: """
      `definition` and `definition_format` MUST be both present or both absent, and present for the \
      tokenizers "bpe", "wordpiece", "unigram", "wordlevel" and "charlevel".
      """,
    why: "Such a tokenizer is more than tokens: merges, scores or prefixes decide what it does.",
    example: "`/tokenizer` has `kind` \"bpe\", and no dataset `definition`.",
    fix: "convert again with the tokenizer's own file"
  ) { contents in
    let hasBytes = contents.exists(Layout.tokenizerDefinition)
    let format = contents.text(Layout.tokenizer, AttributeName.definitionFormat)
    let kind = contents.text(Layout.tokenizer, AttributeName.kind).flatMap(TokenizerKind.init)
    let needed = kind.map { $0.isDefined } ?? false
    guard hasBytes != (format != nil) || (needed && !hasBytes) else { return [] }
    return [
      Violation(
        object: Layout.tokenizer,
        expected: needed ? "definition and definition_format" : "both or none of them",
        found: "\(hasBytes ? "a" : "no") definition, format \(format ?? "not declared")")
    ]
  }
}
