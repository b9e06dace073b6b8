// What a conversion is told: what the model becomes, and what its file does not say.

import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// The source of a model's vocabulary whose file has none.
public enum VocabularySource: Sendable {
  /// Nowhere: the file has one.
  case file
  /// The texts of a corpus folder, in an order or, without one, as they first appear unless a list of tokens
  /// in the folder says otherwise.
  case corpus(String, order: VocabularyOrder? = nil)
  /// A list of tokens; see `Vocabulary.init(contentsOf:format:)`.
  case list(String, VocabularyFormat? = nil)

  /// Its name in the history of a model.
  var name: String {
    switch self {
    case .file: "file"
    case .corpus(_, let order): "corpus" + (order.map { " order=\($0.rawValue)" } ?? "")
    case .list: "list"
    }
  }

  /// The files that it reads.
  public var paths: [String] {
    switch self {
    case .file: []
    case .corpus(let folder, _): Vocabulary.corpusParts.map { "\(folder)/\($0)" }
    case .list(let path, _): [path]
    }
  }
}

/// The form that a converted model takes.
public enum ConversionTarget: Sendable {
  /// An Unroll checkpoint.
  case checkpoint
  /// A file of a foreign format.
  case foreign(any ForeignFormat.Type)

  /// The names of all targets.
  public static var names: [String] { ["unroll"] + AllFormats.written.map { $0.name } }

  /// The target of a name, or `nil` if there is none.
  public init?(named name: String) {
    if name == "unroll" {
      self = .checkpoint
    } else if let format = AllFormats.written.first(where: { $0.name == name }) {
      self = .foreign(format)
    } else {
      return nil
    }
  }

  /// The extension of its files, without a dot.
  public var fileExtension: String {
    switch self {
    case .checkpoint: "unroll.h5"
    case .foreign(let format): format.fileExtensions.first ?? format.name
    }
  }

  /// The target of a file by its name's extension: a checkpoint unless it is that of another format.
  public init(output path: String) {
    self = AllFormats.format(named: path).map { .foreign($0) } ?? .checkpoint
  }
}

/// The statements of a caller beside the file of a conversion.
public struct ConversionOptions: Sendable {
  /// The form that the model will take.
  public var target: ConversionTarget
  /// The source of the vocabulary.
  public var vocabulary: VocabularySource
  /// The activation of plain recurrent cells, where the file does not name it.
  public var nonlinearity: Activation?
  /// The function of the gates of recurrent layers, where the file does not name it.
  public var gateActivation: GateActivation?
  /// The tokenizer: kind and options.
  public var tokenizer = TokenizerSource.kind(.whitespace, space: nil)
  /// `true` if a tokenizer of another program's file ends each line with its end-of-sentence token.
  public var appendsEndOfSentence = false
  /// The tokens that begin and end sentences, and the one for unknown text, where they are named.
  public var special = SpecialTokens()
  /// The file that says which tensor is which, where names and shapes do not; see `NameMap`.
  ///
  /// For a checkpoint it says how the file of another format names its tensors.
  public var names: String?
  /// Names in the file of what is left out by hand, or the groups in front of them.
  public var ignored: Set<String> = []
  /// The path of the model inside a file that holds several, such as `ema.state_dict`.
  public var root: String?
  /// The file of a model's configuration: of Keras, for a file of weights alone, or of safetensors, for
  /// which `config.json` beside the file is taken if none is given.
  public var configuration: String?
  /// A text that the model should know, to check the conversion by; the corpus if there is none.
  public var checkText: String?
  /// The window that each token is predicted from in that check, with the text of its padding token or `none`;
  /// `nil` for the one that the file states, or else all tokens before it.
  public var window: (length: Int, padding: String?)?
  /// The type that weights are rounded to; `nil` leaves them as they are.
  public var dtype: DType?

  /// Creates options.
  public init(
    target: ConversionTarget = .checkpoint, vocabulary: VocabularySource = .file,
    nonlinearity: Activation? = nil
  ) {
    self.target = target
    self.vocabulary = vocabulary
    self.nonlinearity = nonlinearity
  }
}
