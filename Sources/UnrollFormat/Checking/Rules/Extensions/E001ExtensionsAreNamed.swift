// Rule E001.

extension Rule {
  /// The members of `/extensions` MUST be groups with reversed domains as names.
  static let extensionsAreNamed = Rule(
    id: "E001", level: .error,
    summary: """
      A member of `/extensions` MUST be a group whose name is a domain reversed: at least two labels \
      of lower-case letters, digits, hyphens and underscores, joined by dots.
      """,
    why: "Two programs that both write a group `notes` would read each other's.",
    example: "`/extensions/phonology` in place of `/extensions/org.example.phonology`.",
    fix: "rename the extension with the program that wrote it"
  ) { contents in
    contents.members(of: Layout.extensions).compactMap { name in
      let path = "\(Layout.extensions)/\(name)"
      guard contents.object(path)?.kind == .group else {
        return Violation(object: path, expected: "a group", found: "another object")
      }
      guard name.wholeMatch(of: /[a-z0-9_\-]+(\.[a-z0-9_\-]+)+/) == nil else { return nil }
      return Violation(
        object: path, expected: "a name such as org.example.phonology", found: "\"\(name)\"")
    }
  }
}
