// Language models in Keras's native format.

import UnrollFormat
import UnrollTensors

/// `.keras`: an archive of a configuration and an HDF5 file of variables.
public enum KerasFormat: ForeignFormat {
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
    try KerasFile(archive: file, reader: options.reader).conversion(options)
  }

  public static func losses(of checkpoint: Checkpoint) throws -> [Note] { [] }
  public static func write(_ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void)
    throws
  {
  }
}

/// HDF5 files of Keras: `.weights.h5`, and the legacy `.h5` and `.hdf5` of models and of weights, which
/// are read only.
public enum KerasHDF5Format: ForeignFormat {
  /// The name in reports.
  public static let name = "keras-h5"
  /// The extension of files of weights.
  public static let fileExtensions = ["weights.h5"]

  /// Whether a file is HDF5; checkpoints of Unroll are told apart before.
  public static func recognizes(_ file: MappedFile) -> Bool { KerasFile.isHDF5(file) }

  /// Converts a language model; see `KerasFormat.read`.
  ///
  /// What a file of weights alone does not say is assumed and noted.
  ///
  /// - Throws: `InterchangeError` if the file is damaged, holds another kind of model, or needs what
  ///   `options` does not give.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    try KerasFile(hdf5: file, reader: options.reader).conversion(options)
  }

  public static func losses(of checkpoint: Checkpoint) throws -> [Note] { [] }
  public static func write(_ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void)
    throws
  {
  }
}

extension KerasFile {
  /// The language model in the file.
  func conversion(_ options: ReadingOptions) throws -> Conversion {
    let language = try KerasLanguageModel(self, nonlinearity: options.nonlinearity)
    let rows = language.architecture.vocabularySize
    var options = options
    if options.vocabulary == nil, let kept {
      let metadata = try StateMetadata(json: kept, rows: rows) {
        self.error($0, expected: $1, found: $2, fix: $3)
      }
      (options.vocabulary, options.tokenizer) = (metadata.vocabulary, metadata.tokenizer)
    }
    let vocabulary = try options.vocabulary(
      ofRows: rows, in: "the output layer",
      error: { self.error($0, expected: $1, found: $2, fix: $3) })
    return Conversion(
      checkpoint: Checkpoint(
        architecture: language.architecture, parameters: language.parameters,
        vocabulary: vocabulary, tokenizer: options.tokenizer, provenance: []),
      notes: language.notes)
  }
}
