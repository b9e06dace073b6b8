// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The backward pass against PyTorch's, and against numeric differentiation.

import Testing
import UnrollFormat
import UnrollTensors

@testable import UnrollNeural

@Suite("Gradients") struct GradientTests {
  @Test("Losses and gradients equal those of PyTorch", arguments: TrainingFixture.names)
  func gradientsOfPyTorch(name: String) throws {
    let fixture = try TrainingFixture(name)
    let model = try fixture.model()
    var state = model.zeroState(columns: fixture.description.columns)
    for window in fixture.windows {
      let loss = try model.backpropagate(
        inputs: window.inputs, targets: window.targets, state: &state)
      #expect(abs(loss / window.loss - 1) < 1e-6)
      let found = model.denseGradients
      #expect(Set(found.keys.map(\.description)) == Set(window.gradients.keys))
      for (path, gradient) in found {
        let expected = try #require(window.gradients[path.description]).map(Double.init)
        let error = relativeError(gradient, expected)
        #expect(error < 1e-5, "\(path): \(error)")
      }
    }
  }

  @Test("Backpropagation leaves the state of an evaluation", arguments: TrainingFixture.names)
  func stateAfterTraining(name: String) throws {
    let fixture = try TrainingFixture(name)
    let trainable = try fixture.model()
    let model = try RecurrentModel(
      architecture: fixture.description.architecture(), parameters: fixture.description.tree())
    var trained = trainable.zeroState(columns: fixture.description.columns)
    var run = trained
    for window in fixture.windows {
      _ = try trainable.backpropagate(
        inputs: window.inputs, targets: window.targets, state: &trained)
      _ = try model.logProbabilities(ofTargets: window.targets, inputs: window.inputs, state: &run)
      #expect(trained == run)
    }
  }

  /// Central differences of the textbook's loss in double precision, by every parameter.
  @Test(
    "Gradients equal numeric derivatives for every cell",
    arguments: [
      (Cell.lstm, Activation.tanh, false), (.lstm, .tanh, true), (.gru, .tanh, false),
      (.gru, .tanh, true), (.rnn, .tanh, false), (.rnn, .relu, false), (.rnn, .tanh, true),
    ])
  func derivativesOfCells(cell: Cell, activation: Activation, isTied: Bool) throws {
    let D = 4
    try expectDerivatives(
      Architecture(
        vocabularySize: 7, embeddingSize: D,
        layers: [
          LayerArchitecture(cell: cell, inputSize: D, hiddenSize: 5, activation: activation),
          LayerArchitecture(
            cell: cell, inputSize: 5, hiddenSize: isTied ? D : 3, activation: activation),
        ], isTied: isTied))
  }

  @Test("Gradients of layer variants equal numeric derivatives", arguments: VariantStack.allCases)
  func derivativesOfVariants(stack: VariantStack) throws {
    try expectDerivatives(stack.architecture)
  }

  private func expectDerivatives(_ architecture: Architecture) throws {
    let (V, B, T) = (architecture.vocabularySize, 2, 3)
    var generator = SeededGenerator(seed: 5)
    var naive = NaiveModel(architecture: architecture, parameters: [:])
    for (path, shape) in architecture.parameters {
      // Every number is a float's, so that both models have the same ones.
      let values = generator.floats(shape.elementCount ?? 0, in: -1...1)
      naive.parameters[path] = values.map(Double.init)
    }
    let inputs = (0..<T * B).map { Int32($0 * 5 % V) }
    let targets = (0..<T * B).map { Int32(($0 * 3 + 1) % V) }
    let model = try TrainableModel(architecture: architecture, parameters: naive.tensors)
    var state = model.zeroState(columns: B)
    for layer in state.layers.indices {
      for name in LayerStateName.allCases {
        state.layers[layer][name] = generator.floats(
          state.layers[layer][name].count, in: -1...1)
      }
    }
    let before = state
    let loss = try model.backpropagate(inputs: inputs, targets: targets, state: &state)
    let expected = naive.loss(inputs: inputs, targets: targets, state: before)
    #expect(abs(loss / expected - 1) < 1e-6)
    let found = model.denseGradients
    for (path, _) in architecture.parameters {
      let derivatives = naive.derivatives(path) {
        $0.loss(inputs: inputs, targets: targets, state: before)
      }
      let error = relativeError(found[path], derivatives)
      #expect(error < 2e-6, "\(path): \(error)")
    }
  }

  @Test("A window with missing or invalid targets is refused, and the state stays")
  func invalidWindows() throws {
    let fixture = try TrainingFixture("lstm-2")
    let model = try fixture.model()
    let window = fixture.windows[0]
    var state = model.zeroState(columns: fixture.description.columns)
    #expect(throws: NeuralError.self) {
      try model.backpropagate(inputs: window.inputs, targets: [1], state: &state)
    }
    #expect(throws: NeuralError.self) {
      try model.backpropagate(inputs: [], targets: [], state: &state)
    }
    var targets = window.targets
    targets[2] = Int32(fixture.description.vocabularySize)
    #expect(throws: NeuralError.self) {
      try model.backpropagate(inputs: window.inputs, targets: targets, state: &state)
    }
    targets[2] = -1
    #expect(throws: NeuralError.self) {
      try model.backpropagate(inputs: window.inputs, targets: targets, state: &state)
    }
    #expect(state == model.zeroState(columns: fixture.description.columns))
  }

  @Test("The first parameter that is not finite is named")
  func firstNonFiniteParameter() throws {
    let fixture = try TrainingFixture("lstm-2")
    let window = fixture.windows[0]
    var parameters = try fixture.description.tree()
    let model = try fixture.model()
    var state = model.zeroState(columns: fixture.description.columns)
    _ = try model.backpropagate(inputs: window.inputs, targets: window.targets, state: &state)
    #expect(model.firstNonFinite == nil)
    let path = ParameterPath.layer(1, .weightHH)
    var values = try #require(parameters[path]?.floats())
    values[3] = .nan
    parameters[path] = try Tensor(values, shape: #require(parameters[path]).shape)
    let broken = try TrainableModel(
      architecture: fixture.description.architecture(), parameters: parameters)
    let loss = try broken.backpropagate(
      inputs: window.inputs, targets: window.targets, state: &state)
    #expect(!loss.isFinite)
    #expect(broken.firstNonFinite == path.description)
  }
}
