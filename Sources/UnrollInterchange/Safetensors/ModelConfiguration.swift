// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Reads the `config.json` beside weights, with the keys of the programs that write such files.

import Foundation
import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// The properties of a recurrent language model in a configuration; other keys are ignored.
struct ModelConfiguration {
  /// A value, and its key.
  struct Entry<Value: Equatable> {
    let key: String
    let value: Value
  }

  /// The name of the file.
  let name: String
  let cell: Entry<Cell>?
  let activation: Entry<Activation>?
  let vocabularySize: Entry<Int>?
  let embeddingSize: Entry<Int>?
  /// One size for all layers, or one for each.
  let hiddenSizes: Entry<[Int]>?
  let layerCount: Entry<Int>?
  let isTied: Entry<Bool>?
  /// `true` if the reset gate of a GRU is applied after the product.
  let resetsAfter: Entry<Bool>?

  /// The keys of word_language_model and AWD-LSTM (`emsize`, ...), fastai (`emb_sz`, ...), Keras
  /// and Hugging Face's configurations, by property.
  private enum Keys {
    static let cell = ["model_type", "rnn_type", "cell_type", "cell", "model"]
    static let activation = ["nonlinearity", "activation"]
    static let vocabularySize = ["vocab_size", "vocabulary_size", "ntoken", "ntokens", "vocab_sz"]
    static let embeddingSize = [
      "embedding_size", "embedding_dim", "embed_dim", "emsize", "emb_size", "emb_sz", "ninp",
    ]
    static let hiddenSizes = ["hidden_size", "hidden_dim", "nhid", "n_hid"]
    static let layerCount = ["num_hidden_layers", "num_layers", "nlayers", "n_layers"]
    static let isTied = ["tie_word_embeddings", "tie_weights", "tied"]
    static let resetsAfter = ["reset_after"]
  }

  /// The maximum size of the file in bytes.
  private static let longest = 1 << 20

  /// Reads a configuration.
  ///
  /// - Throws: `InterchangeError` if it is not a JSON object, or contradicts itself.
  init(_ file: MappedFile) throws {
    func fail(_ place: String, _ expected: String, _ found: String) -> InterchangeError {
      InterchangeError(
        file: file.path, place: place, expected: expected, found: found,
        fix: "mend it, or keep the weights in a folder without it")
    }
    guard file.count <= Self.longest else {
      throw fail("", "at most \(Self.longest) bytes", "\(file.count)")
    }
    guard let root = try? JSONValue(file.copy(0..<file.count)), root.members != nil else {
      throw fail("", "a JSON object", "something else")
    }
    /// Returns the first of several equal entries.
    func agreed<Value>(_ entries: [Entry<Value>]) throws -> Entry<Value>? {
      guard let first = entries.first else { return nil }
      if let other = entries.first(where: { $0.value != first.value }) {
        throw fail(other.key, "\(first.value), as \(first.key) says", "\(other.value)")
      }
      return first
    }
    func entry<Value>(
      _ keys: [String], _ expected: String, _ read: (JSONValue) -> Value?
    ) throws -> Entry<Value>? {
      try agreed(
        keys.compactMap { key in
          guard let member = root[key] else { return nil }
          guard let value = read(member) else { throw fail(key, expected, "another value") }
          return Entry(key: key, value: value)
        })
    }
    for (key, value) in root.members ?? [] {
      let name = String(decoding: key, as: UTF8.self)
      guard let value = SettingValue(value), let meaning = ModelSetting.meaning(of: name, value)
      else { continue }
      throw fail(
        name, "a language model of embedding, recurrent layers and output",
        "\(meaning) (\(name) is \(value))")
    }
    name = URL(filePath: file.path).lastPathComponent
    // Other words are names of other models, or custom names.
    let words = Keys.cell.compactMap { key in
      root[key]?.text.flatMap { Self.cells[$0.lowercased()] }.map { (key: key, word: $0) }
    }
    cell = try agreed(words.map { Entry(key: $0.key, value: $0.word.cell) })
    activation = try agreed(
      words.compactMap { key, word in word.activation.map { Entry(key: key, value: $0) } }
        + Keys.activation.compactMap { key in
          root[key]?.text.flatMap(Activation.init(ofRNN:)).map { Entry(key: key, value: $0) }
        })
    vocabularySize = try entry(Keys.vocabularySize, "a number of tokens", \.int)
    embeddingSize = try entry(Keys.embeddingSize, "a width", \.int)
    hiddenSizes = try entry(Keys.hiddenSizes, "a width, or one for each layer") { value in
      let sizes = value.array?.compactMap(\.int) ?? value.int.map { [$0] }
      return sizes?.count == value.array?.count ?? 1 ? sizes : nil
    }
    layerCount = try entry(Keys.layerCount, "a number of layers", \.int)
    isTied = try entry(Keys.isTied, "true or false", \.bool)
    resetsAfter = try entry(Keys.resetsAfter, "true or false", \.bool)
  }

  /// A word that names a cell.
  private struct Word {
    let cell: Cell
    var activation: Activation?
  }

  private static let cells = [
    "lstm": Word(cell: .lstm), "gru": Word(cell: .gru), "rnn": Word(cell: .rnn),
    "rnn_tanh": Word(cell: .rnn, activation: .tanh),
    "rnn_relu": Word(cell: .rnn, activation: .relu),
  ]

  /// `true` if nothing in it describes a recurrent language model.
  var isEmpty: Bool {
    cell == nil && activation == nil && vocabularySize == nil && embeddingSize == nil
      && hiddenSizes == nil
      && layerCount == nil && isTied == nil && resetsAfter == nil
  }

  // MARK: - Properties that names and shapes do not determine

  /// Returns the activation of vanilla RNN cells.
  ///
  /// - Throws: `InterchangeError` if the caller requests another one.
  func nonlinearity(_ asked: Activation?, file: any TensorContainer) throws -> Activation? {
    guard let activation else { return asked }
    if let asked, asked != activation.value {
      throw contradiction(
        "--nonlinearity", asked.rawValue, activation.key, activation.value.rawValue, file)
    }
    return activation.value
  }

  /// Applies the properties that tensors do not determine to an architecture.
  ///
  /// - Returns: The architecture.
  /// - Throws: `InterchangeError` if the configuration contradicts the tensors.
  func applied(
    to architecture: Architecture, file: any TensorContainer
  ) throws -> Architecture {
    try check(architecture, file: file)
    var result = architecture
    if let resetsAfter, !resetsAfter.value {
      for index in result.layers.indices where result.layers[index].cell == .gru {
        result.layers[index].reset = .before
      }
    }
    return result
  }

  private func check(_ architecture: Architecture, file: any TensorContainer) throws {
    func compare<Value: Equatable>(
      _ entry: Entry<Value>?, _ value: Value, _ what: String, _ text: (Value) -> String
    ) throws {
      guard let entry, entry.value != value else { return }
      throw contradiction(what, text(value), entry.key, text(entry.value), file)
    }
    let layers = architecture.layers
    for layer in layers { try compare(cell, layer.cell, "the recurrent layers", \.rawValue) }
    try compare(vocabularySize, architecture.vocabularySize, "the output's rows") { "\($0)" }
    if architecture.input == .embedding {
      try compare(embeddingSize, architecture.embeddingSize, "the embedding's columns") { "\($0)" }
    }
    try compare(layerCount, layers.count, "the number of recurrent layers") { "\($0)" }
    if let sizes = hiddenSizes, let first = layers.first {
      let isList = sizes.value.count > 1
      // AWD-LSTM's last layer has the size of the embedding that it is tied to.
      if isList || layers.count > 1 || !architecture.isTied {
        try compare(
          sizes, isList ? layers.map(\.hiddenSize) : [first.hiddenSize],
          isList ? "the widths of the layers" : "the width of the first layer"
        ) { $0.map(String.init).joined(separator: ", ") }
      }
    }
    if architecture.isTied { try compare(isTied, true, "tied weights") { "\($0)" } }
  }

  /// Returns an error about two contradictory sources.
  func contradiction(
    _ what: String, _ value: String, _ key: String, _ said: String, _ file: any TensorContainer
  ) -> InterchangeError {
    file.error(
      what, expected: "\(said), as \(key) of \(name) beside the file says", found: value,
      fix: "the two are not of one model: keep the weights in a folder with their own \(name), or "
        + "without one")
  }
}

extension ModelConfiguration {
  /// The note that the configuration was used.
  var note: Note {
    Note(
      place: name,
      message: isEmpty
        ? "says nothing of a recurrent language model" : "describes the model of these tensors",
      isHarmless: true)
  }
}

// MARK: - Ties

extension NamedTensors {
  /// Lists a tied weight that is stored once under its other name, too.
  mutating func addTie() throws {
    let recurrent = try RecurrentStack(in: self).names
    let rest = tensors.filter { !recurrent.contains($0.name) }
    let matrices = rest.filter { $0.tensor.shape.rank == 2 }
    guard matrices.count == 1, let weight = matrices.first else { return }
    let bias = rest.first { $0.tensor.shape.rank == 1 && $0.name.hasSuffix(".bias") }
    let output = bias.map { $0.name.dropLast("bias".count) + "weight" } ?? "decoder.weight"
    let isOutput =
      weight.name == output || !EmbeddingAndOutput.isEmbedding(weight.name, model: self)
    tensors.append(
      NamedTensor(
        name: isOutput ? "encoder.weight" : output, fileName: weight.fileName,
        tensor: weight.tensor,
        recipe: weight.recipe))
  }
}

extension Conversion {
  /// Ties two weights that a configuration declares to be one.
  ///
  /// - Throws: `InterchangeError` if their values differ.
  mutating func tie(by configuration: ModelConfiguration, file: any TensorContainer) throws {
    guard let isTied = configuration.isTied, isTied.value, !checkpoint.architecture.isTied
    else { return }
    let (embedding, output) = (
      checkpoint.parameters[.embeddingWeight], checkpoint.parameters[.outputWeight]
    )
    guard let embedding, let output, embedding.isEqual(to: output, progress: { _ in }) else {
      throw configuration.contradiction(
        "tied weights", "two of other numbers", isTied.key, "true", file)
    }
    checkpoint.architecture.isTied = true
    checkpoint.parameters[.outputWeight] = nil
  }
}

extension SettingValue {
  /// A value of JSON; `nil` for one that sets nothing by itself.
  fileprivate init?(_ value: JSONValue) {
    switch value {
    case .bool(let flag): self = .bool(flag)
    case .number(let number): self = .number(number)
    case .string: self = .text(value.text ?? "")
    case .null, .array, .object: return nil
    }
  }
}
