// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Parameters that fit their architecture.

import UnrollFormat
import UnrollTensors

/// The parameters of a model, checked against its architecture once.
///
/// The rules of the format say the same of a file; this guards against trees that were built in
/// memory.
struct CheckedParameters {
  private let tree: ParameterTree<Tensor>

  /// Checks that layers fit together and that each parameter is there with its shape.
  ///
  /// - Parameters:
  ///   - tree: The parameters.
  ///   - architecture: The architecture that they must fit.
  /// - Throws: `NeuralError` that names the first contradiction.
  init(_ tree: ParameterTree<Tensor>, of architecture: Architecture) throws {
    try Self.check(architecture)
    for (path, shape) in architecture.parameters {
      let expected = "floating-point numbers of shape \(shape)"
      guard let tensor = tree[path] else {
        throw NeuralError.parameter(path, expected: expected, found: "nothing")
      }
      guard tensor.shape == shape, tensor.dtype.isFloat else {
        throw NeuralError.parameter(
          path, expected: expected, found: "\(tensor.dtype.rawValue) of shape \(tensor.shape)")
      }
    }
    self.tree = tree
  }

  /// Returns a parameter that the architecture has.
  func tensor(_ path: ParameterPath) -> Tensor {
    guard let tensor = tree[path] else { preconditionFailure("\(path) was not checked") }
    return tensor
  }

  /// Returns the numbers of a parameter, or `nil` where the model has none of that path.
  func floats(_ path: ParameterPath) -> [Float]? { tree[path]?.floats() }

  private static func check(_ architecture: Architecture) throws {
    let sizes = [architecture.vocabularySize, architecture.embeddingSize]
    let layers = architecture.layers
    let all = sizes + layers.map(\.hiddenSize) + layers.compactMap(\.projectionSize)
    guard all.allSatisfy({ $0 > 0 }) else {
      throw NeuralError.architecture(expected: "sizes of at least 1", found: "\(all)")
    }
    guard !architecture.layers.isEmpty else {
      throw NeuralError.architecture(expected: "at least one recurrent layer", found: "none")
    }
    guard architecture.vocabularySize <= Int32.max else {
      throw NeuralError.architecture(
        expected: "at most \(Int32.max) tokens", found: "\(architecture.vocabularySize)")
    }
    var width = architecture.embeddingSize
    for (index, layer) in architecture.layers.enumerated() {
      guard layer.inputSize == width else {
        throw NeuralError.architecture(
          expected: "layer \(index) to take \(width) inputs, as many as come from below",
          found: "\(layer.inputSize)")
      }
      let facts = layer.cell.facts
      guard facts.activations.contains(layer.activation) else {
        throw NeuralError.architecture(
          expected: "layer \(index), \(layer.cell.rawValue), with activation "
            + facts.activations.map(\.rawValue).joined(separator: " or "),
          found: layer.activation.rawValue)
      }
      guard facts.mayHaveProjection || (layer.projectionSize == nil && layer.forgetBias == 0)
      else {
        throw NeuralError.architecture(
          expected: "layer \(index), \(layer.cell.rawValue), without projection and forget bias",
          found: "what only an LSTM has")
      }
      guard facts.biases.contains(layer.bias),
        facts.hasInputWindow ? 1...2 ~= layer.inputWindow : layer.inputWindow == 1
      else {
        throw NeuralError.architecture(
          expected:
            "layer \(index), \(layer.cell.rawValue), with a bias and a window that it may have",
          found: "bias \(layer.bias.rawValue) and window \(layer.inputWindow)")
      }
      width = layer.outputSize
    }
    if let contradiction = architecture.contradictionOfTails {
      throw NeuralError.architecture(
        expected: contradiction.expected, found: contradiction.found)
    }
    width = architecture.outputInputSize
    guard !architecture.isTied || width == architecture.embeddingSize else {
      throw NeuralError.architecture(
        expected: "a tied model whose top layer is as wide as its embedding, "
          + "\(architecture.embeddingSize)",
        found: "\(width)")
    }
  }
}
