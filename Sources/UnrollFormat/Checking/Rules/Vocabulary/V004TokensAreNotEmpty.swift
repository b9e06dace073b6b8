// Rule V004.

extension Rule {
  /// Tokens SHOULD NOT be empty.
  static let tokensAreNotEmpty = Rule(
    id: "V004", level: .warning, cost: .bytes,
    summary: "Tokens SHOULD NOT be empty.",
    why: "No text is ever cut into an empty token; the vocabulary may be damaged.",
    example: """
      The second and third number of `/vocabulary/token_offsets` are both 3: token 1 has no \
      bytes.
      """,
    fix: Fix.findVocabulary
  ) { contents in
    guard let vocabulary = contents.vocabulary,
      let id = (0..<vocabulary.count).first(where: { vocabulary[$0].isEmpty })
    else { return [] }
    return [
      Violation(
        object: Layout.tokenOffsets, expected: "tokens of at least one byte",
        found: "an empty token at \(id)")
    ]
  }
}
