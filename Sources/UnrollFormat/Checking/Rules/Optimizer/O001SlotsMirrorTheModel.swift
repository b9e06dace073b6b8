// Rule O001.

extension Rule {
  /// A dataset below `/optimizer/state` MUST be in a slot of the optimizer's kind, under the path of a
  /// parameter that the model owns.
  static let slotsMirrorTheModel = Rule(
    id: "O001", level: .error,
    summary: """
      A dataset below `/optimizer/state` MUST be in a slot of the optimizer's `kind`, under the path of \
      a parameter that the model owns.
      """,
    why: "State that belongs to no parameter was meant to change the next step.",
    example: """
      `/optimizer/state/momentum/model/layers/00/weight_hr` is there, and the model has no \
      such parameter.
      """,
    fix: Fix.trainAgain
  ) { contents in
    guard let architecture = contents.architecture, let kind = contents.optimizerKind else {
      return []
    }
    let known = Set(
      kind.slots.flatMap { slot in architecture.parameters.map { Layout.slot(slot, $0.path) } })
    return contents.datasets.compactMap { path, _ in
      guard path.hasPrefix(Layout.optimizerState + "/"), !known.contains(path) else { return nil }
      let slots = kind.slots.map(Layout.slot).joined(separator: " or ")
      return Violation(
        object: path, expected: "the state of a parameter below \(slots)",
        found: "a dataset of no parameter")
    }
  }
}
