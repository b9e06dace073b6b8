// Rule X001.

extension Rule {
  /// The file MUST NOT contain external links.
  static let noExternalLinks = Rule(
    id: "X001", level: .error,
    summary: "The file MUST NOT contain external links.",
    why: "An external link makes a reader open any file of the machine."
  ) { contents in
    contents.inventory.objects.filter { $0.kind == .externalLink }.map { object in
      Violation(
        object: object.path, expected: "a hard link to an object of this file",
        found: "an external link",
        fix: "do not use the file: it reaches outside what it contains")
    }
  }
}
