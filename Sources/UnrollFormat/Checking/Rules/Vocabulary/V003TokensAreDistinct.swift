// Rule V003.

extension Rule {
  /// Tokens SHOULD be distinct.
  static let tokensAreDistinct = Rule(
    id: "V003", level: .warning, cost: .bytes,
    summary: "Tokens SHOULD be distinct.",
    why: "Of two equal tokens the second can never be met; the vocabulary may be damaged.",
    example: "Tokens 0 and 2 are both \"the\".",
    fix: Fix.findVocabulary
  ) { contents in
    guard let vocabulary = contents.vocabulary else { return [] }
    for id in 0..<vocabulary.count {
      let first = vocabulary[id].withUnsafeBytes { vocabulary.id(of: $0) }
      guard let first, first != id else { continue }
      return [
        Violation(
          object: Layout.tokenBytes, expected: "distinct tokens",
          found: "\"\(vocabulary.text(of: id))\" at \(first) and \(id)")
      ]
    }
    return []
  }
}
