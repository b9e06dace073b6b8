// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The model that tests of the same bits run and train.

import UnrollFormat
import UnrollNeural
import UnrollTensors

/// The model that the tests run.
enum TestModel {
  static func make(
    _ stack: InvarianceStack, _ precision: Precision = .float32
  ) throws -> RecurrentModel {
    try RecurrentModel(
      architecture: stack.architecture, parameters: parameters(of: stack.architecture),
      precision: precision)
  }

  static func parameters(of architecture: Architecture) -> ParameterTree<Tensor> {
    var generator = SeededGenerator(seed: 11)
    var tree = ParameterTree<Tensor>()
    for (path, shape) in architecture.parameters {
      tree[path] = Tensor(
        generator.floats(shape.elementCount ?? 0, in: -0.2...0.2), shape: shape)
    }
    return tree
  }

  /// Tokens of the vocabulary of the stacks.
  static func tokens(_ count: Int) -> [Int32] {
    var generator = SeededGenerator(seed: 5)
    return (0..<count).map { _ in Int32.random(in: 0..<1237, using: &generator) }
  }

  /// The parameters after some steps of training.
  ///
  /// - Parameters:
  ///   - architecture: The model's.
  ///   - precision: The type of the factors of products.
  ///   - T: The time steps of a window.
  ///   - B: The columns.
  ///   - steps: The number of windows, the state carried between them.
  ///   - optimizer: The rule.
  /// - Returns: The numbers of each parameter, in the order of the architecture.
  /// - Throws: `NeuralError` if memory is short.
  static func trained(
    _ architecture: Architecture, _ precision: Precision, T: Int, B: Int, steps: Int,
    by optimizer: Optimizer
  ) throws -> [[Float]] {
    let model = try TrainableModel(
      architecture: architecture, parameters: parameters(of: architecture), precision: precision)
    var optimizer = optimizer
    var state = model.zeroState(columns: B)
    let tokens = tokens(steps * T * B + B)
    for start in stride(from: 0, to: steps * T * B, by: T * B) {
      _ = try model.backpropagate(
        inputs: Array(tokens[start..<start + T * B]),
        targets: Array(tokens[start + B..<start + T * B + B]), state: &state)
      optimizer.step(model, gradientNorm: optimizer.gradientNorm(of: model))
    }
    let tensors = model.tensors
    return architecture.parameters.map { tensors[$0.path]?.floats() ?? [] }
  }
}
