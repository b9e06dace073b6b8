// The interface of foreign formats: reading, and writing after listing unsupported features.

import UnrollFormat
import UnrollHDF5
import UnrollTensors
import UnrollTokenization

/// A file format of models that converts to `Checkpoint`.
public protocol ForeignFormat: Sendable {
  /// The name in reports, such as `pytorch`.
  static var name: String { get }

  /// Returns `true` if a file looks like this format by its content; its name does not matter.
  ///
  /// This includes damaged and unsupported files of the format: `read` reports their errors.
  static func recognizes(_ file: MappedFile) -> Bool

  /// Converts a file.
  ///
  /// - Throws: `InterchangeError` if the file cannot be converted faithfully.
  static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion

  /// Returns the paths of further files of which a model consists; none for most formats.
  ///
  /// - Throws: `InterchangeError` if one is missing or damaged.
  static func companions(of file: MappedFile) throws -> [String]

  /// `true` if the format is read as such; `false` for a variant that is only written.
  static var isRead: Bool { get }

  /// `true` if models can be written in this format.
  static var isWritten: Bool { get }

  /// `true` if its tensors have names that `ReadingOptions.map` can assign to roles.
  static var hasNames: Bool { get }

  /// The cells that a file of this format can hold.
  static var cells: [Cell] { get }

  /// The outputs that a file of this format can hold.
  static var outputs: [OutputKind] { get }

  /// The extensions of output files of this format, without dots.
  static var fileExtensions: [String] { get }

  /// Returns the model as a file of this format represents it: the same for most formats, else an
  /// equivalent model, up to rounding, in the format's variants. `exportNotes` lists the differences.
  ///
  /// - Throws: `InterchangeError` if the format cannot represent the model at all.
  static func held(_ checkpoint: Checkpoint) throws -> Checkpoint

  /// Returns the properties of a checkpoint that a file of this format would not preserve.
  ///
  /// - Throws: `InterchangeError` if the format cannot represent the model at all.
  static func exportNotes(for checkpoint: Checkpoint) throws -> [Note]

  /// Writes a checkpoint into an existing file; callers use `export`.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - path: An existing file, which is overwritten.
  ///   - progress: Called with the number of bytes of tensors written since the last call.
  /// - Throws: `FileError` if the file cannot be written, `InterchangeError` if the format cannot
  ///   represent the model.
  static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws

  /// Returns the paths of further files that `write` makes for a path; none for most formats.
  ///
  /// They get their names with the file, when it was read back.
  static func writtenBeside(_ path: String) -> [String]

  /// Compares the content of a file beside the weights when it is read back.
  ///
  /// - Throws: `InterchangeError` naming the difference.
  static func check(_ written: Checkpoint, isReadAs read: Checkpoint, path: String) throws
}

extension ForeignFormat {
  /// Returns no further files, by default.
  ///
  /// - Throws: Nothing.
  public static func companions(of file: MappedFile) throws -> [String] { [] }

  /// Returns no further files, by default.
  public static func writtenBeside(_ path: String) -> [String] { [] }

  /// `true` if the format is read as such, by default.
  public static var isRead: Bool { true }

  /// `true` if models can be written in this format, by default.
  public static var isWritten: Bool { true }

  /// Throws by default: a format that is written implements this.
  ///
  /// - Throws: `InterchangeError`, always.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] { throw notWritten }

  /// Throws by default: a format that is written implements this.
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

  /// Compares nothing by default.
  public static func check(_ written: Checkpoint, isReadAs read: Checkpoint, path: String) {}

  /// The cells of PyTorch, Keras and ONNX, by default.
  public static var cells: [Cell] { Cell.usual }

  /// One softmax over all tokens by default.
  public static var outputs: [OutputKind] { [.softmax] }

  /// Refuses a model with a cell or an output that the format lacks.
  ///
  /// - Throws: `InterchangeError` naming it.
  static func checkParts(_ architecture: Architecture) throws {
    for (index, layer) in architecture.layers.enumerated() where !cells.contains(layer.cell) {
      let names = cells.map(\.rawValue).joined(separator: ", ")
      throw InterchangeError(
        file: "the checkpoint", place: ParameterPath.layerGroup(index),
        expected: "one of the cells of \(name): \(names)", found: layer.cell.rawValue,
        fix: "keep it as a checkpoint"
          + (AWDFormat.cells.contains(layer.cell) ? ", or write it as NAME.awd.pt" : ""))
    }
    guard outputs.contains(architecture.outputKind) else {
      throw InterchangeError(
        file: "the checkpoint", place: "/model/output",
        expected: "one softmax over all tokens, the only output of \(name)",
        found: architecture.outputKind.rawValue,
        fix: "write it as NAME.pt or NAME.safetensors, which have the head and the tails")
    }
  }

  /// `true` if tensors have names, by default `false`.
  public static var hasNames: Bool { false }

  /// Returns the model unchanged.
  ///
  /// - Throws: Nothing.
  public static func held(_ checkpoint: Checkpoint) throws -> Checkpoint { checkpoint }
}

/// Information that a foreign file lacks and the caller must supply.
public struct ReadingOptions: Sendable {
  /// The tokens, for files that hold only weights.
  public var vocabulary: Vocabulary?
  /// `true` to refuse a file without a vocabulary if `vocabulary` is `nil`; `false` to read it with a
  /// placeholder, see `Vocabulary.isPlaceholder`.
  public var requiresVocabulary = true
  /// The list of tokens in the corpus folder, with its path, if the vocabulary is built from the
  /// corpus in no stated order.
  public var listBesideCorpus: (path: String, vocabulary: Vocabulary)?
  /// The name of the list that `vocabulary` is from, if it was found beside the file.
  public var listBesideFile: String?
  /// The tokenizer.
  public var tokenizer: Tokenizer
  /// The activation of vanilla RNN layers, for files that do not name it.
  public var nonlinearity: Activation?
  /// The roles of tensors by their names in the file; for formats whose tensors have names.
  public var map: NameMap
  /// The gate activation of LSTM and GRU layers, for files that do not name it.
  public var gateActivation: GateActivation?
  /// The constant that is added to the forget gates of LSTM layers, for files that do not record it.
  public var forgetBias: Double?
  /// Names in the file that the caller leaves out, or prefixes of such names; see `Ledger`.
  public var ignored: Set<String> = []
  /// The path of the model inside the file, for files that hold several.
  public var root: String?
  /// The configuration of a model: the output of `model.to_json()` for Keras's files of weights
  /// alone, or the `config.json` beside safetensors.
  public var configuration: MappedFile?
  /// Runs libhdf5 on HDF5-based files, by default in this process.
  public var reader = ContainerReader.inProcess

  /// The names of tensors in the file, by their names in a state_dict.
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

/// A note on something that a conversion does not preserve or had to assume.
public struct Note: Sendable, Hashable, CustomStringConvertible {
  /// The location in the file.
  public let place: String
  /// The assumption, or the property that is not preserved.
  public let message: String
  /// `true` if the model is unaffected: the caller requested it, or it concerns only the training
  /// history.
  public let isHarmless: Bool
  /// The part of a checkpoint that is not preserved, for formats that do preserve it; `nil` for any other note.
  package let lostPart: Part?

  /// A part of a checkpoint that some formats have no room for.
  package enum Part: Sendable {
    /// The list of tokens.
    case tokens
    /// The optimizer.
    case optimizer
  }

  /// Creates a note.
  public init(place: String, message: String, isHarmless: Bool = false) {
    self.init(place: place, message: message, isHarmless: isHarmless, lostPart: nil)
  }

  /// Creates a note on a part that is not preserved.
  package init(place: String, message: String, isHarmless: Bool = false, lostPart: Part?) {
    self.place = place
    self.message = message
    self.isHarmless = isHarmless
    self.lostPart = lostPart
  }

  /// The location and the message.
  public var description: String { "\(excerpt(place)): \(excerpt(message, limit: 1000))" }
}

/// A converted model with notes.
public struct Conversion: Sendable {
  /// The model; its provenance is empty.
  public var checkpoint: Checkpoint
  /// Notes on properties that are not preserved and on assumptions.
  public var notes: [Note]
  /// `true` if the file does not determine the order of gate blocks.
  package var areGatesAssumed = false
  /// The window of tokens that the model was made for, according to the file; `nil` if unknown.
  public package(set) var window: StatedWindow?
  /// The names of tensors in the output file; empty for the format's own.
  public var outputNames = NameMap()
  /// The names in the file of the tensors that each parameter comes from; empty for formats other than those of
  /// named tensors.
  public package(set) var sourceNames: [ParameterPath: [String]] = [:]

  /// Creates the result for a file whose every name is accounted for.
  init(checkpoint: Checkpoint, notes: [Note], settlement: Ledger.Settlement) {
    self.checkpoint = checkpoint
    self.notes = notes + settlement.notes
  }

  /// Creates the result for an Unroll checkpoint, whose rules account for its whole content.
  package init(ownCheckpoint checkpoint: Checkpoint, notes: [Note]) {
    self.checkpoint = checkpoint
    self.notes = notes
  }
}

extension ReadingOptions {
  /// Adopts tokens and tokenizer from a file's metadata unless the caller gives them.
  mutating func take(_ metadata: StateMetadata) {
    guard vocabulary == nil, let tokens = metadata.vocabulary else { return }
    (vocabulary, tokenizer) = (tokens, metadata.tokenizer)
  }

  /// Returns the caller's vocabulary, with one token for each row.
  ///
  /// - Parameters:
  ///   - rows: The number of rows.
  ///   - place: The location of the rows.
  ///   - error: Creates an error about the file.
  /// - Returns: The vocabulary.
  /// - Throws: `InterchangeError` if there is none, or its size differs.
  func vocabulary(
    ofRows rows: Int, in place: String,
    error: (_ place: String, _ expected: String, _ found: String, _ fix: String) -> InterchangeError
  ) throws -> Vocabulary {
    guard let vocabulary else {
      guard requiresVocabulary else { return Vocabulary(placeholderOf: rows) }
      throw error(
        place, "a vocabulary of \(rows) tokens, one for each row", "none",
        "files of weights hold no words: give a list of tokens with `--vocabulary FILE`, or to "
          + "`unroll convert` the folder of the training texts with `--corpus FOLDER`")
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
    if let listBesideFile, vocabulary.count != rows {
      throw error(
        place, "a token for each of \(rows) rows in \(listBesideFile), which lies beside the file",
        "\(vocabulary.count)",
        "the list is of another training: give the right one with `--vocabulary FILE`")
    }
    guard vocabulary.count == rows else {
      throw error(
        place, "a token for each of \(rows) rows in the vocabulary given",
        "\(vocabulary.count) tokens",
        "give the corpus or vocabulary that the model was trained on, and its tokenizer"
          + (tokenizer.kind == .character
            ? "; if the corpus writes another character for a space, such as _, also --space _"
            : ""))
    }
    return vocabulary
  }
}

extension Vocabulary {
  /// Creates the vocabulary of a model whose tokens are unknown: all of them are empty.
  fileprivate init(placeholderOf count: Int) {
    self.init(tokens: [[UInt8]](repeating: [], count: count), unit: .word)
  }

  /// `true` if the tokens are unknown: a vocabulary has at most one empty token.
  public var isPlaceholder: Bool { tokenBytes.isEmpty }

  /// Returns the tokens in the unit of another vocabulary.
  fileprivate func withUnit(of other: Vocabulary) -> Vocabulary {
    var vocabulary = self
    vocabulary.unit = other.unit
    return vocabulary
  }
}
