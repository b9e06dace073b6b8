// Rule X016.

extension Rule {
  /// Every object MUST have one hard link, but for a tied output weight, which has two.
  static let linksFormATree = Rule(
    id: "X016", level: .error,
    summary: "Every object MUST have one hard link, but for a tied output weight, which has two.",
    why: "A second link can close a cycle, or let an edit in one place change another.",
    example: """
      `/vocabulary/again` is a second hard link to `/vocabulary`, so that a walk never ends.
      """,
    fix: "do not use the file: only a tied output weight may be shared"
  ) { contents in
    var violations: [Violation] = []
    var metLinks: [String: Int] = [:]
    for object in contents.inventory.objects {
      guard case .hardLink(let target) = object.kind else { continue }
      metLinks[target, default: 1] += 1
      guard !isTie(object.path, target) else { continue }
      violations.append(
        Violation(
          object: object.path, expected: "an object of its own",
          found: "a second link to \(target)"))
    }
    // A walk that stopped early did not meet all links.
    guard contents.inventory.stoppedAt == nil else { return violations }
    for object in contents.inventory.objects where object.linkCount > 0 {
      if case .hardLink = object.kind { continue }
      let met = metLinks[object.path] ?? 1
      guard object.linkCount != met else { continue }
      violations.append(
        Violation(
          object: object.path, expected: "\(met) hard link(s), as many as lead to it",
          found: "a count of \(object.linkCount)", fix: "do not use the file: it hides objects"))
    }
    return violations
  }
}

/// `true` if a second link is the one that the format has: a tied output weight.
private func isTie(_ path: String, _ target: String) -> Bool {
  path == ParameterPath.outputWeight.description
    && target == ParameterPath.embeddingWeight.description
}
