// What every reader of a foreign format offers, and what it returns.

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
}

/// What a foreign file does not say and the caller has to.
public struct ReadingOptions: Sendable {
  /// The tokens, for files that hold only weights.
  public var vocabulary: Vocabulary?
  /// How text becomes tokens.
  public var tokenizer: Tokenizer
  /// The activation of plain recurrent cells, for files that do not name it.
  public var nonlinearity: Activation?

  /// Creates options.
  public init(
    vocabulary: Vocabulary? = nil, tokenizer: Tokenizer = Tokenizer(),
    nonlinearity: Activation? = nil
  ) {
    self.vocabulary = vocabulary
    self.tokenizer = tokenizer
    self.nonlinearity = nonlinearity
  }
}

/// Something that a conversion could not carry or had to assume.
public struct Note: Sendable, Hashable, CustomStringConvertible {
  /// The place in the foreign file.
  public let place: String
  /// What was assumed or left behind.
  public let message: String

  /// Creates a note.
  public init(place: String, message: String) {
    self.place = place
    self.message = message
  }

  /// The place and the message.
  public var description: String { "\(printable(place)): \(printable(message))" }
}

/// A converted model and what happened on the way.
public struct Conversion: Sendable {
  /// The model; its provenance is empty.
  public var checkpoint: Checkpoint
  /// What could not be carried or had to be assumed.
  public var notes: [Note]

  /// Creates a conversion's result.
  public init(checkpoint: Checkpoint, notes: [Note]) {
    self.checkpoint = checkpoint
    self.notes = notes
  }
}
