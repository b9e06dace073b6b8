// Rule X002.

extension Rule {
  /// The file MUST NOT contain soft links.
  static let noSoftLinks = Rule(
    id: "X002", level: .error,
    summary: "The file MUST NOT contain soft links.",
    why: "A soft link can dangle, loop, or lead elsewhere after an edit; a hard link cannot.",
    example: "`/model/output/weight` is a soft link to `/model/embedding/weight`.",
    fix: Fix.reachesOutside
  ) { contents in
    contents.inventory.objects.filter { $0.kind == .softLink }.map { object in
      Violation(
        object: object.path, expected: "a hard link to an object of this file",
        found: "a soft link")
    }
  }
}
