// Rule A011.

extension Rule {
  /// Variants MUST be declared by the cells only that have them.
  static let variantsFitTheCell = Rule(
    id: "A011", level: .error,
    summary: """
      `projection_size` and `forget_bias` MUST NOT be present unless `cell` is "lstm", nor \
      `gate_activation` unless it is "lstm" or "gru"; `gate_alpha` and `gate_beta` MUST be present, and \
      finite, exactly if `gate_activation` is "hard_sigmoid"; `forget_bias` MUST be finite; `window` MUST be \
      present exactly if `cell` is "qrnn"; `bias` MUST NOT be "double" for "mingru" and "qrnn".
      """,
    why: "A variant that a cell does not have is ignored by one reader and applied by another.",
    example: "`/model/layers/00` has `cell` \"gru\" and `forget_bias` 1.",
    fix: Fix.convertAgain
  ) { contents in
    contents.layerGroups.flatMap { path -> [Violation] in
      guard let cell = contents.text(path, AttributeName.cell).flatMap(Cell.init),
        let attributes = contents.object(path)?.attributes
      else { return [] }
      let facts = cell.facts
      var allowed: Set<String> = facts.hasGateActivation ? [AttributeName.gateActivation] : []
      if facts.mayHaveProjection { allowed.formUnion(ofLSTMs) }
      if facts.hasInputWindow { allowed.insert(AttributeName.window) }
      let isHard = contents.text(path, AttributeName.gateActivation) == GateActivation.names[1]
      let slope = [AttributeName.gateAlpha, AttributeName.gateBeta]
      if isHard { allowed.formUnion(slope) }
      let strays = variants.filter { attributes[$0] != nil && !allowed.contains($0) }
      let needed = (isHard ? slope : []) + (facts.hasInputWindow ? [AttributeName.window] : [])
      let missing = needed.filter { attributes[$0] == nil }
      let notFinite = variants.filter { contents.number(path, $0)?.isFinite == false }
      return strays.map {
        Violation(object: path, expected: "no \($0) for this cell", found: "attribute \($0)")
      }
        + missing.map {
          Violation(
            object: path,
            expected: "attribute \($0)" + (slope.contains($0) ? " beside hard_sigmoid" : ""),
            found: "nothing")
        }
        + notFinite.map {
          Violation(
            object: path, expected: "a finite \($0)",
            found: contents.number(path, $0).map { "\($0)" } ?? "nothing")
        } + refusedBias(of: path, facts, contents)
    }
  }
}

/// Returns the violation of a bias that adds to a product which the cell has not.
private func refusedBias(
  of path: String, _ facts: CellFacts, _ contents: Contents
) -> [Violation] {
  guard let bias = contents.text(path, "bias").flatMap(LayerBias.init),
    !facts.biases.contains(bias)
  else { return [] }
  let allowed = facts.biases.map(\.rawValue).joined(separator: " or ")
  return [Violation(object: path, expected: "bias \(allowed)", found: bias.rawValue)]
}

private let ofLSTMs = [AttributeName.projectionSize, AttributeName.forgetBias]

/// The attributes that not every cell has.
private let variants = [
  AttributeName.gateActivation, AttributeName.gateAlpha, AttributeName.gateBeta,
  AttributeName.forgetBias, AttributeName.projectionSize, AttributeName.window,
]
