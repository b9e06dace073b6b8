// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The models that scripts/make/neural-fixtures wrote, with PyTorch's log-probabilities.

import Foundation
import TestSupport
import UnrollFormat
import UnrollNeural
import UnrollTensors

/// A small model that PyTorch ran.
struct FixtureModel: Decodable, Sendable {
  let producer: String
  let cell: String
  let activation: String
  let vocabularySize: Int
  let embeddingSize: Int
  let hiddenSizes: [Int]
  let columns: Int
  let isTied: Bool
  let hasBias: Bool
  let parameters: [String: [Float]]

  func architecture() throws -> Architecture {
    struct Unknown: Error {}
    guard let cell = Cell(rawValue: cell), let activation = Activation(rawValue: activation) else {
      throw Unknown()
    }
    var layers = zip([embeddingSize] + hiddenSizes, hiddenSizes).map { D, H in
      LayerArchitecture(
        cell: cell, inputSize: D, hiddenSize: H, activation: activation,
        bias: hasBias ? cell.facts.biases[0] : .none)
    }
    if cell.facts.hasInputWindow { layers[0].inputWindow = 2 }
    return Architecture(
      vocabularySize: vocabularySize, embeddingSize: embeddingSize, layers: layers,
      isTied: isTied, hasOutputBias: hasBias)
  }

  func tree() throws -> ParameterTree<Tensor> {
    var tree = ParameterTree<Tensor>()
    for (path, shape) in try architecture().parameters {
      tree[path] = parameters[path.description].map { Tensor($0, shape: shape) }
    }
    return tree
  }
}

/// A small model and PyTorch's log-probabilities in two windows.
@dynamicMemberLookup
struct NeuralFixture: Sendable {
  struct Window: Decodable, Sendable {
    let inputs: [Int32]  // [T, B]
    let logProbabilities: [Float]  // [T, B, V]
  }

  let description: FixtureModel
  let windows: [Window]

  static let names = [
    "gru-1-no-bias", "gru-2", "gru-3-tied", "lstm-1", "lstm-1-large-vocabulary", "lstm-2-tied",
    "lstm-3-no-bias", "rnn-relu-3", "rnn-tanh-1-tied", "rnn-tanh-2",
  ]

  init(_ name: String) throws {
    (description, windows) = try readFixture("neural/\(name).json")
  }

  subscript<Value>(dynamicMember path: KeyPath<FixtureModel, Value>) -> Value {
    description[keyPath: path]
  }

  func architecture() throws -> Architecture { try description.architecture() }

  func tree() throws -> ParameterTree<Tensor> { try description.tree() }

  func model() throws -> RecurrentModel {
    try RecurrentModel(architecture: architecture(), parameters: tree())
  }
}

private struct FixtureWindows<Window: Decodable>: Decodable {
  let windows: [Window]
}

/// Reads a model and its windows, which stand in one object.
func readFixture<Window: Decodable>(_ name: String) throws -> (FixtureModel, [Window]) {
  let data = try Data(contentsOf: URL(filePath: Fixtures.path(name)))
  let decoder = JSONDecoder()
  return (
    try decoder.decode(FixtureModel.self, from: data),
    try decoder.decode(FixtureWindows<Window>.self, from: data).windows
  )
}
