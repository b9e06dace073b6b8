// Rule C002.

extension Rule {
  /// The file MUST NOT be shorter than its superblock says.
  static let fileIsWhole = Rule(
    id: "C002", level: .error, cost: .container,
    summary: "The file MUST NOT be shorter than its superblock says.",
    why: "A copy that broke off looks like a checkpoint until the missing part is read.",
    example: "The superblock says 12,490 bytes, and a download that broke off left 12,390.",
    fix: "copy or download the file again; it is truncated"
  ) { contents in
    guard let end = contents.superblock?.endOfFile, end > UInt64(contents.file.count) else {
      return []
    }
    return [
      Violation(
        object: "/", expected: "\(end) bytes, as the superblock says",
        found: "\(contents.file.count) bytes")
    ]
  }
}
