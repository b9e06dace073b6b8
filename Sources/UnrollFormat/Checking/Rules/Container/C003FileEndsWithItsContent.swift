// Rule C003.

extension Rule {
  /// The file SHOULD NOT be longer than its superblock says.
  static let fileEndsWithItsContent = Rule(
    id: "C003", level: .note, cost: .container,
    summary: "The file SHOULD NOT be longer than its superblock says.",
    why: """
      Bytes behind the end belong to nothing: something was appended, or two files were \
      joined.
      """,
    example: "The superblock says 12,490 bytes, and the file has 12,493.",
    fix: "find out what was appended; no digest covers it",
    repair: .rewriting
  ) { contents in
    guard let end = contents.superblock?.endOfFile, end < UInt64(contents.file.count) else {
      return []
    }
    return [
      Violation(
        object: "/", expected: "\(end) bytes, as the superblock says",
        found: "\(contents.file.count) bytes")
    ]
  }
}
