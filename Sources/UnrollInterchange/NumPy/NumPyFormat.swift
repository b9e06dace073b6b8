// Language models in .npz files: arrays under the names of a state_dict, and metadata as text in
// bytes.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// Archives of NumPy arrays; those that Unroll writes include vocabulary and tokenizer.
public enum NumPyFormat: NameWritingFormat {
  /// The name in reports.
  public static let name = "npz"
  /// A linear layer, or the head and the tails of an adaptive softmax.
  public static let outputs = OutputKind.allCases
  /// The extension.
  public static let fileExtensions = ["npz"]

  /// Returns `true` if a file is an archive whose first record is an array, a single array, or a
  /// pickle that names NumPy.
  public static func recognizes(_ file: MappedFile) -> Bool {
    NumPyFile.recognizes(file) || NumPyPickle.recognizes(file)
  }

  static func tensors(of file: MappedFile, options: ReadingOptions) throws -> NamedTensors {
    var named =
      if NumPyPickle.recognizes(file) {
        try NumPyPickle(file).named
      } else { try NumPyFile(file).named }
    _ = try named.normalize(options)
    return named
  }

  /// Converts a language model: an embedding or one-hot input, recurrent layers, a linear output.
  ///
  /// - Throws: `InterchangeError` if the file is damaged, holds another kind of model, or needs
  ///   information that `options` does not give.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    if NumPyPickle.recognizes(file) { return try readPickle(file, options: options) }
    let container = try NumPyFile(file)
    var named = container.named
    let kept = try container.text(StateMetadata.key).map {
      try StateMetadata(json: $0, beside: named)
    }
    if kept != nil { named.tensors.removeAll { $0.name == StateMetadata.key } }
    var conversion = try convert(named, kept: kept, options: options)
    conversion.notes = container.notes + conversion.notes
    return conversion
  }

  /// Converts arrays from a pickle, and the token lists beside them.
  private static func readPickle(
    _ file: MappedFile, options: ReadingOptions
  ) throws -> Conversion {
    let container = try NumPyPickle(file)
    let named = container.named
    var conversion = try convert(named, lists: container.lists, options: options)
    conversion.notes = container.notes + conversion.notes
    return conversion
  }

  private static func convert(
    _ named: NamedTensors, kept: StateMetadata? = nil, lists: [TokenList] = [],
    options: ReadingOptions
  ) throws -> Conversion {
    var (named, options, notes) = (named, options, [Note]())
    if options.map.isEmpty, let classic = ClassicNames(of: named) {
      notes += try classic.apply(to: &named)
      options.nonlinearity = options.nonlinearity ?? .tanh
    }
    notes += try named.normalizeWithMLX(options)
    var conversion = try named.conversion(kept, lists: lists, options: options).conversion
    conversion.notes = notes + conversion.notes
    return conversion
  }

  /// Returns notes on everything but weights, tokens and tokenizer.
  ///
  /// - Throws: `InterchangeError` for tensors that are missing or that the format cannot represent.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    _ = try arrays(of: checkpoint, naming: .wordLanguageModel)
    return checkpoint.exportNotesOfNamedTensors
  }

  static func exportNotes(for checkpoint: Checkpoint, naming: StateNaming) throws -> [Note] {
    _ = try arrays(of: checkpoint, naming: naming)
    return checkpoint.variantsInMetadata + checkpoint.exportNotesBesideWeights
  }

  /// Writes a checkpoint.
  ///
  /// Arrays are stored uncompressed, with the headers of `numpy.save`.
  ///
  /// - Throws: `InterchangeError` for tensors that the format cannot represent, `FileError` if the
  ///   file cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    try write(checkpoint, naming: .wordLanguageModel, to: path, progress: progress)
  }

  static func write(
    _ checkpoint: Checkpoint, naming: StateNaming, to path: String, progress: (Int) -> Void
  ) throws {
    let arrays = try arrays(of: checkpoint, naming: naming)
    let text = Array(StateMetadata(checkpoint, gates: naming.mapped?.gates).json.utf8)
    var archive = try ZipWriter(emptying: path)
    for (name, type, tensor) in arrays {
      try archive.add(
        name + ".npy", header: NPYHeader.bytes(type: type, shape: tensor.shape.dimensions),
        tensor.storage, progress: progress)
    }
    try archive.add(
      StateMetadata.key + ".npy", header: NPYHeader.bytes(type: "|u1", shape: [text.count]),
      .owned(text))
    try archive.finish()
  }

  private static func arrays(
    of checkpoint: Checkpoint, naming: StateNaming
  ) throws -> [(name: String, type: String, tensor: Tensor)] {
    let state = try StateDictionary(checkpoint, allowsVariants: true, naming: naming)
    if naming.mapped != nil { try checkNames(state) }
    return try state.owned.map { entry in
      guard let type = types[entry.tensor.dtype] else {
        throw InterchangeError(
          file: "the checkpoint", place: entry.name, expected: "numbers that NumPy has",
          found: entry.tensor.dtype.rawValue, fix: "give --dtype f32, which holds each of them")
      }
      return (entry.name, type, entry.tensor)
    }
  }

  /// The bytes of a name that an archive has room for: its records end in `.npy`.
  private static let longestName = Int(UInt16.max) - ".npy".utf8.count

  /// Refuses names that are too long for the archive.
  private static func checkNames(_ state: StateDictionary) throws {
    func fail(_ place: String, _ found: String, _ fix: String) -> InterchangeError {
      InterchangeError(
        file: "the checkpoint", place: place, expected: "names that arrays of an archive can have",
        found: found, fix: fix)
    }
    if let entry = state.entries.first(where: { $0.name == StateMetadata.key }) {
      throw fail(
        entry.name, "that of the text beside them", "give the tensor another name in the map")
    }
    if let entry = state.entries.first(where: { $0.name.utf8.count > longestName }) {
      throw fail(
        entry.name, "one of \(entry.name.utf8.count) bytes",
        "give the tensor a name of at most \(longestName) bytes in the map")
    }
    guard state.entries.count == state.storages.count else {
      throw fail(
        "decoder.weight", "a second name for the embedding's array, which is stored once",
        "name decoder.weight like encoder.weight in the map, or give `\"tied\": true` instead")
    }
  }

  private static let types: [DType: String] = [
    .float16: "<f2", .float32: "<f4", .float64: "<f8",
  ]
}

extension NumPyFile {
  /// The arrays by name.
  fileprivate var named: NamedTensors { NamedTensors(file: self, tensors: tensors) }
}

extension NumPyPickle {
  /// The arrays by name.
  fileprivate var named: NamedTensors { NamedTensors(file: self, tensors: tensors) }
}
