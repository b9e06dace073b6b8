// Files of Keras of which not all is known: refused by name, or read with what the caller says.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollHDF5
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("Keras files with unexpected parts") struct KerasAccountTests {
  private let options = ReadingOptions(vocabulary: PyTorchFixtures.vocabulary(11))

  private func path(_ name: String) -> String { Fixtures.path("keras-forms/\(name)") }

  private func read(_ path: String, _ options: ReadingOptions? = nil) throws -> Conversion {
    let file = try MappedFile(path: path)
    let format = try #require(AllFormats.format(of: file))
    return try format.read(file, options: options ?? self.options)
  }

  private func refusal(_ name: String, _ options: ReadingOptions? = nil) -> InterchangeError? {
    #expect(throws: InterchangeError.self) { try read(path(name), options) }
  }

  // MARK: - What is left over

  @Test(
    "A dataset beside the known layers of a Keras weights file is refused by name",
    arguments: [
      ("class-own.weights.h5", "/vars/0"), ("tf-own.h5", "/top_level_model_weights/prior:0"),
      ("class-norm.weights.h5", "extra"), ("add.weights.h5", "/layers/add"),
      ("leaky.weights.h5", "/layers/leaky_re_lu"),
      ("softmax.weights.h5", "/layers/softmax"), ("two-dense.weights.h5", "/layers/dense_1"),
    ])
  func whatIsLeftOverIsNamed(name: String, place: String) {
    let error = refusal(name)
    #expect(error?.place == place)
    #expect(error?.fix.contains("--keras-config") == true || name.contains("norm"))
  }

  @Test("Weights of textgenrnn are refused by its name, with what would be lost")
  func textgenrnn() {
    for name in ["sigmoid", nil] as [String?] {
      var options = options
      options.gateActivation = name.map { _ in .sigmoid }
      let error = refusal("refused-textgenrnn.hdf5", options)
      #expect(error?.found.contains("textgenrnn") == true)
      #expect(error?.found.contains("attention") == true)
    }
  }

  @Test("Operations of TensorFlow among the layers of a weights file are refused by name")
  func operationsAreNamed() {
    let error = refusal("tf-add.h5")
    #expect(error?.found == "2 others beside it: add, tf.math.multiply")
    #expect(error?.fix.contains("--ignore NAME") == true)
  }

  @Test("A Keras configuration without a layer of the file is refused by the layer's name")
  func configurationsOfOtherLayersAreRefused() throws {
    let text =
      #"{"class_name": "Sequential", "config": {"layers": [{"class_name": "Embedding", "config": {"name": "#
      + #""embedding"}}, {"class_name": "LSTM", "config": {"name": "lstm", "activation": "tanh", "#
      + #""recurrent_activation": "sigmoid", "return_sequences": true}}, {"class_name": "Dense", "config": "#
      + #"{"name": "dense"}}]}}"#
    try withTemporaryFolder { folder in
      try Data(text.utf8).write(to: URL(filePath: "\(folder)/x.json"))
      var options = options
      options.configuration = try MappedFile(path: "\(folder)/x.json")
      #expect(refusal("leaky.weights.h5", options)?.place == "/layers/leaky_re_lu")
      #expect(refusal("add.weights.h5", options)?.place == "/layers/add")
    }
  }

  @Test("An ignored variable is noted, and one that the file does not have is refused")
  func ignoredVariablesAreNoted() throws {
    var options = options
    options.ignored = ["/vars/0"]
    let notes = try read(path("class-own.weights.h5"), options).notes.map(\.description)
    #expect(notes.contains("/vars/0: ignored, as requested"))
    options.ignored = ["/extra"]
    #expect(
      try read(path("class-norm.weights.h5"), options).notes.contains { $0.place == "/extra" })
    options.ignored = ["/vars/1"]
    #expect(refusal("class-own.weights.h5", options)?.place == "/vars/1")
  }

  @Test("An embedding as wide as the vocabulary is not taken for one-hot vectors")
  func aSquareEmbeddingIsRead() throws {
    let architecture = try read(path("class-square.weights.h5")).checkpoint.architecture
    #expect(architecture.input == .embedding && architecture.embeddingSize == 11)
  }

  @Test("Layers that fit in several orders are refused with a map of the file")
  func severalOrdersAreRefused() throws {
    let error = try #require(refusal("class-order.weights.h5"))
    #expect(error.found.contains("/first_lstm") && error.found.contains("in several ways"))
    let start = try #require(error.fix.firstIndex(of: "{"))
    let map = try JSONValue(Array(error.fix[start...].utf8))
    #expect(map["encoder.weight"]?.text == "/embedding/vars/0")
    #expect(map["decoder.bias"]?.text == "/fc/vars/1")
    var options = options
    for (key, value) in map.members ?? [] {
      options.names[String(decoding: key, as: UTF8.self)] = value.text
    }
    // Whatever order it has, the map is one that is read.
    #expect(options.names.count == 9)
    #expect(
      try read(path("class-order.weights.h5"), options).checkpoint.architecture.layers.count == 2)
  }

  @Test("A map that omits a dataset or names a missing one is refused by name")
  func mapsNameEverything() throws {
    var options = options
    options.names = [
      "encoder.weight": "/embedding/vars/0", "rnn.weight_ih_l0": "/first_lstm/cell/vars/0",
      "rnn.weight_hh_l0": "/first_lstm/cell/vars/1", "rnn.bias_l0": "/first_lstm/cell/vars/2",
      "decoder.weight": "/fc/vars/0", "decoder.bias": "/fc/vars/1",
    ]
    #expect(
      refusal("class-order.weights.h5", options)?.found.contains("/layers/lstm_1/cell") == true)
    options.names["decoder.bias"] = "/fc/vars/2"
    #expect(refusal("class-order.weights.h5", options)?.place == "/fc/vars/2")
    options.names["decoder.bias"] = nil
    options.names["decoder.wait"] = "/fc/vars/1"
    #expect(refusal("class-order.weights.h5", options)?.place == "decoder.wait")
    #expect(refusal("nested.keras", options)?.fix == "leave --map out")
  }

  @Test("The layers of a custom Keras class are assumed to form a chain, with a note")
  func classesAreAssumedToBeChains() throws {
    for name in ["class.keras", "class.weights.h5"] {
      let notes = try read(path(name)).notes.map(\.description)
      #expect(notes.count == 1 && notes[0].contains("one after the other, since the code"))
    }
  }

  // MARK: - Hostile files

  @Test("A product of two thin matrices that is far larger than the file is refused")
  func productsAreBounded() throws {
    func layer(_ name: String, _ settings: String) -> String {
      #"{"class_name": "\#(name)", "config": {\#(settings)}}"#
    }
    let layers = [
      layer("Embedding", #""name": "embedding""#),
      layer("SimpleRNN", #""name": "simple_rnn", "activation": "tanh", "return_sequences": true"#),
      layer("Dense", #""name": "dense""#), layer("Dense", #""name": "dense_1""#),
    ].joined(separator: ", ")
    let (V, H) = (100_000, 300)
    func zeros(_ path: String, _ shape: Shape) -> (path: String, tensor: Tensor) {
      (
        "/layers/\(path)",
        Tensor([Float](repeating: 0, count: shape.elementCount ?? 0), shape: shape)
      )
    }
    try withTemporaryFolder { folder in
      try Data(#"{"class_name": "Sequential", "config": {"layers": [\#(layers)]}}"#.utf8)
        .write(to: URL(filePath: "\(folder)/x.json"))
      try ForeignContainer.write(
        [
          zeros("embedding/vars/0", [V, 1]), zeros("simple_rnn/cell/vars/0", [1, H]),
          zeros("simple_rnn/cell/vars/1", [H, H]), zeros("dense/vars/0", [H, 2]),
          zeros("dense_1/vars/0", [2, V]),
        ], to: "\(folder)/x.weights.h5"
      ) { _ in }
      var options = options
      options.configuration = try MappedFile(path: "\(folder)/x.json")
      let error = #expect(throws: InterchangeError.self) {
        try read("\(folder)/x.weights.h5", options)
      }
      #expect(error?.found == "[\(V), \(H)]")
    }
  }

  /// The answer of libhdf5 about a hostile file may be anything: such a file is refused or read, in this
  /// process.
  @Test(
    "False descriptions of Keras weights files are refused or read, and never trap",
    arguments: 0..<200)
  func changedInventoriesNeverTrap(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let names = [
      "class.weights.h5", "nested.weights.h5", "untied.weights.h5", "keras215.h5",
      "keras1-lstm.h5", "soft-links.weights.h5", "big-endian.weights.h5", "class-order.weights.h5",
    ]
    let file = try MappedFile(path: path(names[seed % names.count]))
    let inProcess = ContainerReader.inProcess.foreign
    var inventory = try inProcess.inventory(.mapped(file, 0..<file.count), "x")
    for _ in 0..<Int.random(in: 1...3, using: &generator) { generator.change(&inventory) }
    let changed = inventory
    var options = options
    options.reader = ContainerReader(
      inventory: { _ in changed }, decode: { _, _, _ in },
      foreign: ForeignReader(
        inventory: { _, _ in changed }, decode: inProcess.decode, texts: inProcess.texts))
    do {
      let conversion = try KerasHDF5Format.read(file, options: options)
      #expect(conversion.checkpoint.vocabulary.count == 11)
    } catch is InterchangeError {
    }
  }

  // MARK: - Versions

  @Test("Gates of hard_sigmoid in old Keras versions are noted, or requested if not known")
  func defaultsOfVersionsAreSaid() throws {
    let notes = try read(path("keras215.h5")).notes.map(\.message)
    #expect(notes.first?.contains("Keras 2.1.5 has gates of hard_sigmoid") == true)
    let error = try #require(refusal("keras224tf.h5"))
    #expect(error.found.contains("2.2.4-tf") && error.fix.contains("--gate-activation sigmoid"))
    var options = options
    options.gateActivation = .sigmoid
    let said = try read(path("keras224tf.h5"), options)
    #expect(said.checkpoint.architecture.layers[0].gateActivation == .sigmoid)
    #expect(said.notes.allSatisfy { !$0.message.contains("hard_sigmoid") })
    let cuDNN = try read(Fixtures.path("keras/keras2-cudnn-lstm.h5"))
    #expect(cuDNN.notes.allSatisfy { !$0.message.contains("hard_sigmoid") })
  }

  @Test("Windows of a fixed length are noted")
  func windowsAreNoted() throws {
    let notes = try read(path("window.keras")).notes.map(\.message)
    #expect(
      notes.contains {
        $0.contains("windows of 6 tokens") && $0.contains("--context 6 --pad TOKEN")
      })
    #expect(
      try read(path("nested.keras")).notes.allSatisfy { !$0.message.contains("windows") })
  }

  // MARK: - HDF5

  @Test(
    "Big-endian numbers, user blocks and soft links inside a file give the numbers of a plain one",
    arguments: ["big-endian", "user-block", "soft-links"])
  func formsOfHDF5AreRead(name: String) throws {
    let plain = try read(Fixtures.path("keras/lstm.weights.h5")).checkpoint
    let conversion = try read(path("\(name).weights.h5"))
    #expect(conversion.checkpoint.weightsDigest == plain.weightsDigest)
  }

  @Test("An unknown HDF5 filter is refused with the command that removes it")
  func filtersAreNamed() throws {
    let error = #expect(throws: InterchangeError.self) {
      try read(Fixtures.path("foreign/lzf.weights.h5"))
    }
    #expect(error?.found.contains("the filter lzf (32000)") == true)
    #expect(error?.fix.contains("h5py.File('NEW.h5', 'w')") == true)
  }

  @Test("A list of shards is read as one file, and a missing or foreign one is refused")
  func shardsAreRead() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: path("")).filter {
      $0.hasPrefix("shards")
    }
    #expect(files.count > 2)
    try withTemporaryFolder { folder in
      for file in files {
        try FileManager.default.copyItem(atPath: path(file), toPath: "\(folder)/\(file)")
      }
      _ = try read("\(folder)/shards.weights.json")
      let list = try String(contentsOfFile: path("shards.weights.json"), encoding: .utf8)
      try list.replacing("shards_00001", with: "../shards_00001")
        .write(toFile: "\(folder)/other.weights.json", atomically: true, encoding: .utf8)
      #expect(throws: InterchangeError.self) { try read("\(folder)/other.weights.json") }
      try FileManager.default.removeItem(atPath: "\(folder)/shards_00001.weights.h5")
      #expect(throws: FileError.self) { try read("\(folder)/shards.weights.json") }
    }
  }

  // MARK: - Writing

  @Test("A tie without a bias is written as one ReversibleEmbedding layer and comes back")
  func aTieIsOneLayer() throws {
    let tied = try read(path("reversible.keras")).checkpoint
    #expect(tied.architecture.isTied && tied.architecture.hasOutputProjection)
    let plain = try read(path("tied.weights.h5")).checkpoint
    #expect(plain.architecture.isReversible)
    let losses = try KerasFormat.exportNotes(for: plain)
    #expect(losses.contains { $0.message.contains("ReversibleEmbedding") && $0.isHarmless })
    try withTemporaryFolder { folder in
      try KerasFormat.export(plain, to: "\(folder)/x.keras")
      let text = try KerasWriter(plain).configuration
      #expect(text.contains(#""kwargs": {"reverse": true}"#) && !text.contains("\"Dense\""))
      let back = try read("\(folder)/x.keras").checkpoint
      #expect(back.architecture == plain.architecture && back.weightsDigest == plain.weightsDigest)
    }
  }

  @Test("Layers that are written in another form than in the original Keras model are noted")
  func changesOnTheWayBackAreNoted() throws {
    var checkpoint = try read(path("projection.keras")).checkpoint
    #expect(try KerasFormat.exportNotes(for: checkpoint).isEmpty)
    checkpoint.provenance = [
      ProvenanceEntry(
        operation: "convert", tool: "unroll", arguments: "format=keras\nvocabulary=list", inputs: ""
      )
    ]
    let note = try #require(
      try KerasFormat.exportNotes(for: checkpoint).first { $0.message.contains("return_sequences") }
    )
    #expect(note.isHarmless && note.message.contains("TimeDistributed"))
  }
}
