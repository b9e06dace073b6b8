// Rule M001.

extension Rule {
  /// The `license` of a card SHOULD be an SPDX expression.
  static let licenceIsSPDX = Rule(
    id: "M001", level: .warning,
    summary: "The `license` of a card SHOULD be an SPDX expression of known licences.",
    why: "Programs that collect models read it, and decide by it whether a model may be used.",
    example: "`/card` has `license` \"Apache 2\" in place of \"Apache-2.0\".",
    fix: "write the id of the list at spdx.org/licenses, or `LicenseRef-` and a name of your own"
  ) { contents in
    guard let licence = contents.card?.fields[.license]?.first,
      let part = SPDX.firstUnknownPart(of: licence)
    else { return [] }
    return [
      Violation(
        object: Layout.card, expected: "license: an SPDX expression, such as Apache-2.0",
        found: "\"\(licence)\", where \(part) is not known")
    ]
  }
}
