// Rule C010.

extension Rule {
  /// The root attribute `format` MUST be "unroll" and `format_version` MUST be "1." and a
  /// number.
  static let formatIsUnroll1 = Rule(
    id: "C010", level: .error,
    summary: """
      The root attribute `format` MUST be "unroll" and `format_version` MUST be "1." and a \
      number.
      """,
    why: "A reader that does not know a major version cannot know what the names mean.",
    example: """
      The root has `format_version` = "2.0", or is that of a Keras model and has no `format`.
      """,
    fix: "give an Unroll checkpoint of version 1, or use a newer version of unroll"
  ) { contents in
    // An unreadable root is C008's finding.
    guard contents.object(Layout.root)?.kind == .group else { return [] }
    let format = contents.text(Layout.root, AttributeName.format)
    let version = contents.text(Layout.root, AttributeName.formatVersion)
    if format == Layout.format, let version, minorVersion(version) != nil { return [] }
    let found = [format ?? "no format", version ?? "no format_version"].joined(separator: " ")
    return [
      Violation(
        object: Layout.root, expected: "format unroll, format_version 1.x", found: found,
        fix: format == Layout.format
          ? "use a newer version of unroll"
          : "give an Unroll checkpoint; `unroll convert` makes one of an HDF5 file of Keras")
    ]
  }
}

/// Returns the minor number of a version `1.x`, or `nil` if it is no such version.
func minorVersion(_ version: String) -> Int? {
  let parts = version.split(separator: ".", omittingEmptySubsequences: false)
  guard parts.count == 2, parts[0] == "1", let minor = Int(parts[1]), minor >= 0 else { return nil }
  return minor
}
