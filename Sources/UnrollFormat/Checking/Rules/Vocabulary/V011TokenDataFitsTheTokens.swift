// Rule V011.

import UnrollTokenization

extension Rule {
  /// `token_kind`, `counts` and `scores` MUST have `size` entries.
  static let tokenDataFitsTheTokens = Rule(
    id: "V011", level: .error,
    summary: """
      `token_kind`, `counts` and `scores` MUST have `size` entries, and a `token_kind` MUST be one of \
      0 to 4.
      """,
    why: "They say something of each token; a list of another length speaks of other tokens.",
    example: "`/vocabulary` has `size` 11, and `counts` has 10 entries.",
    fix: Fix.convertWithVocabulary
  ) { contents in
    guard let size = contents.integer(Layout.vocabulary, AttributeName.size) else { return [] }
    let lengths = [Layout.tokenKind, Layout.counts, Layout.scores].compactMap {
      path -> Violation? in
      guard let count = contents.dataset(path)?.shape?.elementCount, count != size else {
        return nil
      }
      return Violation(object: path, expected: "\(size) entries", found: "\(count)")
    }
    let kinds = contents.numbers(Layout.tokenKind, of: UInt8.self) { $0 } ?? []
    let odd = kinds.enumerated().first { TokenKind(rawValue: $0.element) == nil }
    return lengths
      + (odd.map {
        [
          Violation(
            object: Layout.tokenKind, expected: "kinds from 0 to 4",
            found: "\($0.element) for token \($0.offset)")
        ]
      } ?? [])
  }
}
