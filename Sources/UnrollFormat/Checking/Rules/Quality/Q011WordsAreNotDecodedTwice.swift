// Rule Q011.

import UnrollTokenization

extension Rule {
  /// Words SHOULD NOT be UTF-8 that was read as Windows-1252.
  static let wordsAreNotDecodedTwice = Rule(
    id: "Q011", level: .warning, cost: .bytes,
    summary: """
      Of the words with scalars above U+007F at most half, or two, SHOULD be such as UTF-8 gives \
      when it is read as Windows-1252.
      """,
    why: "Text that is read in the right encoding never meets such words.",
    example:
      "Tokens 3, 8 and 9 are \"fÃ¼r\", \"schÃ¶n\" and \"â€“\", where others have no umlauts.",
    fix: Fix.findVocabulary
  ) { contents in
    // Byte-level subwords look like this on purpose.
    guard let vocabulary = contents.vocabulary, vocabulary.unit == .word else { return [] }
    let foreign = vocabulary.textIDs.filter { vocabulary[$0].contains { $0 >= 0x80 } }
    let twice = Set(foreign.filter { isDecodedTwice(vocabulary.text(of: $0)) })
    // A few words may look like it by chance, such as a capital before a closing `»`.
    guard twice.count > 2, twice.count * 2 > foreign.count else { return [] }
    return vocabulary.violation("words that were decoded once", "decoded twice") {
      twice.contains($0)
    }
  }
}

/// `true` if a text looks like UTF-8 with bytes from 128 on that was read as Windows-1252.
private func isDecodedTwice(_ text: String) -> Bool {
  var bytes: [UInt8] = []
  for scalar in text.unicodeScalars {
    guard let byte = UInt8(exactly: scalar.value) ?? windows1252[scalar] else { return false }
    bytes.append(byte)
  }
  return bytes.contains { $0 >= 0x80 } && String(validating: bytes, as: UTF8.self) != nil
}

/// The bytes of the scalars that Windows-1252 has in place of the controls of Latin-1.
private let windows1252: [Unicode.Scalar: UInt8] = Dictionary(
  uniqueKeysWithValues: zip(
    "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8D}Ž\u{8F}\u{90}‘’“”•–—˜™š›œ\u{9D}žŸ".unicodeScalars, UInt8(0x80)...0x9F))
