// Rule X014.

extension Rule {
  /// Names MUST be distinct in their group, and UTF-8 of 1 to 255 bytes without slashes, control
  /// or format characters, and MUST NOT be `.` or `..`.
  static let namesArePlain = Rule(
    id: "X014", level: .error,
    summary: """
      Names MUST be distinct in their group, and UTF-8 of 1 to 255 bytes without slashes, control \
      or format characters, and MUST NOT be `.` or `..`.
      """,
    why: """
      A name is printed, compared and used in paths; one that is not what it seems misleads \
      people and tools.
      """,
    example: """
      A group is named `weight` and U+202E, after which terminals print from right to left.
      """,
    fix: "do not use the file: its names mislead"
  ) { contents in
    var paths: Set<[UInt8]> = []
    return contents.inventory.objects.flatMap { object -> [Violation] in
      let last = object.path.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
      let names = [String(last)] + object.attributes.keys.sorted()
      let isNew = paths.insert(Array(object.path.utf8)).inserted
      let twice = isNew ? [] : [misleading(object.path, "a name of its own", "a name met before")]
      return twice
        + names.filter { !isPlain($0) }.map { name in
          misleading(
            object.path, "a plain UTF-8 name of at most 255 bytes", "\"\(name.prefix(60))\"")
        }
    }
  }
}

private func misleading(_ path: String, _ expected: String, _ found: String) -> Violation {
  Violation(
    object: path, expected: expected, found: found)
}

private func isPlain(_ name: String) -> Bool {
  name.utf8.count <= 255 && name != "." && name != ".."
    && name.unicodeScalars.allSatisfy { scalar in
      // Nearly all are, and the table of categories is slow.
      if scalar.isASCII { return scalar.value >= 0x20 && scalar.value != 0x7F }
      switch scalar.properties.generalCategory {
      // The characters that `printable` escapes: they steer terminals, or reverse the order of reading.
      case .control, .format, .lineSeparator, .paragraphSeparator: return false
      default: return scalar != "\u{FFFD}"
      }
    }
}
