// Rule A008.

extension Rule {
  /// A layer MUST have an activation that its cell has.
  static let activationFitsTheCell = Rule(
    id: "A008", level: .error,
    summary: """
      The activation MUST be one of the cell: "tanh" or "relu" of "rnn", "identity" of "mingru", "tanh" of \
      the others.
      """,
    why: "No producer makes such cells, and the engine does not compute them.",
    example: "`/model/layers/00` has `cell` = \"lstm\" and `activation` = \"relu\".",
    fix: Fix.convertAgain
  ) { contents in
    guard let architecture = contents.architecture else { return [] }
    return architecture.layers.enumerated().compactMap { index, layer in
      let allowed = layer.cell.facts.activations
      guard !allowed.contains(layer.activation) else { return nil }
      let names = allowed.map(\.rawValue).joined(separator: " or ")
      return Violation(
        object: Layout.layer(index),
        expected: "activation \(names) for cell \(layer.cell.rawValue)",
        found: layer.activation.rawValue)
    }
  }
}
