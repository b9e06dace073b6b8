// An opened TheanoLM file: its layer descriptions and its words.

import UnrollFormat
import UnrollHDF5
import UnrollTensors
import UnrollTokenization

/// A layer with a computation of its own.
struct TheanoLMLayer {
  /// The computation of a layer.
  enum Kind {
    /// A projection: a row of a matrix for each word.
    case projection
    case recurrent(Cell)
    /// A linear layer and an activation: TheanoLM's `tanh`, also named `fc`.
    case fullyConnected(Activation)
    case softmax
  }

  let kind: Kind
  /// The user's name of the layer; its parameters are below it.
  let name: String
  /// The number of units in the description; `nil` for the output layer.
  let size: Int?

  /// Returns the path of a parameter.
  func path(_ parameter: String) -> String { "/layers/\(name)/\(parameter)" }
}

/// A model file of TheanoLM.
struct TheanoLMFile {
  /// The HDF5 container.
  let container: ForeignContainer
  /// The file.
  let file: MappedFile

  static let fix =
    "a projection of words, lstm, gru and tanh layers one on the other, and a softmax over words are "
    + "converted; nothing else"
  private static let damaged = "the file is damaged, or not TheanoLM's: copy it again"

  /// Opens a file.
  ///
  /// - Throws: `InterchangeError` if libhdf5 cannot read it; `FileError` if libhdf5 cannot be run.
  init(_ file: MappedFile, reader: ContainerReader) throws {
    self.file = file
    container = try .opened(
      .mapped(file, 0..<file.count), of: file, place: "", expected: "an HDF5 file of TheanoLM",
      fix: "copy it again", reader: reader)
  }

  /// Returns an error about a location inside the container.
  func error(
    _ place: String, expected: String, found: String, fix: String = damaged
  ) -> InterchangeError {
    InterchangeError(file: file.path, place: place, expected: expected, found: found, fix: fix)
  }

  // MARK: - Architecture

  /// Returns the layers of `/architecture`, each of which reads the previous one, without dropout.
  ///
  /// - Returns: The layers, `true` if the first one reads the classes of words, and notes on properties that are not preserved.
  /// - Throws: `InterchangeError` naming a part that is missing or cannot be converted.
  func layers() throws -> (layers: [TheanoLMLayer], readsClasses: Bool, notes: [Note]) {
    let architecture = "/architecture"
    let input = try input(architecture)
    var source = input.name
    var layers: [TheanoLMLayer] = []
    var notes: [Note] = []
    for group in numbered("\(architecture)/layers") {
      let name = try text(group, "name")
      try checkReading(group, name: name, source: source)
      let type = try text(group, "type")
      if type == "dropout" {
        // TheanoLM's default rate.
        let rate = container.text(group, "dropout_rate") ?? "0.5"
        notes.append(Note(place: name, message: "not preserved: dropout \(rate)"))
      } else {
        layers.append(
          TheanoLMLayer(kind: try kind(type, group, name), name: name, size: integer(group, "size"))
        )
      }
      source = name
    }
    try checkOrder(layers, output: text(architecture, "output_layer"), last: source)
    return (layers, input.type == "class", notes)
  }

  /// Returns the name of the only input, and its type: `word` or `class`.
  private func input(_ architecture: String) throws -> (name: String, type: String) {
    let inputs = numbered("\(architecture)/inputs")
    guard let input = inputs.first, inputs.count == 1 else {
      throw error(
        "\(architecture)/inputs", expected: "one input", found: "\(inputs.count)", fix: Self.fix)
    }
    let type = try text(input, "type")
    guard ["word", "class"].contains(type) else {
      throw error(input, expected: "an input of words or classes", found: type, fix: Self.fix)
    }
    return (try text(input, "name"), type)
  }

  /// Checks that a layer reads the previous one, forward, with its weights in one piece.
  private func checkReading(_ group: String, name: String, source: String) throws {
    let inputs = texts("\(group)/inputs")
    guard inputs == [source] else {
      throw error(
        name, expected: "a layer that reads the one before, \(source)",
        found: inputs.isEmpty ? "none" : list(inputs),
        fix: Self.fix)
    }
    let devices = texts("\(group)/devices")
    guard devices.isEmpty else {
      throw error(
        name, expected: "weights in one piece", found: "one for each device, \(list(devices))",
        fix: Self.fix)
    }
    guard container.attributes(group)["reverse_time"] == nil else {
      throw error(
        name, expected: "a layer that reads forward", found: "reverse_time", fix: Self.fix)
    }
  }

  private func kind(_ type: String, _ group: String, _ name: String) throws -> TheanoLMLayer.Kind {
    let activation = container.text(group, "activation") ?? "tanh"
    switch type {
    case "projection": return .projection
    case "softmax": return .softmax
    // The stated activation of a GRU is not used by TheanoLM.
    case "gru": return .recurrent(.gru)
    case "lstm":
      guard activation == "tanh" else {
        throw error(
          name, expected: "the activation tanh of an lstm layer", found: activation, fix: Self.fix)
      }
      return .recurrent(.lstm)
    case "tanh", "fc":
      guard let known = Activation(ofRNN: activation) else {
        throw error(
          name, expected: "the activation tanh or relu", found: activation, fix: Self.fix)
      }
      return .fullyConnected(known)
    default:
      throw error(
        name, expected: "layers that a recurrent language model has", found: "a layer \(type)",
        fix: Self.fix)
    }
  }

  private func checkOrder(_ layers: [TheanoLMLayer], output: String, last: String) throws {
    let ranks = layers.map { layer in
      switch layer.kind {
      case .projection: 0
      case .recurrent, .fullyConnected: 1
      case .softmax: 2
      }
    }
    guard ranks == ranks.sorted(), ranks.filter({ $0 == 0 }).count == 1, ranks.contains(1),
      ranks.filter({ $0 == 2 }).count == 1, output == layers.last?.name, output == last
    else {
      throw error(
        "/architecture", expected: "a projection, layers, and one softmax that is the output",
        found: list(layers.map(\.name)) + "; output \(output)", fix: Self.fix)
    }
  }

  // MARK: - Words

  /// Returns the words of the shortlist, which have classes, and notes on the others.
  ///
  /// - Returns: The vocabulary, its classes, and notes.
  /// - Throws: `InterchangeError` if the words or their classes cannot be read.
  func vocabulary() throws -> (vocabulary: Vocabulary, classes: WordClasses, notes: [Note]) {
    let words = try words()
    let classes = try classes()
    let count = classes.classes.count
    guard count <= words.count, Set(words.prefix(count)).count == count else {
      throw error(
        "/vocabulary/words", expected: "\(count) or more words, each once",
        found: "\(words.count), some twice or too few")
    }
    var vocabulary = Vocabulary(tokens: words.prefix(count).map { $0.utf8 }, unit: .word)
    vocabulary.unknownID = vocabulary.id(of: "<unk>")
    vocabulary.beginningOfSentenceID = vocabulary.id(of: "<s>")
    vocabulary.endOfSentenceID = vocabulary.id(of: "</s>")
    guard let unknown = vocabulary.unknownID, vocabulary.beginningOfSentenceID != nil,
      vocabulary.endOfSentenceID != nil
    else {
      throw error(
        "/vocabulary/words", expected: "<s>, </s> and <unk> among \(count) words",
        found: "not all of them")
    }
    var notes: [Note] = []
    if words.count > count {
      notes.append(
        Note(
          place: "/vocabulary",
          message: "not preserved: \(words.count - count) words outside of the shortlist and their "
            + "shares of \(vocabulary.text(of: unknown)): they are read as that, as TheanoLM does "
            + "without --shortlist"))
    }
    if !classes.areWords {
      notes.append(
        Note(
          place: "/vocabulary/classes",
          message:
            "a softmax over \(classes.count) classes is written out as one over \(count) words, which "
            + "has the same probabilities and takes more time and memory"))
    }
    return (vocabulary, classes, notes)
  }

  private func words() throws -> [String] {
    let path = "/vocabulary/words"
    do {
      if let words = try container.texts(path) { return words }
    } catch let failure as ContainerFailure {
      throw failure.error(
        file: file, place: "", expected: "the words of a vocabulary", fix: "copy it again")
    }
    throw error(path, expected: "strings", found: container.description(of: path))
  }

  /// Returns the classes of the words of the shortlist.
  private func classes() throws -> WordClasses {
    let path = "/vocabulary/classes"
    guard let tensor = container.tensor(path), [.int64, .int32].contains(tensor.dtype),
      tensor.shape.rank == 1, tensor.elementCount > 0
    else {
      throw error(
        path, expected: "i64 or i32 of one dimension", found: container.description(of: path))
    }
    let classes = tensor.withUnsafeBytes { bytes in
      tensor.dtype == .int64
        ? bytes.elements(of: Int64.self) { Int($0) } : bytes.elements(of: Int32.self) { Int($0) }
    }
    func found(_ shares: [Double]) throws -> WordClasses {
      if let found = WordClasses(classes, probabilities: shares) { return found }
      throw error(
        path, expected: "classes from 0 on, each with a word",
        found:
          "\(classes.count) words in classes from \(classes.min() ?? 0) to \(classes.max() ?? 0)")
    }
    let equal = try found(Array(repeating: 1, count: classes.count))
    guard container.exists("/vocabulary/probs") || !equal.areWords else { return equal }
    guard let tensor = container.tensor("/vocabulary/probs"), tensor.dtype.isFloat,
      tensor.shape == [classes.count]
    else {
      throw error(
        "/vocabulary/probs", expected: "a number for each of \(classes.count) words",
        found: container.description(of: "/vocabulary/probs"))
    }
    let shares = tensor.doubles
    if let word = shares.firstIndex(where: { !($0 > 0 && $0.isFinite) }) {
      throw error(
        "/vocabulary/probs", expected: "a share above 0 of its class for each word",
        found: "\(shares[word]) for word \(word)",
        fix:
          "TheanoLM gives the word no probability: give it a share, with h5py, or leave it out of the vocabulary"
      )
    }
    return try found(shares)
  }

  // MARK: - Attributes

  private func text(_ path: String, _ attribute: String) throws -> String {
    if let text = container.text(path, attribute) { return text }
    throw error(
      path, expected: "a text attribute \(attribute)",
      found: container.attributes(path)[attribute].map { "\($0)" } ?? "none")
  }

  private func integer(_ path: String, _ attribute: String) -> Int? {
    if case .integer(let value)? = container.attributes(path)[attribute] {
      return Int(exactly: value)
    }
    return nil
  }

  /// Returns a list: attributes 0, 1, ...
  private func texts(_ path: String) -> [String] {
    container.attributes(path).compactMap { name, value -> (Int, String)? in
      guard let number = Int(name), case .text(let text) = value else { return nil }
      return (number, text)
    }.sorted { $0.0 < $1.0 }.map(\.1)
  }

  /// Returns the members of a group whose names are numbers, in numeric order.
  private func numbered(_ group: String) -> [String] {
    container.members(of: group).compactMap { Int($0) }.sorted().map { "\(group)/\($0)" }
  }
}
