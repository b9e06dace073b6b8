// Rule Q009.

import UnrollTokenization

extension Rule {
  /// Tokens of words and characters SHOULD NOT contain U+FFFD.
  static let tokensAreDecoded = Rule(
    id: "Q009", level: .note, cost: .bytes,
    summary: "Tokens of words and characters SHOULD NOT contain U+FFFD.",
    why: """
      It stands where a decoder met bytes that it did not know, so the vocabulary was perhaps read \
      in a wrong encoding, and such a word cannot be met in a text that is read in the right one.
      """,
    example: "Token 7 is \"M\u{FFFD}dchen\", from a Latin-1 file that was read as UTF-8.",
    fix: Fix.findVocabulary
  ) { contents in
    guard let vocabulary = contents.vocabulary, vocabulary.unit != .byte else { return [] }
    return vocabulary.violation("tokens without U+FFFD", "with it") {
      String(validating: vocabulary[$0], as: UTF8.self)?.unicodeScalars.contains("\u{FFFD}") == true
    }
  }
}

extension Vocabulary {
  /// The ids of the rows that stand for no text: padding and unused ones.
  var rowsWithoutText: Set<Int> {
    let unused = (kinds ?? []).indices.filter { kinds?[$0] == .unused }
    return Set(unused + [paddingID].compactMap { $0 })
  }

  /// The ids of tokens that stand for text.
  var textIDs: [Int] {
    let special = specialIDs
    return (0..<count).filter { (kinds?[$0] ?? .normal) == .normal && !special.contains($0) }
  }

  /// One finding for all tokens that stand for text and are such as they should not be.
  func violation(
    _ expected: String, _ trait: String, where isOdd: (Int) -> Bool
  ) -> [Violation] {
    let odd = textIDs.filter(isOdd)
    guard let first = odd.first else { return [] }
    return [
      Violation(
        object: Layout.tokenBytes, expected: expected,
        found: "\(odd.count) \(trait), the first \"\(text(of: first))\" at \(first)")
    ]
  }
}

/// Numbers in words: the first few, and how many are left out.
func firstFew(_ numbers: [Int]) -> String {
  let few = numbers.prefix(5).map(String.init).joined(separator: ", ")
  return numbers.count > 5 ? "\(few), ..." : few
}
