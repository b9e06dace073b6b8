// Writes language models as torch.save writes a state_dict.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

extension PyTorchFormat {
  /// The usual extensions of PyTorch.
  public static let fileExtensions = ["pt", "pth"]

  /// Returns notes on everything but the weights: a state_dict consists of named tensors.
  ///
  /// - Throws: `InterchangeError` for tensors that are missing or that a state_dict cannot
  ///   represent.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    let single = checkpoint.architecture.layers.indices.filter {
      checkpoint.architecture.layers[$0].bias == .single
    }
    let notes = single.map { index in
      Note(
        place: ParameterPath.layer(index, .bias).description,
        message: "a second bias of zeros is written beside it: PyTorch's modules have two")
    }
    return notes
      + (try exportNotes(for: checkpoint.withTwoBiases, naming: .wordLanguageModel))
  }

  /// Returns the model with the two biases of PyTorch's modules, which computes the same function.
  public static func held(_ checkpoint: Checkpoint) -> Checkpoint { checkpoint.withTwoBiases }

  /// Returns notes on everything but the weights, under a program's names.
  ///
  /// - Throws: `InterchangeError` for tensors that are missing or that the program does not
  ///   support.
  static func exportNotes(for checkpoint: Checkpoint, naming: StateNaming) throws -> [Note] {
    _ = try StateDictionary(checkpoint, naming: naming)
    let notes = lostParts(of: checkpoint)
    return switch naming {
    case .wordLanguageModel:
      notes + moduleNotes(on: checkpoint.architecture)
        + activationNotes(on: checkpoint.architecture)
    case .mapped: notes + activationNotes(on: checkpoint.architecture)
    case .awdLSTM, .fastai, .reinvent: notes
    }
  }

  /// Writes a state_dict in the container of torch.save.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - path: An existing file, which is overwritten.
  ///   - progress: Called with the number of bytes of tensors written since the last call.
  /// - Throws: `InterchangeError` for tensors that a state_dict cannot represent, `FileError` if
  ///   the file cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    try write(
      checkpoint.withTwoBiases, naming: .wordLanguageModel, to: path, progress: progress)
  }

  /// Writes a state_dict under a program's names.
  ///
  /// - Throws: `InterchangeError` for tensors that the program does not support, `FileError` if the
  ///   file cannot be written.
  static func write(
    _ checkpoint: Checkpoint, naming: StateNaming, to path: String, progress: (Int) -> Void
  ) throws {
    let state = try StateDictionary(checkpoint, naming: naming)
    try write(pickle: state.pickle, state.storages, to: path, progress: progress)
  }

  /// Writes the container of torch.save.
  ///
  /// - Parameters:
  ///   - pickle: The pickle of the value.
  ///   - storages: Its storages, in the order of their keys.
  ///   - path: An existing file, which is overwritten.
  ///   - progress: Called with the number of bytes of tensors written since the last call.
  /// - Throws: `FileError` if the file cannot be written.
  static func write(
    pickle: [UInt8], _ storages: [Tensor], to path: String, progress: (Int) -> Void
  ) throws {
    var archive = try ZipWriter(emptying: path)
    try archive.add("archive/data.pkl", .owned(pickle))
    try archive.add("archive/.format_version", text: "1")
    try archive.add("archive/.storage_alignment", text: "64")
    try archive.add("archive/byteorder", text: "little")
    for (key, tensor) in storages.enumerated() {
      try archive.add("archive/data/\(key)", tensor.storage, progress: progress)
    }
    try archive.add("archive/version", text: "3\n")
    let id = serializationID(of: archive.entries)
    try archive.add("archive/.data/serialization_id", text: id)
    try archive.finish()
  }

  /// Returns a content id of 40 digits: 20 for the names of the records, 20 for their bytes.
  ///
  /// The second half equals PyTorch's. PyTorch's first half depends on the hash function of the C++
  /// library and on the order of a hash table, so it differs between builds; here it is computed
  /// like the second, from the CRC-32s of the names.
  private static func serializationID(of entries: [ZipEntry]) -> String {
    func digits(_ values: [UInt32]) -> String {
      let combined = values.reduce(0 as UInt64) { seed, value in
        seed ^ (UInt64(value) &+ 0x9E37_79B9 &+ (seed << 6) &+ (seed >> 2))
      }
      return String(repeating: "0", count: 20 - "\(combined)".count) + "\(combined)"
    }
    return digits(entries.map { ZipWriter.checksum(of: $0.name) })
      + digits(entries.map(\.checksum))
  }

  // MARK: - Properties that are not preserved

  private static func lostParts(of checkpoint: Checkpoint) -> [Note] {
    let vocabulary = checkpoint.vocabulary
    var notes = [
      Note(
        place: Layout.vocabulary,
        message:
          "not preserved: \(vocabulary.count) tokens; `--write-vocabulary FILE` writes the list "
          + "that `unroll convert --vocabulary FILE` reads", lostPart: .tokens)
    ]
    let special = [
      ("end of sentence", vocabulary.endOfSentenceID, Vocabulary.endOfSentence),
      ("unknown words", vocabulary.unknownID, Vocabulary.unknown),
    ]
    for (role, id, name) in special where id != vocabulary.id(of: name) {
      let token = id.map { vocabulary.text(of: $0) } ?? "none"
      notes.append(
        Note(
          place: Layout.vocabulary,
          message: "not preserved, nor in the list: the token for \(role) is \(token), not \(name)")
      )
    }
    func lose(_ place: String, _ what: String) {
      notes.append(Note(place: place, message: "not preserved: \(what)"))
    }
    lose(Layout.tokenizer, "how text becomes tokens (\(checkpoint.tokenizer.kind.rawValue))")
    return notes + checkpoint.exportNotesBesideWeights
  }

  /// Returns notes on stacks of layers that no single module can represent.
  private static func moduleNotes(on architecture: Architecture) -> [Note] {
    guard !StateNaming.isOneModule(architecture) else { return [] }
    return [
      Note(
        place: Layout.layers,
        message: "the layers differ, so each is a module of its own, rnns.0 to "
          + "rnns.\(architecture.layers.count - 1); they follow one another in this order")
    ]
  }

  /// Returns notes on properties of recurrent layers that the names of a state_dict do not
  /// determine.
  private static func activationNotes(on architecture: Architecture) -> [Note] {
    var notes: [Note] = []
    let activations = architecture.plainActivations
    if activations.count == 1, let activation = activations.first {
      notes.append(
        Note(
          place: Layout.layers,
          message:
            "not preserved: the activation \(activation.rawValue) of vanilla RNN layers; to "
            + "convert back, `--nonlinearity \(activation.rawValue)`"))
    } else if activations.count > 1 {
      notes.append(
        Note(
          place: Layout.layers,
          message:
            "not preserved: the activations of vanilla RNN layers, of which some are tanh and "
            + "some relu; no option of `unroll convert` says that on the way back"))
    }
    return notes
  }
}

extension Checkpoint {
  /// The model with each single bias of a layer replaced by `bias_ih` and a zero `bias_hh`.
  fileprivate var withTwoBiases: Checkpoint {
    var result = self
    for (index, layer) in architecture.layers.enumerated() where layer.bias == .single {
      guard let bias = parameters[.layer(index, .bias)] else { continue }
      result.parameters[.layer(index, .biasIH)] = bias
      result.parameters[.layer(index, .biasHH)] = Tensor(
        shape: bias.shape, dtype: bias.dtype,
        storage: .owned([UInt8](repeating: 0, count: bias.storage.count)))
      result.parameters[.layer(index, .bias)] = nil
      result.architecture.layers[index].bias = .double
    }
    return result
  }
}
