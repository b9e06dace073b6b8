// Rule Q010.

import UnrollTokenization

extension Rule {
  /// Tokens of the tokenizer `whitespace` that stand for text SHOULD NOT contain white space.
  static let wordsCanBeMet = Rule(
    id: "Q010", level: .warning, cost: .bytes,
    summary: """
      Tokens of the tokenizer `whitespace` that stand for text SHOULD NOT contain white space.
      """,
    why: """
      The tokenizer cuts there, so the token is never met, and text that it should match is unknown: \
      perhaps line ends became part of the tokens, or the tokenizer was another.
      """,
    example: "Token 4 is \"New York\", and token 5 \"the\\r\".",
    fix: Fix.findVocabulary
  ) { contents in
    guard let vocabulary = contents.vocabulary, contents.tokenizer?.kind == .whitespace else {
      return []
    }
    return vocabulary.violation("tokens without white space", "with it") { id in
      vocabulary[id].withUnsafeBytes { WhitespaceWords.hasWhiteSpace(in: $0) }
    }
  }
}
