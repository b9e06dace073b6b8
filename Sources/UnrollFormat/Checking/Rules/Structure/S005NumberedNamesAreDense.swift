// Rule S005.

extension Rule {
  /// Numbered groups are dense and zero-padded.
  static let numberedNamesAreDense = Rule(
    id: "S005", level: .error,
    summary: "Numbered groups MUST be named 00, 01, ... (provenance: 000, 001, ...) without a gap.",
    why: "A gap is a layer that was lost; unpadded names sort in another order than they count.",
    example: "`/model/layers` has the members `00` and `02`.",
    fix: "write the file again with the tool that made it; a part is missing"
  ) { contents in
    [
      (Layout.layers, 2), (Layout.tails, 2), (Layout.provenance, 3), (Layout.optimizerGroups, 2),
      (Layout.trainingHidden, 2),
    ].flatMap { group, digits in
      let names = contents.members(of: group)
      let expected = names.indices.map { Layout.number($0, digits: digits) }
      return zip(names, expected).filter { $0 != $1 }.prefix(1).map { name, wanted in
        Violation(
          object: "\(group)/\(name)", expected: "the name \(wanted)", found: name)
      }
    }
  }
}
