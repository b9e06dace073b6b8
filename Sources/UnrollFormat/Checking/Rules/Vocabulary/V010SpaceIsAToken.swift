// Rule V010.

import UnrollTokenization

extension Rule {
  /// `space` MUST be a token of the vocabulary, and MUST NOT be present unless the tokenizer is
  /// "character".
  static let spaceIsAToken = Rule(
    id: "V010", level: .error,
    summary: """
      `space` MUST be a token of the vocabulary, and MUST NOT be present unless the tokenizer is \
      "character".
      """,
    why: "It is the token of U+0020; without it every space of a text is unknown.",
    example: "`/tokenizer` has `kind` \"character\" and `space` \"_\", and no token is \"_\".",
    fix: "convert again with the sign that the model's training text had for a space"
  ) { contents in
    guard let vocabulary = contents.vocabulary,
      let space = contents.text(Layout.tokenizer, AttributeName.space)
    else { return [] }
    let kind = contents.text(Layout.tokenizer, AttributeName.kind) ?? ""
    guard kind == TokenizerKind.character.rawValue else {
      return [
        Violation(
          object: Layout.tokenizer, expected: "no space for the tokenizer \"\(kind)\"",
          found: "\"\(space)\"")
      ]
    }
    guard vocabulary.id(of: space) == nil else { return [] }
    return [
      Violation(object: Layout.tokenizer, expected: "space: a token", found: "\"\(space)\"")
    ]
  }
}
