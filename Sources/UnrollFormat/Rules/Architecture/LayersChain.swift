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
    why: "Layers that do not fit cannot be run."
  ) { contents in
    guard let architecture = contents.architecture else { return [] }
    var width = architecture.embeddingSize
    var violations: [Violation] = []
    for (index, layer) in architecture.layers.enumerated() {
      if layer.inputSize != width {
        violations.append(
          Violation(
            object: Layout.layer(index), expected: "input_size \(width)",
            found: "\(layer.inputSize)", fix: "convert again from the original model"))
      }
      width = layer.outputSize
    }
    return violations
  }
}
