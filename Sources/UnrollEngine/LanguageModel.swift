// A checkpoint that is ready to run.

import Synchronization
import UnrollFormat
import UnrollInterchange
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// A model whose log-probabilities are not numbers.
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

/// Word boundaries that are found once, by the first thread that needs them.
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

/// A language model: the network and the tokens that it speaks.
public struct LanguageModel: Sendable {
  /// The path that it came from, for messages.
  public let path: String
  /// Turns text into token ids.
  public private(set) var encoder: Encoder
  let network: RecurrentModel

  /// The number of tokens, V.
  public var vocabularySize: Int { network.architecture.vocabularySize }

  /// The way in which tokens show where words begin and end.
  public var wordBoundaries: WordBoundaries { boundaries.value { encoder.wordBoundaries } }
  private let boundaries = BoundaryCache()

  /// Makes a checkpoint ready to run: packs its weights.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - path: Its path, for messages.
  ///   - precision: The type of the factors of products.
  ///   - shortlist: The tokens that have a probability, ascending; `nil` for all. See `tokens(ofText:_:)`.
  /// - Throws: `NeuralError` if the weights cannot be packed; `TextError` if the tokenizer
  ///   cannot be used.
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

  /// Leaves unknown words out of texts from here on, as a `Tokenizer` of Keras without `oov_token` does.
  ///
  /// - Throws: `TextError` if the model's tokenizer is another.
  public mutating func leaveOutUnknown() throws { try encoder.leaveOutUnknown(path: path) }

  /// Notes on numbers that a precision loses: matrices whose rows have a weight far larger than the others.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - precision: The type of the factors of products.
  /// - Returns: A note for each matrix of which a hundredth of the rows or more is lost.
  public static func losses(of checkpoint: Checkpoint, in precision: Precision) -> [Note] {
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

  /// The tokens that a text has, each once, ascending: a shortlist for a model to generate from.
  ///
  /// - Parameters:
  ///   - path: A file, plain or gzip, or `-` for standard input.
  ///   - encoder: The model's.
  ///   - progress: Called now and then with the share that was read.
  /// - Returns: Token ids, with those that begin and end its sentences.
  /// - Throws: `FileError` or `TextError` if the text cannot be read, is empty, or has words that the model
  ///   cannot take.
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

  /// Opens a checkpoint and makes it ready to run.
  ///
  /// - Parameters:
  ///   - path: The checkpoint.
  ///   - reader: Runs libhdf5; in this process unless told. See `ContainerReader.inProcess`.
  ///   - precision: The type of the factors of products.
  /// - Throws: `FileError` or `InvalidCheckpoint` if it cannot be opened; what
  ///   `init(_:path:precision:)` throws.
  public init(
    contentsOf path: String, reader: ContainerReader = .inProcess, precision: Precision = .float32
  ) throws {
    try self.init(
      Checkpoint(contentsOf: path, reader: reader), path: path, precision: precision)
  }

  /// The encoder of a checkpoint: text to token ids.
  ///
  /// - Throws: `TextError` if the tokenizer needs a token that the vocabulary lacks, or is one that
  ///   this version does not have.
  public static func encoder(of checkpoint: Checkpoint, path: String) throws -> Encoder {
    try Encoder(vocabulary: checkpoint.vocabulary, tokenizer: checkpoint.tokenizer, path: path)
  }
}
