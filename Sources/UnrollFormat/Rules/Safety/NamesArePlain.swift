// Rule X014.

extension Rule {
  /// Names MUST be UTF-8 of at most 255 bytes without control characters, and MUST NOT be `.`
  /// or `..`.
  static let namesArePlain = Rule(
    id: "X014", level: .error,
    summary: """
      Names MUST be UTF-8 of at most 255 bytes without control characters, and MUST NOT be `.` \
      or `..`.
      """,
    why: """
      A name is printed, compared and used in paths; one that is not what it seems misleads \
      people and tools.
      """
  ) { contents in
    contents.inventory.objects.flatMap { object -> [Violation] in
      let last = object.path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
      let names = [String(last)] + object.attributes.keys.sorted()
      return names.filter { !isPlain($0) }.map { name in
        Violation(
          object: object.path, expected: "a plain UTF-8 name of at most 255 bytes",
          found: "\"\(name.prefix(60))\"",
          fix: "do not use the file: its names mislead")
      }
    }
  }
}

private func isPlain(_ name: String) -> Bool {
  name.utf8.count <= 255 && name != "." && name != ".."
    && name.unicodeScalars.allSatisfy {
      $0.properties.generalCategory != .control && $0 != "\u{FFFD}"
    }
}
