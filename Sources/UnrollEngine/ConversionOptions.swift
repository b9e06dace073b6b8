// The options of a conversion: the form of its result, and information that the input file lacks.

import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// The source of the vocabulary of a model whose file has none.
public enum VocabularySource: Sendable {
  /// The model's file.
  case file
  /// The texts of a corpus folder. Ids follow the given order; without one, the list of tokens in
  /// the folder, or else the first appearance in the text.
  case corpus(String, order: VocabularyOrder? = nil)
  /// A list of tokens; see `Vocabulary.init(contentsOf:format:)`.
  case list(String, VocabularyFormat? = nil)

  /// The name of the source in the history of a model.
  var name: String {
    switch self {
    case .file: "file"
    case .corpus(_, let order): "corpus" + (order.map { " order=\($0.rawValue)" } ?? "")
    case .list: "list"
    }
  }

  /// The files to read.
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

  /// Returns the target with the given name, or `nil` if there is none.
  public init?(named name: String) {
    if name == "unroll" {
      self = .checkpoint
    } else if let format = AllFormats.written.first(where: { $0.name == name }) {
      self = .foreign(format)
    } else {
      return nil
    }
  }

  /// The extension of the target's files, without a dot.
  public var fileExtension: String {
    switch self {
    case .checkpoint: "unroll.h5"
    case .foreign(let format): format.fileExtensions.first ?? format.name
    }
  }

  /// Returns the target for an output file by its extension: a foreign format, or else a
  /// checkpoint.
  public init(output path: String) {
    self = AllFormats.format(named: path).map { .foreign($0) } ?? .checkpoint
  }
}

/// Information that the caller supplies beside the file of a conversion.
public struct ConversionOptions: Sendable {
  /// The form of the result.
  public var target: ConversionTarget
  /// The source of the vocabulary.
  public var vocabulary: VocabularySource
  /// The name of the list of tokens, if it was found beside the file.
  var listBesideFile: String?
  /// `true` to refuse a foreign file without a vocabulary, `false` to read it with a placeholder.
  var requiresVocabulary = true
  /// The activation of vanilla RNN cells, if the file does not name it.
  public var nonlinearity: Activation?
  /// The gate activation of recurrent layers, if the file does not name it.
  public var gateActivation: GateActivation?
  /// The constant that is added to the forget gates of LSTM layers, if the file does not record it.
  public var forgetBias: Double?
  /// The kind of tokenizer, or the file that defines it.
  public var tokenizer = TokenizerSource.kind(.whitespace, space: nil)
  /// `true` if a tokenizer of another program's file ends each line with its end-of-sentence token.
  public var appendsEndOfSentence = false
  /// The tokens that begin and end sentences, and the token for unknown text, if named.
  public var special = SpecialTokens()
  /// The file that maps tensors to roles, for files whose names and shapes do not identify them;
  /// see `NameMap`.
  ///
  /// For a checkpoint it gives the names of tensors in the foreign file to write.
  public var names: String?
  /// Names of tensors in the file that the caller leaves out, or prefixes of such names.
  public var ignored: Set<String> = []
  /// The path of the model inside a file that holds several, such as `ema.state_dict`.
  public var root: String?
  /// The model's configuration file: Keras's, for a file of weights alone, or that of safetensors.
  ///
  /// Without it, `config.json` beside a safetensors file is used.
  public var configuration: String?
  /// A text that the model should predict well, to check the conversion; the corpus if it is `nil`.
  public var checkText: String?
  /// The window of tokens that the check predicts from, with the text of its padding token or
  /// `none`; `nil` for the window that the file states, or else all preceding tokens.
  public var window: (length: Int, padding: String?)?
  /// The type that weights are rounded to; `nil` leaves them unchanged.
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
