// A checkpoint prepared for inference.

import Synchronization
import UnrollFormat
import UnrollHDF5
import UnrollInterchange
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// An error for log-probabilities that are not finite.
public struct NotFinite: Error, Sendable, CustomStringConvertible {
  /// The model's path.
  public let path: String

  /// The expectation, the finding, and the next step.
  public var description: String {
    """
    \(printable(path)): expected finite log-probabilities; found NaN or infinity
      fix: the weights hold or lead to numbers that are not finite; `unroll validate` checks the file
    """
  }
}

/// Word boundaries that are computed once, by the first thread that needs them.
///
/// A class because copies of a model share it.
private final class BoundaryCache: Sendable {
  private final class Found: Sendable {
    let value: WordBoundaries

    init(_ value: WordBoundaries) { self.value = value }
  }

  private let found = AtomicLazyReference<Found>()

  func value(orFind find: () -> WordBoundaries) -> WordBoundaries {
    (found.load() ?? found.storeIfNil(Found(find()))).value
  }
}

/// A language model: the network and its tokenizer.
public struct LanguageModel: Sendable {
  /// The path of the checkpoint, for messages.
  public let path: String
  /// Turns text into token ids.
  public private(set) var encoder: Encoder
  /// The network; another one where a model adapts.
  var network: RecurrentModel

  /// The number of tokens, V.
  public var vocabularySize: Int { network.architecture.vocabularySize }

  /// The way in which tokens mark the beginnings and ends of words.
  public var wordBoundaries: WordBoundaries { boundaries.value { encoder.wordBoundaries } }
  private let boundaries = BoundaryCache()

  /// Prepares a checkpoint for inference by packing its weights.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - path: Its path, for messages.
  ///   - precision: The compute precision.
  ///   - shortlist: The tokens that have a probability, ascending; `nil` for all. See
  ///     `tokens(ofText:_:)`.
  /// - Throws: `NeuralError` if the weights cannot be packed; `TextError` if the tokenizer is
  ///   unusable.
  public init(
    _ checkpoint: Checkpoint, path: String, precision: Precision = .float32,
    shortlist: [Int32]? = nil
  ) throws {
    self.path = path
    encoder = try Self.encoder(of: checkpoint, path: path)
    network = try RecurrentModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters,
      precision: precision, shortlist: shortlist)
  }

  /// Leaves unknown words out of texts from now on, as a Keras `Tokenizer` without `oov_token`
  /// does.
  ///
  /// - Throws: `TextError` for any other tokenizer.
  public mutating func leaveOutUnknown() throws { try encoder.leaveOutUnknown(path: path) }

  /// Returns notes on weights that a precision rounds to zero: matrices whose rows have a weight
  /// far larger than the others.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - precision: The compute precision.
  /// - Returns: A note for each matrix of which a hundredth of the rows or more is lost.
  public static func precisionNotes(for checkpoint: Checkpoint, in precision: Precision) -> [Note] {
    guard precision == .int8 else { return [] }
    return checkpoint.parameters.paths.compactMap { path in
      guard let tensor = checkpoint.parameters[path], tensor.dtype.isFloat,
        tensor.shape.dimensions.count == 2
      else { return nil }
      let (lost, count) = (tensor.rowsLostInInt8, tensor.shape.dimensions[0])
      guard lost > 0, 100 * lost >= count else { return nil }
      return Note(
        place: path.description,
        message:
          "int8 makes most numbers 0 in \(lost) of \(count) rows, beside one that is more than "
          + "254 times as large: results are not those of f32; bf16 keeps them")
    }
  }

  /// Returns the distinct tokens of a text, ascending: a shortlist for a model to generate from.
  ///
  /// - Parameters:
  ///   - path: A file, plain or gzip, or `-` for standard input.
  ///   - encoder: The model's encoder.
  ///   - progress: Called periodically with the share of the text that was read.
  /// - Returns: Token ids, including those that begin and end sentences.
  /// - Throws: `FileError` or `TextError` if the text cannot be read, is empty, or has words that
  ///   the model cannot encode.
  public static func tokens(
    ofText path: String, _ encoder: Encoder, progress: (Double?) -> Void = { _ in }
  ) throws -> [Int32] {
    let ids = Set(try TrainingText.ids(path: path, encoder: encoder, progress: progress).ids)
    guard !ids.isEmpty else {
      throw TextError(
        path: path, line: nil, expected: "a text with the tokens to draw from", found: "none",
        fix: "give one, such as the text that the model learned from")
    }
    return ids.sorted()
  }

  /// Opens a checkpoint and prepares it for inference.
  ///
  /// - Parameters:
  ///   - path: The checkpoint.
  ///   - reader: Runs libhdf5, by default in this process. See `ContainerReader.inProcess`.
  ///   - precision: The compute precision.
  /// - Throws: `FileError` or `InvalidCheckpoint` if it cannot be opened; the errors of
  ///   `init(_:path:precision:)`.
  public init(
    contentsOf path: String, reader: ContainerReader = .inProcess, precision: Precision = .float32
  ) throws {
    try self.init(
      Checkpoint(contentsOf: path, reader: reader), path: path, precision: precision)
  }

  /// Returns the encoder of a checkpoint, from text to token ids.
  ///
  /// - Throws: `TextError` if the tokenizer needs a token that the vocabulary lacks, or if this
  ///   version does not support the tokenizer.
  public static func encoder(of checkpoint: Checkpoint, path: String) throws -> Encoder {
    try Encoder(vocabulary: checkpoint.vocabulary, tokenizer: checkpoint.tokenizer, path: path)
  }
}
