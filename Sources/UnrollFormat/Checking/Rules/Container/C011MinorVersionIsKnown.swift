// Rule C011.

extension Rule {
  /// A reader SHOULD say so when a file is of a newer minor version than it knows.
  static let minorVersionIsKnown = Rule(
    id: "C011", level: .note,
    summary: "A reader SHOULD say so when a file is of a newer minor version than it knows.",
    why: "Newer minor versions add parts that this reader leaves unread.",
    example: "The root has `format_version` = \"1.7\", and the reader knows 1.0.",
    fix: "use a newer version of unroll to see all of the file"
  ) { contents in
    guard let version = contents.text(Layout.root, AttributeName.formatVersion),
      let minor = minorVersion(version), let known = minorVersion(Layout.version), minor > known
    else { return [] }
    return [
      Violation(
        object: Layout.root, expected: "format_version up to \(Layout.version)", found: version)
    ]
  }
}
