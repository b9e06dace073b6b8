// Rule O002.

extension Rule {
  /// A slot MUST have a tensor for every parameter that the model owns.
  static let slotsAreComplete = Rule(
    id: "O002", level: .error,
    summary: "A slot MUST have a tensor for every parameter that the model owns.",
    why: "A parameter without its state would take another step than the others.",
    example: "`/optimizer/state/momentum` lacks `model/layers/01/weight_hh`.",
    fix: Fix.trainAgain
  ) { contents in
    guard let architecture = contents.architecture else { return [] }
    return Layout.slots.filter { contents.exists(Layout.slot($0)) }.flatMap { slot in
      architecture.parameters.compactMap { path, shape in
        let place = Layout.slot(slot, path)
        guard !contents.exists(place) else { return nil }
        return Violation(
          object: place, expected: "a dataset of shape \(shape)", found: "nothing")
      }
    }
  }
}
