// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Models of TensorFlow: their log-probabilities, and the losses with which TensorFlow trains them on.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine
@testable import UnrollInterchange
@testable import UnrollNeural

/// The files of `fixtures/tensorflow`, made by `scripts/make/tensorflow-fixtures`.
@Suite struct TensorFlowReferenceTests {
  private struct References: Decodable {
    struct Model: Decodable {
      let logprobs: [Double]
      let losses: [Double]?
      let vocabulary: [String]?
    }
    let ids: [Int]
    /// Columns of tokens, `[B, T + 1]`.
    let batch: [[Int32]]
    let models: [String: Model]

    init(_ part: String) throws {
      self = try JSONDecoder().decode(
        References.self,
        from: Data(
          contentsOf: URL(filePath: Fixtures.path("tensorflow/references-\(part).json"))))
    }
  }

  /// Unpacks the files of a part, changes them, and reads one model; its numbers are copied, since the files go.
  private func convert(
    _ name: String, in part: String = "session", options: ReadingOptions = ReadingOptions(),
    hasTokens: Bool = true, configuration: String? = nil,
    _ change: (_ folder: String) throws -> Void = { _ in }
  ) throws -> Conversion {
    try withTemporaryFolder { folder in
      let archive = try ZipArchive(MappedFile(path: Fixtures.path("tensorflow/\(part).zip")))
      for record in archive.records.values
      where record.name.hasPrefix(name + ".") || record.name.hasPrefix(name + "/") {
        var room = 1 << 20
        let bytes = try archive.contents(of: record, room: &room).withUnsafeBytes { Data($0) }
        let file = URL(filePath: "\(folder)/\(record.name)")
        try FileManager.default.createDirectory(
          at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try bytes.write(to: file)
      }
      try change(folder)
      var options = options
      if hasTokens {
        options.vocabulary = Vocabulary(
          tokens: (0..<12).map { "token\($0)".utf8 }, unit: .word)
      }
      options.configuration = try configuration.map { try MappedFile(path: "\(folder)/\($0)") }
      let location = try ModelLocation("\(folder)/\(name)")
      var conversion = try TensorFlowFormat.read(
        MappedFile(path: location.path), options: options)
      conversion.checkpoint.parameters = conversion.checkpoint.parameters.map { tensor in
        Tensor(tensor.floats() ?? [], shape: tensor.shape)
      }
      if let slots = conversion.checkpoint.optimizer?.slots {
        conversion.checkpoint.optimizer?.slots = slots.mapValues { tree in
          tree.map { Tensor($0.floats() ?? [], shape: $0.shape) }
        }
      }
      return conversion
    }
  }

  @Test(
    "A changed byte of a checkpoint is refused, or changes no number", arguments: ["index", "data"])
  func changedBytes(ending: String) throws {
    let part = "keras3"
    let whole = try convert("keras3-tutorial", in: part).checkpoint.weightsDigest
    let name = "keras3-tutorial." + (ending == "index" ? "index" : "data-00000-of-00001")
    let step = ending == "index" ? 7 : 29
    var (place, refused, passed) = (0, 0, 0)
    var isPastEnd = false
    while !isPastEnd {
      do {
        let found = try convert("keras3-tutorial", in: part) { folder in
          let file = URL(filePath: "\(folder)/\(name)")
          var bytes = try Data(contentsOf: file)
          guard place < bytes.count else {
            isPastEnd = true
            return
          }
          bytes[place] ^= 0x20
          try bytes.write(to: file)
        }
        #expect(found.checkpoint.weightsDigest == whole, "byte \(place)")
        passed += 1
      } catch is InterchangeError {
        refused += 1
      }
      place += step
    }
    // Only the padding of the index's footer has no meaning.
    #expect(refused > 50 && passed <= (ending == "index" ? 7 : 1), "\(refused) and \(passed)")
  }

  private static let sessions = [
    "basic-lstm", "ptb", "lstm-proj", "gru", "rnn", "relu", "one-hot", "tied", "no-graph",
    "dropout", "shards", "gru-layers",
  ]

  @Test("Cells of TensorFlow 1 give TensorFlow's log-probabilities", arguments: sessions)
  func sessionsGiveTheNumbersOfTensorFlow(name: String) throws {
    let references = try References("session")
    var options = ReadingOptions()
    if ["no-graph", "shards"].contains(name) { options.forgetBias = 1 }
    let checkpoint = try convert(name, options: options).checkpoint
    let expected = try #require(references.models[name]).logprobs
    // TensorFlow computed in single precision.
    try expectLogProbabilities(of: checkpoint, references.ids, expected, within: 2e-6, name)
  }

  @Test(
    "Layers of Keras in checkpoints and SavedModels of TensorFlow 2 give TensorFlow's log-probabilities",
    arguments: [
      ("keras2", "keras2-weights"), ("keras2", "keras2-functional"), ("keras2", "keras2-rnn"),
      ("keras2", "tutorial-1"), ("keras2", "one_step"), ("keras2", "keras2-saved"),
      ("keras3", "keras3-sequential"), ("keras3", "keras3-functional-1"),
      ("keras3", "keras3-tutorial"), ("keras3", "keras3-export"),
    ])
  func objectsGiveTheNumbersOfTensorFlow(part: String, name: String) throws {
    let references = try References(part)
    var options = ReadingOptions()
    if name == "keras2-rnn" { options.nonlinearity = .tanh }
    let checkpoint = try convert(name, in: part, options: options).checkpoint
    let expected = try #require(references.models[name]).logprobs
    try expectLogProbabilities(of: checkpoint, references.ids, expected, within: 2e-6, name)
  }

  @Test("The characters of the tutorial's export are its vocabulary")
  func charactersOfTheTutorialAreRead() throws {
    let conversion = try convert("one_step", in: "keras2", hasTokens: false)
    let vocabulary = conversion.checkpoint.vocabulary
    let expected = try References("keras2").models["one_step"]?.vocabulary
    #expect(vocabulary.indices.map { vocabulary.text(of: $0) } == expected)
    #expect(vocabulary.unknownID == 0)
    #expect(conversion.checkpoint.tokenizer.kind == .character)
  }

  @Test("The names of tensors in the graph of a SavedModel are not taken for tokens")
  func namesOfTensorsAreNoTokens() throws {
    let error = try #require(throws: InterchangeError.self) {
      try convert("keras2-saved", in: "keras2", hasTokens: false)
    }
    #expect(error.expected.hasPrefix("a vocabulary of 12 tokens"))
  }

  @Test(
    "A SavedModel's configuration tells what its weights do not, and --keras-config what a checkpoint's do not"
  )
  func configurationsAreRead() throws {
    let saved = try convert("keras2-saved", in: "keras2").checkpoint
    #expect(
      saved.architecture.layers.map(\.gateActivation)
        == [.hardSigmoid(alpha: 0.2, beta: 0.5), .hardSigmoid(alpha: 0.2, beta: 0.5)])
    let alone = try convert("keras2-weights", in: "keras2")
    #expect(alone.notes.contains { $0.message.contains("the checkpoint has weights alone") })
    #expect(alone.notes.contains { $0.place == "optimizer" })
    let told = try convert(
      "keras2-weights", in: "keras2", configuration: "keras2-weights.json")
    #expect(!told.notes.contains { $0.message.contains("the checkpoint has weights alone") })
    #expect(told.checkpoint.weightsDigest == alone.checkpoint.weightsDigest)
  }

  @Test("A vanilla RNN needs its activation, and layers that read backward are refused")
  func openQuestionsOfObjectsAreNamed() throws {
    let rnn = try #require(throws: InterchangeError.self) {
      try convert("keras2-rnn", in: "keras2")
    }
    #expect(rnn.fix.contains("--nonlinearity tanh"))
    let other = try #require(throws: InterchangeError.self) {
      try convert("refused-bidirectional", in: "keras2")
    }
    #expect(other.found.contains("Bidirectional"))
  }

  @Test(
    "Adam, momentum, Adagrad and RMSprop of TensorFlow 1 go on with TensorFlow's losses",
    arguments: ["basic-lstm", "lstm-proj", "gru", "rnn"])
  func theNextLossesAreThoseOfTensorFlow(name: String) throws {
    let references = try References("session")
    let checkpoint = try convert(name).checkpoint
    let losses = try #require(references.models[name]?.losses)
    let state = try #require(checkpoint.optimizer)
    #expect(losses.count == 3)
    if name == "basic-lstm" { #expect(state.step == 3) }
    let (B, T) = (references.batch.count, references.batch[0].count - 1)
    func rows(_ first: Int) -> [Int32] {
      (first..<first + T).flatMap { t in (0..<B).map { references.batch[$0][t] } }
    }
    let model = try TrainableModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    var optimizer = Optimizer(state, for: checkpoint.architecture)
    let zeros = RecurrentState(
      columns: B,
      layers: checkpoint.architecture.layers.map { layer in
        LayerState(
          h: [Float](repeating: 0, count: B * layer.outputSize),
          c: layer.cell == .lstm ? [Float](repeating: 0, count: B * layer.hiddenSize) : [])
      })
    for loss in losses {
      var fresh = zeros
      let found = try model.backpropagate(inputs: rows(0), targets: rows(1), state: &fresh)
      #expect(abs(found / loss - 1) < 2e-6, "\(name): \(found), TensorFlow \(loss)")
      optimizer.step(model, gradientNorm: optimizer.gradientNorm(of: model))
    }
  }

  // MARK: - Refusals

  private func refusal(
    of prefix: String, options: ReadingOptions = ReadingOptions(),
    _ change: (_ folder: String) throws -> Void = { _ in }
  ) throws -> InterchangeError {
    try #require(throws: InterchangeError.self) {
      try convert(prefix, options: options, change)
    }
  }

  @Test("The forget bias is that of the graph, or the caller's, and is never assumed")
  func forgetBiasesAreKnown() throws {
    func bias(_ prefix: String, _ given: Double? = nil) throws -> [Double] {
      var options = ReadingOptions()
      options.forgetBias = given
      return try convert(prefix, options: options).checkpoint.architecture.layers.map(\.forgetBias)
    }
    #expect(try bias("basic-lstm") == [1, 1])
    #expect(try bias("basic-lstm", 1) == [1, 1])
    #expect(try bias("ptb") == [0, 0])
    #expect(try bias("no-graph", 0.5) == [0.5, 0.5])
    let error = try refusal(of: "no-graph")
    #expect(error.fix.contains("--forget-bias 1") && error.fix.contains("or 0"))
    var options = ReadingOptions()
    options.forgetBias = 0
    #expect(try refusal(of: "basic-lstm", options: options).fix.contains("leave --forget-bias out"))
  }

  @Test(
    "Cells that compute something else are refused by its name",
    arguments: [
      ("refused-clip", "cell_clip"), ("refused-relu", "Relu"), ("refused-residual", "residual"),
      ("refused-peephole", "one with peepholes"),
    ])
  func otherCellsAreNamed(prefix: String, word: String) throws {
    let error = try refusal(of: prefix)
    #expect("\(error)".contains(word), "\(error)")
  }

  @Test("A vanilla cell has the activation of the graph, or the caller's")
  func activationsAreKnown() throws {
    #expect(try convert("rnn").checkpoint.architecture.layers.map(\.activation) == [.tanh])
    #expect(try convert("relu").checkpoint.architecture.layers.map(\.activation) == [.relu, .relu])
    let error = try refusal(of: "rnn") { folder in
      try FileManager.default.removeItem(atPath: "\(folder)/rnn.meta")
    }
    #expect(error.fix.contains("--nonlinearity tanh"))
    let other = try refusal(of: "relu", options: ReadingOptions(nonlinearity: .tanh))
    #expect(other.fix.contains("leave --nonlinearity out"))
  }

  @Test("A shard that is cut off or changed, and a damaged graph, are refused")
  func damagedFilesAreRefused() throws {
    let cut = try refusal(of: "basic-lstm") { folder in
      let path = URL(filePath: "\(folder)/basic-lstm.data-00000-of-00001")
      try Data(Data(contentsOf: path).dropLast()).write(to: path)
    }
    #expect(cut.found.hasPrefix("a file of"))
    let changed = try refusal(of: "basic-lstm") { folder in
      let path = URL(filePath: "\(folder)/basic-lstm.data-00000-of-00001")
      var bytes = try Data(contentsOf: path)
      bytes[1000] ^= 1
      try bytes.write(to: path)
    }
    #expect(changed.expected.hasPrefix("the checksum"))
    let graph = try refusal(of: "basic-lstm") { folder in
      try Data([0xFF, 0xFF]).write(to: URL(filePath: "\(folder)/basic-lstm.meta"))
    }
    #expect(graph.file.hasSuffix(".meta") && graph.fix.contains("--forget-bias"))
  }
}
