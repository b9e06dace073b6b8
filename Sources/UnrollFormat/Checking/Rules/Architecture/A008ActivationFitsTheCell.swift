// Rule A008.

extension Rule {
  /// Layers other than plain recurrent ones MUST have the activation tanh.
  static let activationFitsTheCell = Rule(
    id: "A008", level: .error,
    summary: "Layers other than plain recurrent ones MUST have the activation tanh.",
    why: "No producer makes such LSTMs or GRUs, and the engine does not compute them.",
    example: "`/model/layers/00` has `cell` = \"lstm\" and `activation` = \"relu\".",
    fix: Fix.convertAgain
  ) { contents in
    guard let architecture = contents.architecture else { return [] }
    return architecture.layers.enumerated().compactMap { index, layer in
      guard layer.cell != .rnn, layer.activation != .tanh else { return nil }
      return Violation(
        object: Layout.layer(index), expected: "activation tanh for cell \(layer.cell.rawValue)",
        found: layer.activation.rawValue)
    }
  }
}
