// Rule V005.

extension Rule {
  /// Tokens of words and characters SHOULD be UTF-8.
  static let tokensAreUTF8 = Rule(
    id: "V005", level: .note, cost: .bytes,
    summary: "Tokens of words and characters SHOULD be UTF-8.",
    why: "Text is read as UTF-8, so a token that is not can never be met.",
    example: "Token 0 is the bytes FF 68 65, perhaps of a vocabulary that was read as Latin-1.",
    fix: Fix.findVocabulary
  ) { contents in
    guard let vocabulary = contents.vocabulary, vocabulary.unit != .byte,
      let id = (0..<vocabulary.count).first(where: {
        String(validating: vocabulary[$0], as: UTF8.self) == nil
      })
    else { return [] }
    return [
      Violation(
        object: Layout.tokenBytes, expected: "UTF-8",
        found: "other bytes in token \(id), \"\(vocabulary.text(of: id))\"")
    ]
  }
}
