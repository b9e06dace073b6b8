// Rule M005.

extension Rule {
  /// The `languages` of a card SHOULD be BCP 47 tags.
  static let languagesAreTags = Rule(
    id: "M005", level: .warning,
    summary: "The `languages` of a card SHOULD be well-formed BCP 47 tags.",
    why: "Programs that collect models find a language by its tag, and not by a name.",
    example: "`/card` has `languages` \"English\" and \"de_DE\" in place of \"en\" and \"de-DE\".",
    fix: "write tags such as en, de-CH or zh-Hant; mul for many languages, und for an unknown one"
  ) { contents in
    let odd = (contents.card?.fields[.languages] ?? []).filter { !isLanguageTag($0) }
    guard !odd.isEmpty else { return [] }
    return [
      Violation(
        object: Layout.card, expected: "languages: tags such as en or de-CH",
        found: odd.map { "\"\($0)\"" }.joined(separator: ", "))
    ]
  }
}

/// `true` if a text has the form of a language tag (RFC 5646, 2.1), except names of languages of four to eight
/// letters, which are reserved.
private func isLanguageTag(_ text: String) -> Bool {
  let tag =
    #/
    [A-Za-z]{2,3} (-[A-Za-z]{3}){0,3}                     # language
    (-[A-Za-z]{4})?                                       # script
    (-([A-Za-z]{2} | [0-9]{3}))?                          # region
    (-([A-Za-z0-9]{5,8} | [0-9][A-Za-z0-9]{3}))*          # variants
    (-[A-WYZa-wyz0-9] (-[A-Za-z0-9]{2,8})+)*              # extensions
    (-[Xx] (-[A-Za-z0-9]{1,8})+)?                         # private use
    /#
  let privateUse = /[Xx](-[A-Za-z0-9]{1,8})+/
  return text.utf8.count <= 255
    && (text.wholeMatch(of: tag) != nil || text.wholeMatch(of: privateUse) != nil)
}
