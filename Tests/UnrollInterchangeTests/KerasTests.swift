// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Files of Keras: three forms of one model, layouts of Keras 2, what is refused by name, what is written.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollHDF5
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite struct KerasTests {
  private let options = ReadingOptions(vocabulary: PyTorchFixtures.vocabulary(11))

  private func path(_ name: String) -> String { Fixtures.path("keras/\(name)") }

  private func read(_ path: String, _ options: ReadingOptions? = nil) throws -> Conversion {
    let file = try MappedFile(path: path)
    let format = try #require(AllFormats.format(of: file))
    return try format.read(file, options: options ?? self.options)
  }

  private func notes(_ name: String) throws -> [String] {
    try read(path(name)).notes.map(\.description)
  }

  // MARK: - Files of Keras

  @Test func contentTellsTheFormat() throws {
    for (name, format) in [
      ("lstm.keras", "keras"), ("lstm.weights.h5", "keras-h5"), ("lstm.h5", "keras-h5"),
    ] {
      #expect(try AllFormats.format(of: MappedFile(path: path(name)))?.name == format)
    }
    #expect(AllFormats.format(named: "a.keras")?.name == "keras")
    #expect(AllFormats.format(named: "a.weights.h5")?.name == "keras-h5")
    #expect(AllFormats.format(named: "a.h5") == nil)
  }

  @Test func threeFilesOfOneModelHaveOneDigest() throws {
    let conversions = try ["lstm.keras", "lstm.weights.h5", "lstm.h5"].map { try read(path($0)) }
    #expect(Set(conversions.map(\.checkpoint.weightsDigest)).count == 1)
    #expect(conversions[0].notes.isEmpty && conversions[2].notes.isEmpty)
    #expect(
      conversions[1].notes.map(\.description) == [
        "/: assumed, since the file has weights alone: lstm (LSTM of tanh and sigmoid), softmax",
        "optimizer: not preserved: the file has its numbers, but not its rule and settings",
      ])
    let (first, last) = (conversions[0].checkpoint, conversions[2].checkpoint)
    try expectEqual(first.optimizer, last.optimizer)
    let layer = try #require(first.architecture.layers.first)
    #expect(layer.cell == .lstm && layer.bias == .single && layer.hiddenSize == 4)
  }

  private func expectEqual(_ a: OptimizerState?, _ b: OptimizerState?) throws {
    let (a, b) = (try #require(a), try #require(b))
    #expect(a.kind == b.kind && a.step == b.step && a.groups == b.groups)
    #expect(Set(a.slots.keys) == Set(b.slots.keys))
    for (slot, tree) in a.slots {
      #expect(tree.paths == b.slots[slot]?.paths)
      for path in tree.paths {
        let (one, other) = (try #require(tree[path]), try #require(b.slots[slot]?[path]))
        #expect(one.shape == other.shape)
        #expect(one.withUnsafeBytes { bytes in other.withUnsafeBytes { bytes.elementsEqual($0) } })
      }
    }
  }

  @Test func settingsOfOptimizersAreKerass() throws {
    let adam = try #require(try read(path("lstm.keras")).checkpoint.optimizer)
    #expect(adam.kind == .adam && adam.step == 3)
    #expect(Set(adam.slots.keys) == [.firstMoment, .secondMoment, .largestSecondMoment])
    let group = adam.groups[0]
    #expect(group.clip == .parameterNorm(0.05) && group.epsilonPosition == .uncorrected)
    #expect(group.weightDecayKind == .decoupled && group[.weightDecay] == 0.1)
    #expect(group[.learningRate] == Double(Float(0.01)) && group[.amsgrad] == 1)
    let rmsprop = try #require(try read(path("gru.keras")).checkpoint.optimizer)
    #expect(Set(rmsprop.slots.keys) == [.secondMoment, .momentum, .firstMoment])
    #expect(rmsprop.groups[0].epsilonPosition == .inside)
    #expect(rmsprop.groups[0][.alpha] == 0.8 && rmsprop.groups[0][.learningRateInBuffer] == 1)
    let sgd = try read(path("rnn.keras"))
    #expect(sgd.checkpoint.optimizer?.groups[0].clip == .globalNorm(0.3))
    #expect(
      sgd.notes.map(\.description) == [
        "optimizer: approximate: the norm of all gradients is taken with 10^-6 more than Keras takes"
      ])
  }

  @Test func variantsAreTold() throws {
    let before = try read(path("gru-before.keras")).checkpoint.architecture
    #expect(before.input == .oneHot && before.embeddingSize == 11)
    #expect(before.layers.map(\.reset) == [.before] && before.layers.map(\.bias) == [.single])
    #expect(before.layers[0].gateActivation == .hardSigmoid(alpha: 1.0 / 6, beta: 0.5))
    let rnn = try read(path("rnn.keras")).checkpoint.architecture
    #expect(rnn.layers.map(\.activation) == [.relu, .tanh])
    #expect(rnn.layers.map(\.bias) == [.none, .single] && !rnn.hasOutputBias)
    let narrow = try read(path("narrow.keras")).checkpoint
    #expect(narrow.parameters[.embeddingWeight]?.dtype == .bfloat16)
    #expect(narrow.parameters[.outputWeight]?.dtype == .float16)
    let hard = try read(path("keras2-hard.h5")).checkpoint.architecture
    #expect(hard.layers.allSatisfy { $0.gateActivation == .hardSigmoid(alpha: 0.2, beta: 0.5) })
    #expect(hard.layers.map(\.reset) == [.after, .before])
    #expect(
      try read(path("keras2-cudnn-lstm.h5")).checkpoint.architecture.layers[0].bias == .double)
  }

  @Test func whatIsOfTheTrainingAloneIsSaid() throws {
    #expect(
      try notes("keras2-hard.h5") == [
        "lstm_1: not preserved: dropout 0.25", "dropout_1: not preserved: dropout 0.5",
        "gru_1: not preserved: dropout 0.25",
      ])
  }

  // MARK: - Other configurations

  /// Reads a fixture's variables with another configuration.
  private func read(
    _ name: String, configuration change: (inout String) -> Void
  ) throws -> Conversion {
    let archive = try ZipArchive(MappedFile(path: path(name)))
    return try withTemporaryFolder { folder in
      let copy = "\(folder)/x.keras"
      try Data().write(to: URL(filePath: copy))
      var writer = try ZipWriter(emptying: copy)
      for name in ["metadata.json", "config.json", "model.weights.h5"] {
        let record = try #require(archive.records[name])
        let bytes = archive.storage(of: record)
        guard name == "config.json" else {
          try writer.add(name, bytes)
          continue
        }
        var text = bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        change(&text)
        try writer.add(name, text: text)
      }
      try writer.finish()
      return try read(copy)
    }
  }

  private func refusal(_ name: String, configuration change: (inout String) -> Void) -> String {
    do {
      _ = try read(name, configuration: change)
      return "read"
    } catch let error as InterchangeError {
      return "\(error.place): \(error.found)"
    } catch {
      return "\(error)"
    }
  }

  @Test(arguments: [
    ("bidirectional", "bidirectional: a layer Bidirectional"), ("lambda", "lambda: a layer Lambda"),
  ])
  func otherLayersAreRefusedByName(name: String, message: String) throws {
    let configuration = try String(contentsOfFile: path("refused-\(name).json"), encoding: .utf8)
    #expect(refusal("lstm.keras") { $0 = configuration } == message)
  }

  private static let policy =
    "{\"module\": \"keras\", \"class_name\": \"DTypePolicy\", "
    + "\"config\": {\"name\": \"float32\"}, \"registered_name\": null}"

  @Test(arguments: [
    ("\"class_name\": \"LSTM\"", "\"class_name\": \"Custom>LSTM\"", "lstm: a layer Custom>LSTM"),
    ("\"activation\": \"tanh\"", "\"activation\": \"relu\"", "lstm: relu"),
    ("\"recurrent_activation\": \"sigmoid\"", "\"recurrent_activation\": \"swish\"", "lstm: swish"),
    ("\"go_backwards\": false", "\"go_backwards\": true", "lstm: go_backwards"),
    (
      "\"go_backwards\": false", "\"quantization_mode\": \"int8\"",
      "lstm: a layer quantised to int8"
    ),
    (
      "\"class_name\": \"DTypePolicy\", \"config\": {\"name\": \"float32\"}",
      "\"class_name\": \"QuantizedDTypePolicy\", \"config\": {\"mode\": \"int8\"}",
      "embedding: a layer quantised to int8"
    ),
    (policy, "\"int8_from_float32\"", "embedding: a layer quantised to int8"),
    (policy, "\"int32\"", "embedding: int32"),
    (policy, "\"mixed_float64\"", "embedding: mixed_float64"),
    (
      policy, "{\"class_name\": \"Mine\", \"config\": {}}", "embedding: an object of the class Mine"
    ),
    ("\"units\": 4", "\"units\": 6.5", "lstm: 6.5"),
    ("\"units\": 4", "\"units\": \"4\"", "lstm: \"4\""),
    ("\"units\": 11", "\"units\": -11", "dense: -11"),
    ("\"output_dim\": 5", "\"output_dim\": true", "embedding: true"),
    ("\"units\": 4", "\"units\": 4, \"lora_rank\": 2", "lstm: a layer LSTM"),
    ("\"units\": 11", "\"units\": 11, \"lora_rank\": 0.5", "dense: 0.5"),
    (
      "\"activation\": \"softmax\"", "\"activation\": \"sigmoid\"", "dense: the function sigmoid"
    ),
    ("\"class_name\": \"Sequential\"", "\"class_name\": \"Mine\"", "read"),
    (
      "\"class_name\": \"LSTM\"", "\"class_name\": \"GRU\"",
      "model.weights.h5: /layers/gru/cell/vars: none there"
    ),
    (
      "\"module\": \"keras.layers\", \"class_name\": \"LSTM\"",
      "\"module\": \"mine\", \"class_name\": \"LSTM\"", "lstm: a layer mine.LSTM"
    ),
    (
      "\"registered_name\": null, \"build_config\": {\"input_shape\": [null, null, 5]}",
      "\"registered_name\": \"Mine>LSTM\"", "lstm: a layer Mine>LSTM"
    ),
  ])
  func settingsThatChangeTheFunctionAreRefused(
    setting: String, other: String, message: String
  ) {
    #expect(
      refusal("lstm.keras") { $0 = $0.replacingOccurrences(of: setting, with: other) } == message)
  }

  @Test(arguments: [("1", "softmax: another axis"), ("-1", "read"), ("2", "read")])
  func aSoftmaxIsOverTheTokens(axis: String, message: String) {
    let layer =
      ", {\"module\": \"keras.layers\", \"class_name\": \"Softmax\", \"config\": {\"name\": \"softmax\", "
      + "\"axis\": \(axis)}, \"registered_name\": null}], \"build_input_shape\""
    let found = refusal("lstm.keras") {
      $0 = $0.replacingOccurrences(
        of: "\"activation\": \"softmax\"", with: "\"activation\": \"linear\""
      )
      .replacingOccurrences(of: "], \"build_input_shape\"", with: layer)
    }
    #expect(found == message)
  }

  /// `finetune --keep-optimizer` counts its own steps, the groups count all.
  @Test(arguments: [KerasFormat.self, KerasHDF5Format.self] as [any ForeignFormat.Type])
  func anOptimizerThatWentOnKeepsTheStepsOfItsParameters(format: any ForeignFormat.Type) throws {
    var checkpoint = try read("gru.keras") { _ in }.checkpoint
    #expect(checkpoint.optimizer?.groups.map(\.step) == [3])
    checkpoint.optimizer?.step = 1
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.\(format.fileExtensions[0])"
      try format.export(checkpoint, to: path)
      let options = ReadingOptions(vocabulary: checkpoint.vocabulary)
      let back = try format.read(MappedFile(path: path), options: options).checkpoint.optimizer
      #expect(back?.step == 3 && back?.groups == checkpoint.optimizer?.groups)
    }
  }

  @Test func settingsThatAssumeSomethingAreNoted() throws {
    let conversion = try read("lstm.keras") {
      $0 = $0.replacingOccurrences(of: "\"mask_zero\": false", with: "\"mask_zero\": true")
        .replacingOccurrences(of: "\"return_sequences\": true", with: "\"return_sequences\": false")
        .replacingOccurrences(of: "\"activation\": \"softmax\"", with: "\"activation\": \"linear\"")
        .replacingOccurrences(of: "\"use_ema\": false", with: "\"use_ema\": true")
    }
    let messages = conversion.notes.map(\.description)
    #expect(messages.count == 4)
    #expect(messages[0].hasPrefix("embedding: assumed: token 0 pads texts"))
    #expect(messages[1].hasPrefix("lstm: assumed: predictions after each token"))
    #expect(messages[2].hasPrefix("dense: assumed: a softmax"))
    #expect(messages[3] == "optimizer: not preserved: its setting use_ema")
  }

  @Test(
    "A length of the input, or that texts are padded to, is noted as a window",
    arguments: ["input_length", "output_sequence_length"])
  func lengthsAreNoted(setting: String) throws {
    let notes = try read("lstm.keras") {
      $0 = $0.replacing("\"input_dim\": 11", with: "\"\(setting)\": 7, \"input_dim\": 11")
    }.notes.map(\.message)
    #expect(notes.count == 1 && notes[0].contains("windows of 7 tokens"))
  }

  /// Keras would bring the weights to the type; here they stay as they are.
  @Test func typesThatTheWeightsDoNotHaveAreNoted() throws {
    func notes(_ dtype: String) throws -> [String] {
      try read("lstm.keras") {
        $0 = $0.replacingOccurrences(of: Self.policy, with: dtype)
      }.notes.map(\.description)
    }
    #expect(try notes("\"float32\"") == [] && notes("null") == [])
    #expect(
      try notes("\"float64\"") == [
        "embedding: assumed: weights of f32, as they are in the file; Keras would bring them to f64, "
          + "as config.json says"
      ])
    #expect(
      try notes("\"mixed_bfloat16\"") == [
        "embedding: not preserved: it computes in bfloat16; the weights are of float32"
      ])
    let narrow = try read("narrow.keras") {
      $0 = $0.replacingOccurrences(of: "\"name\": \"bfloat16\"", with: "\"name\": \"float32\"")
    }
    #expect(narrow.checkpoint.parameters[.embeddingWeight]?.dtype == .bfloat16)
    #expect(narrow.notes.map(\.place) == ["embedding_2", "lstm_1"])
  }

  /// Keras adds the adaptation to the weights in an archive; in a legacy file it is apart.
  @Test func lowRankAdaptationsAreInTheWeightsOrRefused() throws {
    #expect(
      try notes("lora.keras") == [
        "embedding_8: not preserved: lora_rank 1: the weights have the adaptation in them, and are trained "
          + "whole from here on",
        "dense_11: not preserved: lora_rank 2: the weights have the adaptation in them, and are trained "
          + "whole from here on",
      ])
    let error = #expect(throws: InterchangeError.self) { try read(path("refused-lora.h5")) }
    #expect(error?.place.hasSuffix("/embedding_8/lora_embeddings_a") == true)
    #expect(error?.found == "two matrices of rank 1 apart from them")
    #expect(error?.fix.contains("model.save(\"model.keras\")") == true)
    #expect(
      refusal("lstm.keras") {
        $0 = $0.replacingOccurrences(of: "\"units\": 11", with: "\"units\": 11, \"lora_rank\": 0")
      } == "read")
  }

  /// Values of a configuration in each other's places, or others: refused or read, never a trap.
  @Test(arguments: ["lstm", "gru", "gru-before"])
  func changedConfigurationsNeverTrap(name: String) throws {
    let archive = try ZipArchive(MappedFile(path: path("\(name).keras")))
    let record = try #require(archive.records["config.json"])
    let text = archive.storage(of: record).withUnsafeBytes {
      String(decoding: $0, as: UTF8.self)
    }
    let values = text.ranges(of: /: ("[^"]*"|[-.0-9e]+|true|false|null|\[[^\[\]]*\])/)
    let others =
      [
        "null", "true", "-1", "1e300", "9007199254740993", "[]", "{}", "\"relu\"", "[[[1]]]",
        "[\"a\", 0, 0]", "{\"class_name\": \"LSTM\", \"config\": {}}",
      ].map { ": \($0)" } + values.map { String(text[$0]) }
    var refused = 0
    for seed in 0..<60 {
      var generator = SeededGenerator(seed: UInt64(seed))
      let outcome = refusal("\(name).keras") { configuration in
        for _ in 0..<Int.random(in: 3...12, using: &generator) {
          let places = configuration.ranges(
            of: /: ("[^"]*"|[-.0-9e]+|true|false|null|\[[^\[\]]*\])/)
          let place = places[Int.random(in: places.indices, using: &generator)]
          configuration.replaceSubrange(
            place, with: others[Int.random(in: others.indices, using: &generator)])
        }
      }
      refused += outcome == "read" ? 0 : 1
    }
    #expect(refused > 10 && refused < 60)
  }

  /// The functional model's GRU reads its embedding twice, or nothing does.
  @Test func layersThatAreNoChainAreRefused() {
    #expect(
      refusal("gru.keras") {
        $0 = $0.replacingOccurrences(
          of: "\"keras_history\": [\"dropout\", 0, 0]",
          with: "\"keras_history\": [\"embedding_1\", 0, 0]")
      } == "embedding_1: one that several read")
    #expect(
      refusal("gru.keras") {
        $0 = $0.replacingOccurrences(
          of: "\"keras_history\": [\"dropout\", 0, 0]",
          with: "\"keras_history\": [\"dropout\", 0, 1]")
      } == "gru: one that reads a state or a second use of a layer")
  }

  // MARK: - Containers

  /// Writes datasets as a file of weights.
  private func weights(
    _ datasets: [(path: String, tensor: Tensor)]
  ) throws -> Conversion {
    try withTemporaryFolder { folder in
      let path = "\(folder)/x.weights.h5"
      try ForeignContainer.write(datasets, to: path) { _ in }
      return try read(path)
    }
  }

  private func zeros(_ path: String, _ shape: Shape) -> (path: String, tensor: Tensor) {
    (path, Tensor([Float](repeating: 0, count: shape.elementCount ?? 0), shape: shape))
  }

  private func layers(
    _ groups: [(name: String, shapes: [Shape])], root: String = "/layers"
  ) -> [(path: String, tensor: Tensor)] {
    groups.flatMap { name, shapes in
      shapes.enumerated().map { zeros("\(root)/\(name)/vars/\($0)", $1) }
    }
  }

  private let lstm: [(name: String, shapes: [Shape])] = [
    ("embedding", [[11, 3]]), ("lstm/cell", [[3, 8], [2, 8], [8]]), ("dense", [[2, 11], [11]]),
  ]

  /// tf.keras 2.12 to 2.15 has another name for the group; eleven layers are in the order of numbers.
  @Test func groupsAreInTheOrderOfTheirNumbers() throws {
    let old = try weights(layers(lstm, root: "/_layer_checkpoint_dependencies"))
    #expect(old.checkpoint.architecture.layers.map(\.hiddenSize) == [2])
    var many = [lstm[0]]
    for index in 0...10 {
      let name = index == 0 ? "lstm" : "lstm_\(index)"
      let (D, H) = (index + 3, index + 4)
      many.append(("\(name)/cell", [[D, 4 * H], [H, 4 * H], [4 * H]]))
    }
    many.append(("dense", [[14, 11]]))
    let deep = try weights(layers(many))
    #expect(deep.checkpoint.architecture.layers.map(\.hiddenSize) == Array(4...14))
  }

  @Test func shapesThatMakeNoModelAreRefused() {
    func refusal(_ change: (inout [(name: String, shapes: [Shape])]) -> Void) -> String {
      var groups = lstm
      change(&groups)
      let error = #expect(throws: InterchangeError.self) { try weights(layers(groups)) }
      return "\(error?.place ?? ""): \(error?.expected ?? ""), \(error?.found ?? "")"
    }
    #expect(
      refusal { $0[1].shapes[0] = [4, 8] }
        == "/layers/lstm/cell/vars/0: shape [3, 8], [4, 8]")
    #expect(
      refusal { $0[1].shapes[2] = [7] } == "/layers/lstm/cell/vars/2: shape [8], [7]")
    #expect(
      refusal { $0[1].shapes[1] = [2, 10] }
        == "lstm: the variables of an Embedding, SimpleRNN, LSTM, GRU or Dense layer, "
        + "[3, 8], [2, 10], [8]")
    #expect(
      refusal { $0[2].shapes[0] = [2, 12] }
        == "/layers/dense/vars/0: 11 columns, one for each token, 12")
    let classifier = #expect(throws: InterchangeError.self) {
      try weights(layers([lstm[0], lstm[1], ("dense", [[2, 2], [2]])]))
    }
    #expect(classifier?.fix.contains("not those that classify texts") == true)
    #expect(
      refusal { $0[2].name = "conv1d" }
        == "/layers/conv1d: layers that a recurrent language model has, another")
    #expect(
      refusal {
        $0[1].shapes = [[3, 12], [3, 12], [12]]
        $0[2].shapes[0] = [3, 11]
        $0.append(("gru/cell", [[3, 9], [3, 9]]))
      }
        == ": layers whose order the file tells, /layers/dense, /layers/embedding, /layers/gru, "
        + "/layers/lstm, which fit together in several ways")
    #expect(
      refusal { $0[1] = ("simple_rnn/cell", [[3, 2], [2, 2], [2]]) }
        == "simple_rnn: the activation of a SimpleRNN, weights alone")
    #expect(
      refusal { $0.remove(at: 1) }
        == ": an embedding or none, recurrent layers, one Dense layer, embedding, dense")
    #expect(
      refusal { $0 = [("a/b", [[1]])] }
        == "/layers/a/b: layers that a recurrent language model has, another")
  }

  /// A configuration that is of other weights: both are named.
  @Test(arguments: [
    (
      "\"units\": 4", "\"units\": 6",
      "/layers/lstm/cell/vars/1: shape [6, 24], as config.json says of lstm (LSTM), [4, 16]"
    ),
    (
      "\"units\": 11", "\"units\": 12",
      "/layers/dense/vars/0: shape [4, 12], as config.json says of dense (Dense), [4, 11]"
    ),
    (
      "\"output_dim\": 5", "\"output_dim\": 4",
      "/layers/embedding/vars/0: shape [11, 4], as config.json says of embedding (Embedding), [11, 5]"
    ),
    (
      "\"use_bias\": true", "\"use_bias\": false",
      "lstm: 2 variables, as config.json says of lstm (LSTM), 3"
    ),
    (
      "LSTM", "GRU",
      "/layers/gru/cell/vars: the variables of lstm (GRU), as config.json says, none there"
    ),
  ])
  func configurationsOfOtherWeightsAreRefused(
    old: String, new: String, expected: String
  ) throws {
    do {
      _ = try read("lstm.keras") { $0 = $0.replacing(old, with: new) }
      Issue.record("read")
    } catch let error as InterchangeError {
      let place = error.place.replacing("model.weights.h5: ", with: "")
      #expect("\(place): \(error.expected), \(error.found)" == expected)
      #expect(
        error.fix.hasPrefix("the configuration is not of these weights: save the model again"))
    }
  }

  @Test func aResetAfterOfOtherBiasesIsRefused() throws {
    let error = #expect(throws: InterchangeError.self) {
      try read("gru.keras") {
        $0 = $0.replacing("\"reset_after\": true", with: "\"reset_after\": false")
      }
    }
    #expect(
      error?.expected.hasPrefix("one row (no reset_after), as config.json says of gru") == true)
    #expect(error?.found.hasPrefix("shape [2, ") == true)
  }

  /// Keras makes orthogonal matrices when it loads, which it cannot in narrow types.
  @Test func narrowModelsNameAnInitializer() throws {
    let model = try read(path("narrow.keras")).checkpoint
    let narrow = try KerasWriter(model).configuration
    #expect(narrow.contains("\"recurrent_initializer\": \"glorot_uniform\""))
    let wide = try KerasWriter(read(path("lstm.keras")).checkpoint).configuration
    #expect(!wide.contains("initializer"))
  }

  /// The answer of libhdf5 about a hostile file may be anything.
  @Test(arguments: 0..<150) func changedInventoriesNeverTrap(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let file = try MappedFile(path: path(seed % 2 == 0 ? "lstm.h5" : "lstm.weights.h5"))
    var inventory = try ContainerReader.inProcess.foreign.inventory(
      .mapped(file, 0..<file.count), "x")
    for _ in 0..<Int.random(in: 1...3, using: &generator) { generator.change(&inventory) }
    let changed = inventory
    var options = options
    let inProcess = ContainerReader.inProcess.foreign
    options.reader = ContainerReader(
      inventory: { _ in changed }, decode: { _, _, _ in },
      foreign: ForeignReader(
        inventory: { _, _ in changed }, decode: inProcess.decode, texts: inProcess.texts))
    // Refused or read, in this process.
    _ = try? KerasHDF5Format.read(file, options: options)
  }

  @Test func damagedFilesNeverTrap() throws {
    let bytes = try MappedFile(path: path("lstm.keras")).copy(0..<Int.max)
    var refused = 0
    try withTemporaryFolder { folder in
      for seed in 0..<60 {
        var generator = SeededGenerator(seed: UInt64(seed))
        var mutant = bytes
        // The archive and the texts; the container inside has a CRC-32.
        let places = [0..<7000, bytes.count - 400..<bytes.count]
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          let range = places[Int.random(in: 0...1, using: &generator)]
          mutant[Int.random(in: range, using: &generator)] = UInt8.random(
            in: 0...255, using: &generator)
        }
        let path = "\(folder)/x.keras"
        try Data(mutant).write(to: URL(filePath: path))
        do {
          _ = try KerasFormat.read(MappedFile(path: path), options: options)
        } catch is InterchangeError {
          refused += 1
        }
      }
    }
    #expect(refused > 40)
  }

  @Test func filesOfOtherProgramsAreRefused() throws {
    let error = #expect(throws: InterchangeError.self) { try weights([zeros("/a/b", [2])]) }
    #expect(error?.found == "\"a\"")
  }

  // MARK: - Writing

  /// Models of every variant that Keras has come back bit for bit, by way of both formats.
  @Test(arguments: 0..<24) func everyBitReturns(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed) + 700)
    let original = model(&generator)
    try withTemporaryFolder { folder in
      for format in [KerasFormat.self, KerasHDF5Format.self] as [any ForeignFormat.Type] {
        let path = "\(folder)/\(format.name).\(format.fileExtensions[0])"
        try format.export(original, to: path)
        let back = try read(path, ReadingOptions()).checkpoint
        #expect(back.architecture == original.architecture)
        #expect(back.weightsDigest == original.weightsDigest)
        #expect(back.vocabulary.tokenBytes == original.vocabulary.tokenBytes)
        #expect(back.tokenizer == original.tokenizer)
        // Equal checkpoints give equal bytes.
        try format.export(original, to: path + ".again")
        #expect(
          try MappedFile(path: path).copy(0..<Int.max)
            == MappedFile(path: path + ".again").copy(0..<Int.max))
      }
    }
  }

  private func model(_ generator: inout SeededGenerator) -> Checkpoint {
    func pick<Value>(_ values: [Value]) -> Value {
      values[Int.random(in: values.indices, using: &generator)]
    }
    var checkpoint = Checkpoint.small()
    let V = checkpoint.vocabulary.count
    let isOneHot = pick([true, false, false])
    var width = isOneHot ? V : Int.random(in: 2...7, using: &generator)
    let D = width
    var layers: [LayerArchitecture] = []
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let cell = pick(Cell.allCases)
      var layer = LayerArchitecture(
        cell: cell, inputSize: width, hiddenSize: Int.random(in: 2...7, using: &generator),
        activation: cell == .rnn ? pick(Activation.allCases) : .tanh)
      if cell == .gru { layer.reset = pick([.after, .before]) }
      if cell != .rnn {
        layer.gateActivation = pick([.sigmoid, GateActivation.hardSigmoid(ofKeras: 3)])
      }
      let hasTwo = cell == .gru && layer.reset == .after
      layer.bias = pick([.none, hasTwo ? .double : .single])
      layers.append(layer)
      width = layer.hiddenSize
    }
    var architecture = Architecture(
      vocabularySize: V, embeddingSize: D, layers: layers,
      isTied: !isOneHot && width == D && pick([true, false]), hasOutputBias: pick([true, false]))
    if isOneHot { architecture.input = .oneHot }
    var parameters = ParameterTree<Tensor>()
    let dtype = pick([DType.float16, .bfloat16, .float32, .float64])
    for (path, shape) in architecture.parameters {
      let bytes = (0..<(shape.byteCount(of: dtype) ?? 0)).map { _ in
        UInt8.random(in: 0...255, using: &generator)
      }
      parameters[path] = Tensor(shape: shape, dtype: dtype, storage: .owned(bytes))
    }
    (checkpoint.architecture, checkpoint.parameters) = (architecture, parameters)
    return checkpoint
  }

  /// Keras's own files by way of Unroll: the same variables, the optimizer's too.
  @Test(arguments: ["lstm", "gru", "rnn", "gru-before"])
  func variablesOfKerasReturn(name: String) throws {
    let conversion = try read(path("\(name).keras"))
    try withTemporaryFolder { folder in
      let copy = "\(folder)/x.keras"
      try KerasFormat.export(conversion.checkpoint, to: copy)
      let (theirs, ours) = (try container(path("\(name).keras")), try container(copy))
      var count = 0
      for group in theirs.members(of: "/layers").map({ "/layers/\($0)" }) + ["/optimizer"] {
        for inner in ["/vars", "/cell/vars", "/layer/vars"].map({ group + $0 }) {
          for name in theirs.members(of: inner) {
            // A TimeDistributed layer is written as the layer inside.
            let place = "\(inner)/\(name)".replacing("time_distributed/layer", with: "dense")
            let (a, b) = (
              try #require(theirs.tensor("\(inner)/\(name)")), try #require(ours.tensor(place))
            )
            #expect(a.shape == b.shape && a.dtype == b.dtype)
            #expect(a.withUnsafeBytes { bytes in b.withUnsafeBytes { bytes.elementsEqual($0) } })
            count += 1
          }
        }
      }
      #expect(count >= 6)
      try expectEqual(read(copy).checkpoint.optimizer, conversion.checkpoint.optimizer)
    }
  }

  private func container(_ path: String) throws -> ForeignContainer {
    try KerasFile(archive: MappedFile(path: path), reader: .inProcess).container
  }

  /// On to another format and back: what both hold returns.
  @Test(arguments: 0..<8) func everyBitReturnsByWayOfOthers(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed) + 900)
    var original = Checkpoint.small(
      cell: seed.isMultiple(of: 2) ? .gru : .lstm, hidden: seed < 4 ? [5] : [4, 6],
      seed: UInt64(seed))
    if original.architecture.layers[0].cell == .lstm {
      for index in original.architecture.layers.indices {
        original.architecture.layers[index].bias = .none
        original.parameters[.layer(index, .biasIH)] = nil
        original.parameters[.layer(index, .biasHH)] = nil
      }
    }
    let others: [any ForeignFormat.Type] = [
      SafetensorsFormat.self, NumPyFormat.self, ONNXFormat.self,
    ]
    let other = others[Int.random(in: others.indices, using: &generator)]
    try withTemporaryFolder { folder in
      var checkpoint = original
      for format in [KerasFormat.self, other, KerasHDF5Format.self] as [any ForeignFormat.Type] {
        let path = "\(folder)/x.\(format.fileExtensions[0])"
        try format.export(checkpoint, to: path)
        checkpoint = try read(path, ReadingOptions()).checkpoint
      }
      #expect(checkpoint.weightsDigest == original.weightsDigest)
    }
  }

  /// The exceptions: what Keras has in another variant.
  @Test func twoBiasesBecomeTheirSum() throws {
    var checkpoint = Checkpoint.small(cell: .lstm)
    checkpoint.architecture.layers[1].bias = .single
    checkpoint.parameters[.layer(1, .bias)] = checkpoint.parameters[.layer(1, .biasIH)]
    checkpoint.parameters[.layer(1, .biasIH)] = nil
    checkpoint.parameters[.layer(1, .biasHH)] = nil
    checkpoint.architecture.layers[1].forgetBias = 1
    let held = try KerasFormat.held(checkpoint)
    #expect(held.architecture.layers.map(\.bias) == [.single, .single])
    #expect(held.architecture.layers.map(\.forgetBias) == [0, 0])
    let biases = try [LayerParameter.biasIH, .biasHH].map {
      try #require(checkpoint.parameters[.layer(0, $0)]?.floats())
    }
    #expect(held.parameters[.layer(0, .bias)]?.floats() == zip(biases[0], biases[1]).map(+))
    let (before, after) = (
      try #require(checkpoint.parameters[.layer(1, .bias)]?.floats()),
      try #require(held.parameters[.layer(1, .bias)]?.floats())
    )
    #expect(after.enumerated().allSatisfy { $1 == before[$0] + ((6..<12).contains($0) ? 1 : 0) })
    #expect(
      try KerasFormat.losses(of: checkpoint).map(\.description).prefix(2) == [
        "/model/layers/00/bias: the sum of the two biases: Keras has one, which learns at half the rate",
        "/model/layers/01/bias: with the forget bias of 1.0 in it, rounded to f32",
      ])
    try withTemporaryFolder { folder in
      try KerasFormat.export(checkpoint, to: "\(folder)/x.keras")
      let back = try read("\(folder)/x.keras").checkpoint
      #expect(back.weightsDigest == held.weightsDigest)
    }
  }

  @Test func aGRUsOnlyBiasGetsZerosBesideIt() throws {
    var checkpoint = Checkpoint.small(cell: .gru, hidden: [4])
    checkpoint.architecture.layers[0].bias = .single
    checkpoint.parameters[.layer(0, .bias)] = checkpoint.parameters[.layer(0, .biasIH)]
    checkpoint.parameters[.layer(0, .biasIH)] = nil
    checkpoint.parameters[.layer(0, .biasHH)] = nil
    let held = try KerasFormat.held(checkpoint)
    #expect(held.architecture.layers.map(\.bias) == [.double])
    #expect(held.parameters[.layer(0, .biasHH)]?.floats()?.allSatisfy { $0 == 0 } == true)
  }

  @Test func whatKerasDoesNotComputeIsRefused() {
    func refusal(_ change: (inout Checkpoint) -> Void) -> String? {
      var checkpoint = Checkpoint.small()
      change(&checkpoint)
      let error = #expect(throws: InterchangeError.self) {
        try KerasFormat.losses(of: checkpoint)
      }
      return error?.found
    }
    #expect(
      refusal {
        $0.architecture.layers[0].gateActivation = .hardSigmoid(alpha: 0.2, beta: 0.5)
      } == "a hard_sigmoid of another slope than Keras 3's 1/6 (Keras 2 has 0.2)")
    #expect(
      refusal {
        $0.architecture.layers[1].projectionSize = 3
        $0.parameters[.layer(1, .weightHH)] = Tensor(
          [Float](repeating: 0, count: 72), shape: [24, 3])
        $0.parameters[.layer(1, .weightHR)] = Tensor(
          [Float](repeating: 0, count: 18), shape: [3, 6])
        $0.parameters[.outputWeight] = Tensor([Float](repeating: 0, count: 33), shape: [11, 3])
      } == "a projection of the hidden state")
    #expect(
      refusal { $0.parameters[.layer(0, .biasIH)] = nil } == "none")
    #expect(
      refusal {
        $0.parameters[.layer(0, .weightHH)] = try? $0.parameters[.layer(0, .weightHH)]?
          .converted(to: .float64)
      } == "f32, f64")
  }

  /// A tie comes back by what Unroll notes; Keras's copy alone is no tie.
  @Test func aTieIsWrittenTwice() throws {
    let tied = Checkpoint.small(cell: .gru, tied: true, hidden: [5])
    #expect(try KerasFormat.losses(of: tied).first?.message.contains("written twice") == true)
    try withTemporaryFolder { folder in
      let path = "\(folder)/x.weights.h5"
      try KerasHDF5Format.export(tied, to: path)
      #expect(try read(path).checkpoint.weightsDigest == tied.weightsDigest)
      let datasets = try KerasWriter(tied).datasets
      #expect(try !weights(datasets).checkpoint.architecture.isTied)
    }
  }

  // MARK: - Optimizers

  private func state(
    _ kind: OptimizerKind, _ change: (inout ParameterGroup) -> Void
  ) -> OptimizerState {
    var group = ParameterGroup(kind, parameters: [.embeddingWeight])
    change(&group)
    return OptimizerState(kind: kind, step: 0, groups: [group])
  }

  private func outcome(_ kept: KerasOptimizer.Kept) -> String {
    switch kept {
    case .kept(_, let approximations): approximations.joined(separator: "; ")
    case .lost(let reason): "lost: \(reason)"
    }
  }

  @Test func conventionsThatKerasLacksAreSaid() {
    func outcome(_ kind: OptimizerKind, _ change: (inout ParameterGroup) -> Void) -> String {
      self.outcome(KerasOptimizer.kept(state(kind, change), of: Checkpoint.small().architecture))
    }
    #expect(outcome(.adam) { $0.epsilonPosition = .uncorrected } == "")
    #expect(
      outcome(.adam) { _ in }
        == "epsilon 1e-08 stands elsewhere in Keras's rule; the moments are the same")
    #expect(outcome(.adam) { $0[.weightDecay] = 0.1 } == "lost: Keras's weight decay is decoupled")
    #expect(outcome(.sgd) { _ in } == "")
    #expect(outcome(.sgd) { $0.step = 1 << 40 } == "lost: Keras counts steps with 32 bits")
    #expect(
      outcome(.sgd) { $0[.momentum] = 0.9 }
        == "lost: Keras's velocities hold the learning rate")
    #expect(outcome(.sgd) { $0[.dampening] = 0.9 } == "lost: Keras has no dampening")
    #expect(
      outcome(.adagrad) { _ in } == "lost: Keras has no optimizer that computes the same update")
    #expect(
      outcome(.sgd) { $0.isFrozen = true }
        == "lost: Keras has one group of parameters, of which none is frozen")
  }
}
