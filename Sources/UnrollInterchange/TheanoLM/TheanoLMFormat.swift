// Language models of TheanoLM: HDF5 files with vocabulary, architecture and parameters.

import UnrollFormat
import UnrollHDF5
import UnrollTensors
import UnrollTokenization

/// HDF5 files of TheanoLM, which are only read.
public enum TheanoLMFormat: ForeignFormat {
  /// The name in reports.
  public static let name = "theanolm"
  /// Empty: TheanoLM's files are named `.h5`, like others.
  public static let fileExtensions: [String] = []
  /// `false`: these models are only read.
  public static let isWritten = false

  /// Returns `false`: the first bytes are those of any HDF5 file.
  ///
  /// The content decides; see `AllFormats.format(of:reader:)`.
  public static func recognizes(_ file: MappedFile) -> Bool { false }

  /// Returns `true` if an HDF5 file is TheanoLM's, by its groups.
  static func recognizes(_ container: ForeignContainer) -> Bool {
    ["/architecture", "/vocabulary", "/layers"].allSatisfy(container.exists)
  }

  /// Converts a language model: a projection of words, a stack of lstm, gru and tanh layers, and a
  /// softmax.
  ///
  /// - Throws: `InterchangeError` if the file is damaged, or naming the layer or the vocabulary
  ///   that cannot be converted.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    let opened = try TheanoLMFile(file, reader: options.reader)
    let (layers, readsClasses, layerNotes) = try opened.layers()
    let words = try opened.vocabulary()
    let settlement = try opened.settled(with: layers, ignoring: options.ignored)
    let model = try TheanoLMLanguageModel(
      opened, layers, words.classes, readsClasses: readsClasses)
    var options = options
    if options.vocabulary == nil {
      options.vocabulary = words.vocabulary
      options.tokenizer = Tokenizer(sentenceStart: .bos)
    }
    let vocabulary = try options.vocabulary(ofRows: words.vocabulary.count, in: "/vocabulary") {
      opened.error($0, expected: $1, found: $2, fix: $3)
    }
    return Conversion(
      checkpoint: Checkpoint(
        architecture: model.architecture, parameters: model.parameters, vocabulary: vocabulary,
        tokenizer: options.tokenizer, provenance: []),
      notes: layerNotes + model.notes + words.notes, settlement: settlement)
  }
}
