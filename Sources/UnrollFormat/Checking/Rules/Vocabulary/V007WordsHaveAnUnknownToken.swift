// Rule V007.

import UnrollTokenization

extension Rule {
  /// A vocabulary of words SHOULD have an unknown token.
  static let wordsHaveAnUnknownToken = Rule(
    id: "V007", level: .note, cost: .bytes,
    summary: """
      A vocabulary of words, most of them longer than a character, SHOULD have an `unknown_id`.
      """,
    why: """
      Without one a text with any other word has no perplexity. A vocabulary of characters needs \
      none, since it may have them all.
      """,
    example: "`/vocabulary` has 10,000 words, `unknown_id` -1, and a token \"<unk>\" at 7.",
    fix: "convert again and name the token for unknown words, if the vocabulary has one"
  ) { contents in
    guard let vocabulary = contents.vocabulary, vocabulary.unit == .word,
      vocabulary.unknownID == nil
    else { return [] }
    let ids = vocabulary.textIDs
    let longer = ids.filter { vocabulary.text(of: $0).unicodeScalars.count > 1 }
    guard longer.count * 2 > ids.count else { return [] }
    return [
      Violation(
        object: Layout.vocabulary, expected: "unknown_id: a token", found: "-1")
    ]
  }
}
