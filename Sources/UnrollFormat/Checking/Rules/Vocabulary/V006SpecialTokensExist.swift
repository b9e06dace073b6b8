// Rule V006.

import UnrollTokenization

extension Rule {
  /// The ids of special tokens MUST be -1 or smaller than `size`.
  static let specialTokensExist = Rule(
    id: "V006", level: .error,
    summary: "The ids of special tokens MUST be -1 or smaller than `size`.",
    why: "An id outside the vocabulary cannot be looked up.",
    example: "`/vocabulary` has `size` = 11 and `unknown_id` = 11.",
    fix: Fix.convertWithVocabulary
  ) { contents in
    guard let size = contents.integer(Layout.vocabulary, AttributeName.size) else { return [] }
    return SpecialToken.allCases.map(\.attribute).compactMap { name in
      guard let id = contents.integer(Layout.vocabulary, name), id >= size else { return nil }
      return Violation(
        object: Layout.vocabulary, expected: "\(name) below \(size)", found: "\(id)")
    }
  }
}
