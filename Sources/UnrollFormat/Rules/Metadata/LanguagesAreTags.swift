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

/// Whether a text has the form of a language tag (RFC 5646, 2.1), without the names of languages of
/// four to eight letters, which are reserved.
private func isLanguageTag(_ text: String) -> Bool {
  let language = /[A-Za-z]{2,3}(-[A-Za-z]{3}){0,3}/
  let rest = /(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?(-([A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*/
  let extensions = /(-[A-WYZa-wyz0-9](-[A-Za-z0-9]{2,8})+)*(-[Xx](-[A-Za-z0-9]{1,8})+)?/
  let privateUse = /[Xx](-[A-Za-z0-9]{1,8})+/
  if text.wholeMatch(of: privateUse) != nil { return true }
  guard text.utf8.count <= 255, let start = text.prefixMatch(of: language) else { return false }
  let middle = text[start.range.upperBound...]
  guard let second = middle.prefixMatch(of: rest) else { return false }
  return middle[second.range.upperBound...].wholeMatch(of: extensions) != nil
}
