// Rule S002.

extension Rule {
  /// Objects and attributes that the layout does not have SHOULD NOT be present.
  static let membersAreKnown = Rule(
    id: "S002", level: .warning,
    summary: "Objects and attributes that the layout does not have SHOULD NOT be present.",
    why: "An unknown part is a mistake, or comes from a newer version; this reader ignores it.",
    example: "`/notes` is a group that somebody added with h5py.",
    fix: "remove it, or read the file with a newer version of unroll"
  ) { contents in
    contents.inventory.objects.flatMap { object -> [Violation] in
      guard !Layout.isInsideExtension(object.path) else { return [] }
      guard let schema = Layout.schema(of: object.path) else {
        // Unknown datasets of the model are T003's finding, those of the slots O001's.
        if case .dataset = object.kind,
          [Layout.model, Layout.optimizerState].contains(where: { object.path.hasPrefix($0 + "/") })
        {
          return []
        }
        return [unknown(object.path, "an unknown object")]
      }
      let known = Set(schema.attributes.map(\.name))
      return object.attributes.keys.sorted().filter { !known.contains($0) }.map {
        unknown(object.path, "an unknown attribute \($0)")
      }
    }
  }
}

private func unknown(_ path: String, _ found: String) -> Violation {
  Violation(
    object: path, expected: "the objects and attributes of format 1", found: found)
}
