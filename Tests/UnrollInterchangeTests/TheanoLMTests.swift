// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Files in the layout of TheanoLM: what they become, and what is refused by name.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollHDF5
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

/// The files of `fixtures/theanolm`, made by `scripts/make/theanolm-fixture`.
@Suite("TheanoLM") struct TheanoLMTests {
  private let lstm = Fixtures.path("theanolm/lstm.h5")
  private let gru = Fixtures.path("theanolm/gru.h5")

  private func read(_ path: String) throws -> Conversion {
    try TheanoLMFormat.read(MappedFile(path: path), options: ReadingOptions())
  }

  @Test("TheanoLM and Keras files are distinguished by their content")
  func formatOfContent() throws {
    for (name, format) in [
      ("theanolm/lstm.h5", "theanolm"), ("keras/lstm.h5", "keras-h5"),
      ("keras/lstm.keras", "keras"),
      ("hostile/truncated-in-the-middle.h5", "keras-h5"),
    ] {
      let file = try MappedFile(path: Fixtures.path(name))
      #expect(AllFormats.format(of: file, reader: .inProcess)?.name == format)
    }
  }

  @Test("Layers, words and special tokens of TheanoLM are read, and the rest is noted")
  func layersAndWords() throws {
    let conversion = try read(lstm)
    let checkpoint = conversion.checkpoint
    let layers = checkpoint.architecture.layers
    #expect(layers.map(\.cell) == [.lstm, .rnn] && layers.map(\.hiddenSize) == [4, 6])
    #expect(layers.map(\.bias) == [.single, .single])
    #expect(checkpoint.architecture.embeddingSize == 5 && !checkpoint.architecture.isTied)
    let vocabulary = checkpoint.vocabulary
    #expect((0..<4).map { vocabulary.text(of: $0) } == ["the", "cat", "öl", "猫"])
    #expect(vocabulary.count == 11 && vocabulary.unknownID == 10)
    #expect(vocabulary.beginningOfSentenceID == 8 && vocabulary.endOfSentenceID == 9)
    #expect(checkpoint.tokenizer == Tokenizer(sentenceStart: .bos))
    #expect(
      conversion.notes.map(\.description) == [
        "dropout_1: not preserved: dropout 0.25",
        "tanh_3: a layer without state becomes a vanilla RNN whose recurrent weights are 0: the same "
          + "function, but training moves them",
        "/vocabulary: not preserved: 2 words outside of the shortlist and their shares of <unk>: they "
          + "are read as that, as TheanoLM does without --shortlist",
        "/optimizer, /trainer, /iterator: not preserved: the training state and the optimizer's",
      ])
    let other = try read(gru)
    #expect(other.checkpoint.architecture.layers.map(\.cell) == [.gru, .rnn, .gru])
    #expect(other.checkpoint.architecture.layers[1].activation == .relu)
    #expect(other.checkpoint.parameters[.outputWeight]?.dtype == .float64)
    #expect(other.notes.count == 1)
  }

  @Test("A softmax over word classes is written out, with the share of each word in its bias")
  func wordClasses() throws {
    for name in ["classes", "class-outputs"] {
      let conversion = try read(Fixtures.path("theanolm/\(name).h5"))
      let tree = conversion.checkpoint.parameters
      let (weight, bias) = (
        try #require(tree[.outputWeight]).doubles, try #require(tree[.outputBias]).doubles
      )
      // Words 1, 2 and 7 are a class with the shares 1/4, 1/2 and 1/4; word 0 has 3/10 of its own.
      #expect(weight[5..<10] == weight[10..<15] && weight[5..<10] == weight[35..<40])
      #expect(weight[0..<5] != weight[5..<10])
      #expect(abs(bias[2] - bias[1] - log(2)) < 1e-15 && bias[1] == bias[7])
      #expect(abs(bias[4] - bias[0] - log(7.0 / 3)) < 1e-15)
      let rows = try #require(tree[.embeddingWeight]).doubles
      #expect((rows[4..<8] == rows[8..<12]) == (name == "classes"))
      #expect(
        conversion.notes.contains {
          $0.message.hasPrefix("a softmax over 6 classes is written out as one over 11 words")
        })
    }
  }

  /// The update gate is 1 minus ours: its weights have the other sign, and no other numbers have.
  @Test("Gates of TheanoLM are reordered, and the GRU's update gate changes its sign")
  func gateOrder() throws {
    let file = try MappedFile(path: gru)
    let container = try ForeignContainer(
      .mapped(file, 0..<file.count), name: gru, reader: .inProcess)
    let theirs = try #require(container.tensor("/layers/gru_1/step_input/W")?.floats())
    let ours = try #require(read(gru).checkpoint.parameters[.layer(0, .weightHH)]?.floats())
    for gate in 0..<3 {
      for (i, j) in [(0, 0), (1, 4), (4, 2)] {
        let sign: Float = gate == 1 ? -1 : 1
        #expect(ours[(gate * 5 + i) * 5 + j] == sign * theirs[j * 15 + gate * 5 + i])
      }
    }
    let cell = try MappedFile(path: lstm)
    let other = try ForeignContainer(
      .mapped(cell, 0..<cell.count), name: lstm, reader: .inProcess)
    let bias = try #require(other.tensor("/layers/lstm_2/layer_input/b")?.floats())
    let ourBias = try #require(read(lstm).checkpoint.parameters[.layer(0, .bias)]?.floats())
    // i, f, o, c becomes i, f, g, o.
    #expect(ourBias == Array(bias[..<8] + bias[12...] + bias[8..<12]))
  }

  // MARK: - Refusals

  /// Reads a fixture of which libhdf5 said something else.
  private func refusal(
    _ path: String, _ change: (inout [String: InventoryObject]) -> Void
  ) throws -> String? {
    let file = try MappedFile(path: path)
    let foreign = ContainerReader.inProcess.foreign
    let inventory = try foreign.inventory(.mapped(file, 0..<file.count), "x")
    var objects = Dictionary(uniqueKeysWithValues: inventory.objects.map { ($0.path, $0) })
    change(&objects)
    let changed = Inventory(objects: objects.values.sorted { $0.path < $1.path })
    var options = ReadingOptions()
    options.reader = ContainerReader(
      inventory: { _ in changed }, decode: { _, _, _ in },
      foreign: ForeignReader(
        inventory: { _, _ in changed }, decode: foreign.decode, texts: foreign.texts))
    do {
      _ = try TheanoLMFormat.read(file, options: options)
      return nil
    } catch let error as InterchangeError {
      return "\(error.place): \(error.expected), \(error.found)"
    }
  }

  /// Changes an attribute of a group of the architecture.
  private func refusal(
    _ group: String, _ attribute: String, _ value: AttributeValue?, of path: String? = nil
  ) throws -> String? {
    try refusal(path ?? lstm) {
      $0["/architecture/\(group)"]?.attributes[attribute] = value
    }
  }

  @Test("Layers that Unroll does not have are refused by name")
  func otherLayers() throws {
    for type in ["hsoftmax", "blstm", "bgru", "highwaytanh", "glu", "add"] {
      #expect(
        try refusal("layers/3", "type", .text(type))
          == "tanh_3: layers that a recurrent language model has, a layer \(type)")
    }
    #expect(
      try refusal("layers/2", "activation", .text("relu"))
        == "lstm_2: the activation tanh of an lstm layer, relu")
    #expect(
      try refusal("layers/3", "activation", .text("leakyrelu"))
        == "tanh_3: the activation tanh or relu, leakyrelu")
    #expect(
      try refusal("layers/2", "reverse_time", .text("True"))
        == "lstm_2: a layer that reads forward, reverse_time")
    #expect(
      try refusal("layers/3/inputs", "1", .text("projection_0"))
        == "tanh_3: a layer that reads the one before, lstm_2, lstm_2, projection_0")
    #expect(
      try refusal("layers/2/devices", "0", .text("dev0"))
        == "lstm_2: weights in one piece, one for each device, dev0")
    #expect(
      try refusal("inputs/0", "type", .text("letter"))
        == "/architecture/inputs/0: an input of words or classes, letter")
    #expect(
      try refusal("layers/2", "type", nil)
        == "/architecture/layers/2: a text attribute type, none")
    #expect(
      try refusal(lstm) { $0["/architecture"]?.attributes["output_layer"] = .text("tanh_3") }
        == "/architecture: a projection, layers, and one softmax that is the output, "
        + "projection_0, lstm_2, tanh_3, softmax_4; output tanh_3")
    #expect(
      try refusal(lstm) { $0["/architecture/inputs/0"] = nil }
        == "/architecture/inputs: one input, 0")
  }

  @Test("A description that contradicts the parameters is refused by the dataset")
  func contradictingDescriptions() throws {
    #expect(
      try refusal("layers/2", "size", .integer(7))
        == "/layers/lstm_2/step_input/W: 7 rows, its size, 4")
    #expect(
      try refusal("layers/2", "type", .text("gru"))
        == "/layers/lstm_2/layer_input/W: shape [5, 12], [5, 16]")
    #expect(
      try refusal("layers/0", "size", .integer(6))
        == "/layers/projection_0/W: shape [11, 6], [11, 5]")
    #expect(
      try refusal(lstm) { $0["/layers/lstm_2/layer_input/b"] = nil }
        == "/layers/lstm_2/layer_input/b: floating-point numbers, nothing")
  }

  /// Classes of several words, and words that are no vocabulary.
  @Test("Classes without words and unreadable vocabularies are refused by the dataset")
  func otherVocabularies() throws {
    func dataset(_ path: String, _ change: @escaping (inout DatasetDescription) -> Void) throws
      -> String?
    {
      try refusal(lstm) { objects in
        guard case .dataset(var dataset)? = objects[path]?.kind else { return }
        change(&dataset)
        objects[path]?.kind = .dataset(dataset)
      }
    }
    let file = try MappedFile(path: lstm)
    let inventory = try Inventory(foreign: .mapped(file, 0..<file.count), name: "x")
    let other = try #require(
      inventory.objects.lazy.compactMap { object -> UInt64? in
        guard object.path == "/iterator/order", case .dataset(let dataset) = object.kind else {
          return nil
        }
        return dataset.offset
      }.first)
    // The words of sentences 0 to 4, one later.
    let later = try dataset("/vocabulary/classes") {
      $0.dimensions = [2]
      $0.offset = other + 8
    }
    #expect(
      later
        == "/vocabulary/classes: classes from 0 on, each with a word, 2 words in classes from 1 to 2"
    )
    let few = try dataset("/vocabulary/classes") { $0.dimensions = [3] }
    #expect(few == "/vocabulary/probs: a number for each of 3 words, f64 of shape [11]")
    #expect(
      try dataset("/vocabulary/classes") { $0.datatype = .element(.float64) }
        == "/vocabulary/classes: i64 or i32 of one dimension, f64 of shape [11]")
    // Other numbers than 1 in the place of the words' shares of their classes.
    let shares = try dataset("/vocabulary/probs") { $0.offset = other }
    #expect(shares?.hasPrefix("/vocabulary/probs: a number for each of 11 words") == true)
    #expect(WordClasses([0, 1, 1], probabilities: [1, 0, 1]) == nil, "a word without a share")
    #expect(WordClasses([0, 2, 2], probabilities: [1, 1, 1]) == nil, "a class without words")
    #expect(WordClasses([0, 0], probabilities: [1e308, 1e308]) == nil, "a sum without a number")
    #expect(
      try refusal(Fixtures.path("theanolm/classes.h5")) { $0["/vocabulary/probs"] = nil }?
        .hasPrefix("/vocabulary/probs: a number for each of 11 words") == true)
    #expect(
      try dataset("/vocabulary/words") { $0.dimensions = [12] }
        == "/vocabulary/words: the words of a vocabulary, what libhdf5 cannot decode (13 texts were read)"
    )
    #expect(
      try dataset("/vocabulary/words") { $0.dimensions = [1 << 40] }
        == "/vocabulary/words: the words of a vocabulary, what libhdf5 cannot decode (more texts, "
        + "1099511627776, than the file has room for)")
    #expect(
      try dataset("/vocabulary/words") { $0.datatype = .other("opaque") }
        == "/vocabulary/words: strings, opaque of shape [13]")
  }

  /// A tanh layer of few rows and many columns would become a square of zeros.
  @Test("A stateless layer that would become a huge matrix of zeros is refused")
  func zeroMatrixLimit() throws {
    func refusal(columns: UInt64) throws -> String? {
      try self.refusal(lstm) { objects in
        let path = "/layers/tanh_3/input/W"
        guard case .dataset(var dataset)? = objects[path]?.kind else { return }
        (dataset.dimensions, dataset.offset) = ([4, columns], 0)
        objects[path]?.kind = .dataset(dataset)
        objects["/architecture/layers/3"]?.attributes["size"] = .integer(Int64(columns))
      }
    }
    // 16 times the file and 32 MiB more are 34.5 MB; 3000 columns want 36 MB of zeros, 2900 want 33.6.
    #expect(
      try refusal(columns: 3000)
        == "/layers/tanh_3/input/W: a layer with as many columns as fit the file, 3000")
    #expect(
      try refusal(columns: 2900) == "/layers/tanh_3/input/b: shape [2900], [6]")
  }

  /// The answer of libhdf5 about a hostile file may be anything.
  @Test(
    "A false description of a TheanoLM file is refused or read, and never traps",
    arguments: 0..<150)
  func falseInventories(seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let path = seed % 2 == 0 ? lstm : gru
    _ = try? refusal(path) { objects in
      var inventory = Inventory(objects: objects.values.sorted { $0.path < $1.path })
      for _ in 0..<Int.random(in: 1...3, using: &generator) { generator.change(&inventory) }
      objects = Dictionary(inventory.objects.map { ($0.path, $0) }) { first, _ in first }
    }
  }
}
