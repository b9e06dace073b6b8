// Rule X003.

extension Rule {
  /// The file MUST NOT contain user-defined links.
  static let noUserDefinedLinks = Rule(
    id: "X003", level: .error,
    summary: "The file MUST NOT contain user-defined links.",
    why: "What a user-defined link does is up to code outside the file.",
    example: "`/model/layers` is a link of class 65, which only a plug-in understands.",
    fix: Fix.reachesOutside
  ) { contents in
    contents.inventory.objects.filter { $0.kind == .userDefinedLink }.map { object in
      Violation(
        object: object.path, expected: "a hard link to an object of this file",
        found: "a user-defined link")
    }
  }
}
