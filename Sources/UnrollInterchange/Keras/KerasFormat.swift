// Language models in Keras's native format.

import UnrollFormat
import UnrollHDF5
import UnrollTensors

/// The `.keras` format: an archive of a configuration and an HDF5 file of variables.
public enum KerasFormat: KerasFamily {
  /// The name in reports.
  public static let name = "keras"
  /// The extension.
  public static let fileExtensions = ["keras"]

  /// Returns `true` if a file is an archive that begins with a Keras record.
  public static func recognizes(_ file: MappedFile) -> Bool { KerasFile.isArchive(file) }

  /// Converts a language model: an embedding or one-hot input, SimpleRNN, LSTM or GRU layers, a
  /// Dense output.
  ///
  /// The configuration is parsed as data; no class or function that it names is loaded.
  ///
  /// - Throws: `InterchangeError` if the file is damaged, holds another kind of model, or needs a
  ///   vocabulary that `options` does not give.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    var opened = try KerasFile(archive: file, reader: options.reader)
    if let given = options.configuration { try opened.take(given) }
    return try opened.conversion(options)
  }

  /// Writes a checkpoint for `keras.models.load_model`; the model is compiled if there is an
  /// optimizer.
  ///
  /// Tokens and tokenizer are in a record of their own, which Keras ignores.
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

/// HDF5 files of Keras: `.weights.h5`, and the legacy `.h5` and `.hdf5` of models and of weights,
/// which are only read.
public enum KerasHDF5Format: KerasFamily {
  /// The name in reports.
  public static let name = "keras-h5"
  /// The extension of files of weights.
  public static let fileExtensions = ["weights.h5"]

  /// Returns `true` if a file is HDF5, or the list of a sharded file of weights; checkpoints of
  /// Unroll are detected before.
  public static func recognizes(_ file: MappedFile) -> Bool {
    KerasFile.isHDF5(file) || KerasFile.isListOfShards(file)
  }

  /// Converts a language model; see `KerasFormat.read`.
  ///
  /// Information that a file of weights alone lacks is assumed and noted, unless `options` has its
  /// configuration.
  ///
  /// - Throws: `InterchangeError` if the file is damaged, holds another kind of model, or needs
  ///   information that `options` does not give.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    var opened =
      try KerasFile.isListOfShards(file)
      ? KerasFile(shards: file, reader: options.reader)
      : KerasFile(hdf5: file, reader: options.reader)
    if let given = options.configuration { try opened.take(given) }
    return try opened.conversion(options)
  }

  /// Writes the weights of a checkpoint for `load_weights` of a model with the same layers.
  ///
  /// Configuration, tokens and tokenizer are in datasets of their own, which Keras ignores.
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
  /// Returns the language model of the file.
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
  /// Adopts tokens and tokenizer from a layer of the model, unless the caller gives them.
  mutating func take(_ lookup: KerasLookup, rows: Int) {
    guard vocabulary == nil, let tokens = lookup.vocabulary(rows: rows) else { return }
    vocabulary = tokens
    if let found = lookup.tokenizer { tokenizer = found }
  }
}

/// The shared part of Keras's formats: layers and optimizers.
public protocol KerasFamily: ForeignFormat {}

extension KerasFamily {
  /// `true`: datasets have names that a map can assign.
  public static var hasNames: Bool { true }

  /// Returns the model with one bias where Keras has one, and without features that Keras lacks.
  ///
  /// - Throws: `InterchangeError` if Keras has no layers that compute the model.
  public static func held(_ checkpoint: Checkpoint) throws -> Checkpoint {
    try KerasVariant(checkpoint).checkpoint
  }

  /// Returns notes on everything but weights, tokens, tokenizer and an optimizer that Keras
  /// supports, and on variants of layers that Keras replaces.
  ///
  /// - Throws: `InterchangeError` if Keras has no layers that compute the model.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    let variant = try KerasVariant(checkpoint)
    var rest = checkpoint
    rest.optimizer = nil
    return variant.notes + rest.exportNotesBesideWeights
  }

  /// Refuses a file whose optimizer is not the one that was written.
  ///
  /// - Throws: `InterchangeError` if the optimizers differ.
  public static func check(
    _ written: Checkpoint, isReadAs read: Checkpoint, path: String
  ) throws {
    try written.optimizer?.check(
      isReadAs: read.optimizer, of: written.architecture, path: path, place: "optimizer")
  }
}
