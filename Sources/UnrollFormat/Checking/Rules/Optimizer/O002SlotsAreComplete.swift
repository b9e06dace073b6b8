// Rule O002.

extension Rule {
  /// A slot MUST have a tensor for every parameter of the groups that use it and made a step.
  static let slotsAreComplete = Rule(
    id: "O002", level: .error,
    summary: """
      A slot MUST have a tensor for every parameter of the groups that use it and made a step.
      """,
    why: "A parameter without its state would take another step than the others.",
    example: "`/optimizer/state/momentum` lacks `model/layers/01/weight_hh`.",
    fix: Fix.trainAgain
  ) { contents in
    guard let optimizer = contents.optimizer else { return [] }
    return optimizer.groups.filter { $0.step > 0 }.flatMap { group in
      group.slots(of: optimizer.kind).filter { contents.exists(Layout.slot($0)) }.flatMap { slot in
        group.parameters.compactMap { path in
          let place = Layout.slot(slot, path)
          guard !contents.exists(place) else { return nil }
          return Violation(object: place, expected: "a dataset", found: "nothing")
        }
      }
    }
  }
}
