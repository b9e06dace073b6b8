// Language models in Keras's native format.

import UnrollFormat
import UnrollTensors

/// `.keras`: an archive of a configuration and an HDF5 file of variables.
public enum KerasFormat: KerasFamily {
  /// The name in reports.
  public static let name = "keras"
  /// The extension.
  public static let fileExtensions = ["keras"]

  /// Whether a file is an archive that begins with a record of Keras's.
  public static func recognizes(_ file: MappedFile) -> Bool { KerasFile.isArchive(file) }

  /// Converts a language model: an embedding or one-hot input, SimpleRNN, LSTM or GRU layers, a Dense
  /// output.
  ///
  /// The configuration is read as data; no class or function that it names is ever looked for.
  ///
  /// - Throws: `InterchangeError` if the file is damaged, holds another kind of model, or needs a
  ///   vocabulary that `options` does not give.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    var opened = try KerasFile(archive: file, reader: options.reader)
    if let given = options.configuration { try opened.take(given) }
    return try opened.conversion(options)
  }

  /// Writes a checkpoint; `keras.models.load_model` opens it, compiled if there is an optimizer.
  ///
  /// Tokens and tokenizer are in a record of their own, which Keras passes over.
  ///
  /// - Throws: `InterchangeError` if Keras has no layers that compute the model; `FileError` or
  ///   `HDF5Error` if the file cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    let model = try KerasWriter(checkpoint)
    // Each byte is written twice, to the container and with it to the archive.
    func half(_ count: Int) { progress(count / 2) }
    let weights = try ForeignContainer.image(of: model.datasets, beside: path, progress: half)
    var archive = try ZipWriter(emptying: path)
    try archive.add(KerasFile.Record.metadata, text: KerasWriter.metadata)
    try archive.add(KerasFile.Record.configuration, text: model.configuration)
    try archive.add(
      KerasFile.Record.weights, .mapped(weights, 0..<weights.count), progress: half)
    try archive.add(
      KerasFile.Record.kept, text: StateMetadata(besideConfigurationOf: checkpoint).json)
    try archive.finish()
  }
}

/// HDF5 files of Keras: `.weights.h5`, and the legacy `.h5` and `.hdf5` of models and of weights, which
/// are read only.
public enum KerasHDF5Format: KerasFamily {
  /// The name in reports.
  public static let name = "keras-h5"
  /// The extension of files of weights.
  public static let fileExtensions = ["weights.h5"]

  /// Whether a file is HDF5, or the list of several with weights; checkpoints of Unroll are told apart before.
  public static func recognizes(_ file: MappedFile) -> Bool {
    KerasFile.isHDF5(file) || KerasFile.isListOfShards(file)
  }

  /// Converts a language model; see `KerasFormat.read`.
  ///
  /// What a file of weights alone does not say is assumed and noted, unless `options` has its
  /// configuration.
  ///
  /// - Throws: `InterchangeError` if the file is damaged, holds another kind of model, or needs what
  ///   `options` does not give.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    var opened =
      try KerasFile.isListOfShards(file)
      ? KerasFile(shards: file, reader: options.reader)
      : KerasFile(hdf5: file, reader: options.reader)
    if let given = options.configuration { try opened.take(given) }
    return try opened.conversion(options)
  }

  /// Writes the weights of a checkpoint; `load_weights` of a model of the same layers reads them.
  ///
  /// The configuration, tokens and tokenizer are in datasets of their own, which Keras passes over.
  ///
  /// - Throws: `InterchangeError` if Keras has no layers that compute the model; `HDF5Error` if the file
  ///   cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    let model = try KerasWriter(checkpoint)
    let metadata = StateMetadata(besideConfigurationOf: checkpoint).json
    try ForeignContainer.write(
      model.datasets + [
        (KerasFile.KeptDataset.configuration, Tensor(Array(model.configuration.utf8))),
        (KerasFile.KeptDataset.metadata, Tensor(Array(metadata.utf8))),
      ], to: path, progress: progress)
  }
}

extension KerasFile {
  /// The language model in the file.
  func conversion(_ options: ReadingOptions) throws -> Conversion {
    var language = try KerasLanguageModel(self, options)
    let rows = language.architecture.vocabularySize
    var options = options
    if let lookup = language.lookup { options.take(lookup, rows: rows) }
    if let kept {
      let metadata = try StateMetadata(json: kept, rows: rows) {
        self.error($0, expected: $1, found: $2, fix: $3)
      }
      if metadata.isTied { language.tie() }
      options.take(metadata)
    }
    let vocabulary = try options.vocabulary(ofRows: rows, in: "the output layer") {
      self.error($0, expected: $1, found: $2, fix: $3)
    }
    var conversion = Conversion(
      checkpoint: Checkpoint(
        architecture: language.architecture, parameters: language.parameters,
        vocabulary: vocabulary, tokenizer: options.tokenizer, provenance: [],
        optimizer: language.optimizer),
      notes: language.notes, settlement: language.settlement)
    conversion.window = language.window
    return conversion
  }
}

extension ReadingOptions {
  /// Takes tokens, and how texts are cut, from a layer of the model, where the caller gives none.
  fileprivate mutating func take(_ lookup: KerasLookup, rows: Int) {
    guard vocabulary == nil, let tokens = lookup.vocabulary(rows: rows) else { return }
    vocabulary = tokens
    if let found = lookup.tokenizer { tokenizer = found }
  }
}

/// What Keras's formats have in common: the same layers and optimizers.
public protocol KerasFamily: ForeignFormat {}

extension KerasFamily {
  /// Datasets have names that a map may give.
  public static var hasNames: Bool { true }

  /// The model with one bias where Keras has one, and without what Keras has no layers for.
  ///
  /// - Throws: `InterchangeError` if Keras has no layers that compute the model.
  public static func held(_ checkpoint: Checkpoint) throws -> Checkpoint {
    try KerasVariant(checkpoint).checkpoint
  }

  /// What is neither weights, tokens, tokenizer nor an optimizer that Keras has, and what Keras has in
  /// another variant.
  ///
  /// - Throws: `InterchangeError` if Keras has no layers that compute the model.
  public static func losses(of checkpoint: Checkpoint) throws -> [Note] {
    let variant = try KerasVariant(checkpoint)
    var rest = checkpoint
    rest.optimizer = nil
    return variant.notes + rest.lossesBesideWeights
  }

  /// Refuses a file whose optimizer is not the one that was written.
  ///
  /// - Throws: `InterchangeError` if so.
  public static func check(
    _ written: Checkpoint, isReadAs read: Checkpoint, path: String
  ) throws {
    try written.optimizer?.check(
      isReadAs: read.optimizer, of: written.architecture, path: path, place: "optimizer")
  }
}
