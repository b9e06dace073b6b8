// What every foreign format offers: reading, and writing with its losses told first.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// A format that models live in elsewhere and that converts to `Checkpoint`.
public protocol ForeignFormat: Sendable {
  /// The name in reports, such as `pytorch`.
  static var name: String { get }

  /// Whether a file looks like this format, by its content; its name does not matter.
  ///
  /// True for damaged and unsupported files of the format too: `read` says what is wrong with them.
  static func recognizes(_ file: MappedFile) -> Bool

  /// Converts a file.
  ///
  /// - Throws: `InterchangeError` if the file cannot be converted without loss of its meaning.
  static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion

  /// Whether it is a format of its own to read, not another name for one.
  static var isRead: Bool { get }

  /// Whether models are written in this format.
  static var isWritten: Bool { get }

  /// `true` if its tensors have names that the caller may give roles by `ReadingOptions.map`.
  static var hasNames: Bool { get }

  /// The extensions by which a file to be written is known as one of this format, without dots.
  static var fileExtensions: [String] { get }

  /// The model as a file of this format holds it: the same for most formats, else one that computes the
  /// same function, but for rounding, in the format's variants. What `losses` notes.
  ///
  /// - Throws: `InterchangeError` if the format cannot hold the model at all.
  static func held(_ checkpoint: Checkpoint) throws -> Checkpoint

  /// What a file of this format would not hold of a checkpoint; ask before writing.
  ///
  /// - Throws: `InterchangeError` if the format cannot hold the model at all.
  static func losses(of checkpoint: Checkpoint) throws -> [Note]

  /// Writes a checkpoint into an existing file; `export` is the way to call it.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - path: A file that exists; what it holds is lost.
  ///   - progress: Called with the number of bytes of tensors written since the last call.
  /// - Throws: `FileError` if the file cannot be written, `InterchangeError` if the format cannot
  ///   hold the model.
  static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws

  /// Compares what a format carries beside the weights, when a file is read back.
  ///
  /// - Throws: `InterchangeError` naming what differs.
  static func check(_ written: Checkpoint, isReadAs read: Checkpoint, path: String) throws
}

extension ForeignFormat {
  /// Whether it is a format of its own to read: so it is unless it says otherwise.
  public static var isRead: Bool { true }

  /// Whether models are written in this format: so they are unless it says otherwise.
  public static var isWritten: Bool { true }

  /// Refuses: a format that is written says what it loses.
  ///
  /// - Throws: `InterchangeError`, always.
  public static func losses(of checkpoint: Checkpoint) throws -> [Note] { throw notWritten }

  /// Refuses: a format that is written writes.
  ///
  /// - Throws: `InterchangeError`, always.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    throw notWritten
  }

  private static var notWritten: InterchangeError {
    InterchangeError(
      file: "the checkpoint", place: "", expected: "a format that is written", found: name,
      fix: "give another one: \(name) is read only")
  }

  /// Nothing is carried beside the weights that could differ, unless the format says so.
  public static func check(_ written: Checkpoint, isReadAs read: Checkpoint, path: String) {}

  /// Whether tensors have names: not unless the format says so.
  public static var hasNames: Bool { false }

  /// The model itself.
  ///
  /// - Throws: Nothing.
  public static func held(_ checkpoint: Checkpoint) throws -> Checkpoint { checkpoint }
}

/// What a foreign file does not say and the caller has to.
public struct ReadingOptions: Sendable {
  /// The tokens, for files that hold only weights.
  public var vocabulary: Vocabulary?
  /// A list of tokens that lies in the folder of the corpus, with its path: where the vocabulary is made of
  /// the corpus in no stated order.
  public var listBesideCorpus: (path: String, vocabulary: Vocabulary)?
  /// How text becomes tokens.
  public var tokenizer: Tokenizer
  /// The activation of plain recurrent cells, for files that do not name it.
  public var nonlinearity: Activation?
  /// The roles of tensors by their names in the file; for formats whose tensors have names.
  public var map: NameMap
  /// The function of the gates of LSTM and GRU layers, for files that do not name it.
  public var gateActivation: GateActivation?
  /// Names in the file of what is left out by hand, or the groups in front of them; see `Ledger`.
  public var ignored: Set<String> = []
  /// The path of the model inside the file, for files that hold several.
  public var root: String?
  /// The configuration of a model: as `model.to_json()` gives it, for Keras's files of weights alone; the
  /// `config.json` beside safetensors.
  public var configuration: MappedFile?
  /// Runs libhdf5 on files that are made of HDF5; in this process unless told.
  public var reader = ContainerReader.inProcess

  /// The names of tensors in the file, by those of a state_dict.
  package var names: [String: String] {
    get { map.names }
    set { map = NameMap(names: newValue) }
  }

  /// Creates options.
  public init(
    vocabulary: Vocabulary? = nil, tokenizer: Tokenizer = Tokenizer(),
    nonlinearity: Activation? = nil, map: NameMap = NameMap()
  ) {
    self.vocabulary = vocabulary
    self.tokenizer = tokenizer
    self.nonlinearity = nonlinearity
    self.map = map
  }
}

/// Something that a conversion could not carry or had to assume.
public struct Note: Sendable, Hashable, CustomStringConvertible {
  /// The place in the file that was read.
  public let place: String
  /// What was assumed or left behind.
  public let message: String
  /// Whether the model is the same for it: what was asked for, or is of its past alone.
  public let isHarmless: Bool

  /// Creates a note.
  public init(place: String, message: String, isHarmless: Bool = false) {
    (self.place, self.message, self.isHarmless) = (place, message, isHarmless)
  }

  /// The place and the message.
  public var description: String { "\(excerpt(place)): \(excerpt(message, limit: 1000))" }
}

/// A converted model and what happened on the way.
public struct Conversion: Sendable {
  /// The model; its provenance is empty.
  public var checkpoint: Checkpoint
  /// What could not be carried or had to be assumed.
  public var notes: [Note]
  /// `true` if nothing in the file vouches for the order of the gate blocks.
  package var areGatesAssumed = false
  /// The window of tokens that the file says the model was made for; `nil` if it says nothing.
  public package(set) var window: StatedWindow?
  /// The names that tensors get in a file of another format; the format's own if it is empty.
  public var outputNames = NameMap()

  /// Creates a conversion's result from a file whose every name has an account.
  init(checkpoint: Checkpoint, notes: [Note], settlement: Ledger.Settlement) {
    self.checkpoint = checkpoint
    self.notes = notes + settlement.notes
  }

  /// Creates the result of reading a checkpoint of our own, whose rules account for everything in it.
  package init(ownCheckpoint checkpoint: Checkpoint, notes: [Note]) {
    self.checkpoint = checkpoint
    self.notes = notes
  }
}

extension ReadingOptions {
  /// Takes tokens and tokenizer from a file's metadata, where the caller gives none.
  mutating func take(_ metadata: StateMetadata) {
    guard vocabulary == nil, let tokens = metadata.vocabulary else { return }
    (vocabulary, tokenizer) = (tokens, metadata.tokenizer)
  }

  /// The vocabulary that the caller gives: one token for each row.
  ///
  /// - Parameters:
  ///   - rows: The rows.
  ///   - place: Where they are.
  ///   - error: Makes an error about the file.
  /// - Returns: The vocabulary.
  /// - Throws: `InterchangeError` if there is none, or one of another size.
  func vocabulary(
    ofRows rows: Int, in place: String,
    error: (_ place: String, _ expected: String, _ found: String, _ fix: String) -> InterchangeError
  ) throws -> Vocabulary {
    guard let vocabulary else {
      throw error(
        place, "a vocabulary of \(rows) tokens, one for each row", "none",
        "files of weights hold no words: give a list of tokens with `--vocabulary FILE`, or to "
          + "`unroll convert` the training text with `--corpus DIR`")
    }
    if let (path, listed) = listBesideCorpus, listed.count == rows {
      guard vocabulary.count != rows || vocabulary.tokenBytes == listed.tokenBytes else {
        throw error(
          place, "one order of the \(rows) tokens",
          "two: as they first appear in the corpus, and as \(path) lists them",
          "give `--vocabulary \(path)` instead of --corpus if it was saved with the model, or "
            + "`--corpus ... --vocabulary-order first-seen`")
      }
      return listed.withUnit(of: vocabulary)
    }
    if vocabulary.count < rows, tokenizer.hasFewerTokens {
      return vocabulary.padded(to: rows)
    }
    guard vocabulary.count == rows else {
      throw error(
        place, "\(vocabulary.count) rows, one for each token of the vocabulary", "\(rows) rows",
        "give the corpus or vocabulary that the model was trained on")
    }
    return vocabulary
  }
}

extension Vocabulary {
  /// The tokens in the unit of another vocabulary.
  fileprivate func withUnit(of other: Vocabulary) -> Vocabulary {
    var vocabulary = self
    vocabulary.unit = other.unit
    return vocabulary
  }
}
