// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The inputs that a model accepts or refuses, and its messages.

import Foundation
import Testing
import UnrollFormat
import UnrollNeural
import UnrollTensors

@Suite("Inputs and parameters of models") struct RecurrentModelTests {
  /// Returns the error that an action throws, in words.
  func message(_ action: () throws -> Void) -> String? {
    do {
      try action()
      return nil
    } catch {
      return "\(error)"
    }
  }

  @Test(
    "An input outside the vocabulary is refused, and the state stays",
    arguments: [Int32.min, -2, -1, 23, Int32.max])
  func invalidInputs(id: Int32) throws {
    let fixture = try NeuralFixture("lstm-1")
    let model = try fixture.model()
    var state = model.zeroState(columns: 3)
    _ = try model.logDistributions(inputs: [1, 2, 3], state: &state)
    let before = state
    let expected = NeuralError.token(id: Int(id), index: 4, vocabularySize: 23)
    #expect(throws: expected) {
      try model.logDistributions(inputs: [0, 1, 2, 3, id, 5], state: &state)
    }
    #expect(state == before)
    #expect(expected.description == "expected token ids from 0 to 22, found \(id) at place 4")
  }

  @Test(
    "A target outside the vocabulary is refused, and the state stays",
    arguments: [Int32.min, -2, 23])
  func invalidTargets(id: Int32) throws {
    let model = try NeuralFixture("lstm-1").model()
    var state = model.zeroState(columns: 1)
    #expect(throws: NeuralError.token(id: Int(id), index: 1, vocabularySize: 23)) {
      try model.logProbabilities(ofTargets: [-1, id], inputs: [0, 1], state: &state)
    }
    #expect(state == model.zeroState(columns: 1))
  }

  @Test("Windows, targets and states that do not fit are refused with their sizes")
  func invalidWindows() throws {
    let model = try NeuralFixture("lstm-1").model()
    var state = model.zeroState(columns: 2)
    #expect(
      message { _ = try model.logDistributions(inputs: [1, 2, 3], state: &state) }
        == "expected a multiple of 2 inputs, one for each column, found 3")
    #expect(
      message {
        _ = try model.logProbabilities(ofTargets: [1], inputs: [1, 2], state: &state)
      } == "expected as many targets as inputs, 2, found 1")
    var foreign = try NeuralFixture("gru-2").model().zeroState(columns: 2)
    #expect(
      message { _ = try model.logDistributions(inputs: [1, 2], state: &foreign) }
        == "expected a state of 2 columns with [[22, 22, 0]] numbers in h, c and x of each layer, "
        + "found [[40, 0, 0], [14, 0, 0]]")
  }

  @Test("An empty window leaves the state unchanged")
  func emptyWindow() throws {
    let model = try NeuralFixture("lstm-2-tied").model()
    var state = model.zeroState(columns: 2)
    _ = try model.logDistributions(inputs: [1, 2], state: &state)
    let before = state
    #expect(try model.logDistributions(inputs: [], state: &state) == [])
    #expect(try model.logProbabilities(ofTargets: [], inputs: [], state: &state) == [])
    #expect(state == before)
  }

  @Test("Skipped targets still update the state")
  func skippedTargets() throws {
    let model = try NeuralFixture("gru-2").model()
    var (silent, spoken) = (model.zeroState(columns: 2), model.zeroState(columns: 2))
    let found = try model.logProbabilities(
      ofTargets: [-1, -1, -1, -1], inputs: [1, 2, 3, 4], state: &silent)
    _ = try model.logDistributions(inputs: [1, 2, 3, 4], state: &spoken)
    #expect(found == [0, 0, 0, 0])
    #expect(silent == spoken)
  }

  @Test(
    "NaN in any parameter makes every result NaN",
    arguments: ["lstm-2-tied", "gru-2", "rnn-tanh-2", "rnn-relu-3"])
  func nanInWeights(name: String) throws {
    let fixture = try NeuralFixture(name)
    let architecture = try fixture.architecture()
    for (path, shape) in architecture.parameters {
      var tree = try fixture.tree()
      let count = try #require(shape.elementCount)
      tree[path] = Tensor([Float](repeating: .nan, count: count), shape: shape)
      let model = try RecurrentModel(architecture: architecture, parameters: tree)
      var state = model.zeroState(columns: 2)
      // The second step sees the first one's hidden state, which is not zero.
      let found = try model.logProbabilities(
        ofTargets: [1, 2, 3, 4], inputs: [5, 6, 7, 8], state: &state)
      #expect(found.allSatisfy { $0.isNaN }, "\(path)")
    }
  }

  @Test("A missing, misshapen or integer parameter is refused by its path")
  func invalidParameters() throws {
    let fixture = try NeuralFixture("lstm-1")
    let architecture = try fixture.architecture()
    let path = ParameterPath.layer(0, .weightHH)
    var tree = try fixture.tree()
    tree[path] = nil
    #expect(
      message { _ = try RecurrentModel(architecture: architecture, parameters: tree) }
        == "/model/layers/00/weight_hh: expected floating-point numbers of shape [44, 11], "
        + "found nothing")
    tree[path] = Tensor([Float](repeating: 0, count: 44 * 11), shape: [11, 44])
    #expect(
      message { _ = try RecurrentModel(architecture: architecture, parameters: tree) }
        == "/model/layers/00/weight_hh: expected floating-point numbers of shape [44, 11], "
        + "found f32 of shape [11, 44]")
    tree = try fixture.tree()
    tree[.outputBias] = Tensor([UInt64](repeating: 0, count: 23))
    #expect(
      message { _ = try RecurrentModel(architecture: architecture, parameters: tree) }
        == "/model/output/bias: expected floating-point numbers of shape [23], "
        + "found u64 of shape [23]")
  }

  @Test("An inconsistent architecture is refused with the contradiction")
  func invalidArchitectures() throws {
    let fixture = try NeuralFixture("lstm-3-no-bias")
    let tree = try fixture.tree()
    let cases: [(String, (inout Architecture) -> Void)] = [
      ("expected at least one recurrent layer, found none", { $0.layers = [] }),
      ("expected sizes of at least 1, found [0, 5, 9, 17, 6]", { $0.vocabularySize = 0 }),
      ("expected sizes of at least 1, found [21, 5, 9, -1, 6]", { $0.layers[1].hiddenSize = -1 }),
      (
        "expected layer 1 to take 9 inputs, as many as come from below, found 8",
        { $0.layers[1].inputSize = 8 }
      ),
      (
        "expected layer 2, lstm, with activation tanh, found relu",
        { $0.layers[2].activation = .relu }
      ),
      (
        "expected a tied model whose top layer is as wide as its embedding, 5, found 6",
        { $0.isTied = true }
      ),
      (
        "expected at most 2147483647 tokens, found 9223372036854775807",
        { $0.vocabularySize = .max }
      ),
    ]
    for (expected, change) in cases {
      var architecture = try fixture.architecture()
      change(&architecture)
      #expect(
        message { _ = try RecurrentModel(architecture: architecture, parameters: tree) }
          == expected)
    }
  }

  @Test("bfloat16 parameters give the results of the same float32 numbers")
  func narrowTypes() throws {
    let fixture = try NeuralFixture("lstm-2-tied")
    let architecture = try fixture.architecture()
    var (narrow, wide) = (try fixture.tree(), try fixture.tree())
    for (path, shape) in architecture.parameters {
      // bf16 is the upper half of f32.
      let halves = try #require(wide[path]?.floats()).map { UInt16($0.bitPattern >> 16) }
      wide[path] = Tensor(halves.map { Float(bitPattern: UInt32($0) << 16) }, shape: shape)
      let bytes = halves.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
      narrow[path] = Tensor(shape: shape, dtype: .bfloat16, storage: .owned(bytes))
    }
    let results = try [narrow, wide].map { tree in
      let model = try RecurrentModel(architecture: architecture, parameters: tree)
      var state = model.zeroState(columns: 1)
      return try model.logDistributions(inputs: [3, 1, 4, 1, 5], state: &state)
    }
    #expect(results[0] == results[1])
  }
}
