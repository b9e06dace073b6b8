// Rule A003.

extension Rule {
  /// The input size of a layer MUST be the output size of the layer before it, and that of
  /// the first layer the embedding size.
  static let layersChain = Rule(
    id: "A003", level: .error,
    summary: """
      The input size of a layer MUST be the output size of the layer before it, and that of \
      the first layer the embedding size.
      """,
    why: "Layers that do not fit cannot be run.",
    example: "Layer 00 has `hidden_size` = 7, and layer 01 has `input_size` = 9.",
    fix: Fix.convertAgain
  ) { contents in
    guard let architecture = contents.architecture else { return [] }
    var width = architecture.embeddingSize
    var violations: [Violation] = []
    for (index, layer) in architecture.layers.enumerated() {
      if layer.inputSize != width {
        violations.append(
          Violation(
            object: Layout.layer(index), expected: "input_size \(width)",
            found: "\(layer.inputSize)"))
      }
      width = layer.outputSize
    }
    return violations
  }
}
