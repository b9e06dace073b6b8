// Rule S001.

extension Rule {
  /// Every group, dataset and attribute that the layout requires MUST be present.
  static let requiredPartsArePresent = Rule(
    id: "S001", level: .error,
    summary: "Every group, dataset and attribute that the layout requires MUST be present.",
    why: "A reader that fills in what is missing guesses.",
    example: "`/tokenizer` has no attribute `kind`.",
    fix: "write the file again with the tool that made it; a part is missing"
  ) { contents in
    // All others are looked for from the root on.
    guard contents.exists(Layout.root) else { return [missing(Layout.root, "group /")] }
    var violations: [Violation] = []
    for object in contents.inventory.objects {
      guard let schema = Layout.schema(of: object.path) else { continue }
      if case .hardLink = object.kind { continue }
      for member in Layout.requiredMembers(of: schema) {
        let path = (object.path == Layout.root ? "" : object.path) + "/\(member.name)"
        guard !contents.exists(path) else { continue }
        violations.append(missing(path, "\(member.kindName) \(path)"))
      }
      for attribute in schema.attributes
      where attribute.isRequired && object.attributes[attribute.name] == nil {
        violations.append(missing(object.path, "attribute \(attribute.name)"))
      }
    }
    return violations
  }
}

private func missing(_ path: String, _ part: String) -> Violation {
  Violation(
    object: path, expected: part, found: "nothing")
}
