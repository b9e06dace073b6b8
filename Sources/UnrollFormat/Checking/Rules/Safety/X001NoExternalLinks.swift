// Rule X001.

extension Rule {
  /// The file MUST NOT contain external links.
  static let noExternalLinks = Rule(
    id: "X001", level: .error,
    summary: "The file MUST NOT contain external links.",
    why: "An external link makes a reader open any file of the machine.",
    example: """
      `/model/embedding/weight` is an external link to `/model/weight` in `/home/me/other.h5`.
      """,
    fix: Fix.reachesOutside
  ) { contents in
    contents.inventory.objects.filter { $0.kind == .externalLink }.map { object in
      Violation(
        object: object.path, expected: "a hard link to an object of this file",
        found: "an external link")
    }
  }
}
