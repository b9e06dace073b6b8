// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Character models of char-rnn and torch-rnn: files of Lua's Torch.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// Files of Lua's Torch (Torch7) that hold a model of char-rnn or torch-rnn; they are only read.
public enum Torch7Format: ForeignFormat {
  /// The name in reports.
  public static let name = "torch7"
  /// Empty: these models are not written.
  public static let fileExtensions: [String] = []
  /// `false`: these models are only read.
  public static let isWritten = false

  /// Returns `true` if a file begins as the files of Torch7 do.
  public static func recognizes(_ file: MappedFile) -> Bool { Torch7File.recognizes(file) }

  /// Converts a language model with its characters.
  ///
  /// - Throws: `InterchangeError` if the file is damaged, or holds another network.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    let opened = try Torch7File(file)
    let checkpoint = try Torch7Checkpoint(opened)
    let settlement = try checkpoint.settled(ignoring: options.ignored)
    let model = try checkpoint.model()
    let V = model.architecture.vocabularySize
    var options = options
    var notes = checkpoint.notes(dropouts: model.dropouts)
    if options.vocabulary == nil {
      let words = try Torch7Words(checkpoint.tokens(count: V), program: checkpoint.program)
      (options.vocabulary, options.tokenizer) = (words.vocabulary, words.tokenizer)
      notes += words.notes
    }
    let vocabulary = try options.vocabulary(ofRows: V, in: checkpoint.tokenPlace) {
      opened.error($0, expected: $1, found: $2, fix: $3)
    }
    return Conversion(
      checkpoint: Checkpoint(
        architecture: model.architecture, parameters: model.parameters, vocabulary: vocabulary,
        tokenizer: options.tokenizer, provenance: []),
      notes: notes, settlement: settlement)
  }
}

/// The table that a training program of Torch7 saves.
struct Torch7Checkpoint {
  /// A training program.
  enum Program {
    case charRNN, torchRNN
  }

  let program: Program
  private let file: Torch7File
  /// The `nn.LanguageModel` of torch-rnn; `nil` for char-rnn.
  private let languageModel: Torch7Value?
  /// The location of the model's fields.
  private let place: String

  /// Finds the program of a file.
  ///
  /// - Throws: `InterchangeError` if it is another one.
  init(_ file: Torch7File) throws {
    self.file = file
    let model = file.field("model", of: file.root)
    if file.className(model) == "nn.LanguageModel" {
      (program, languageModel, place) = (.torchRNN, model, "model")
    } else if file.className(file.root) == "nn.LanguageModel" {
      (program, languageModel, place) = (.torchRNN, file.root, "model")
    } else if let rnn = file.field("rnn", of: file.field("protos", of: file.root)),
      file.className(rnn) == "nn.gModule"
    {
      (program, languageModel, place) = (.charRNN, nil, CharRNNModel.place)
    } else {
      let keys = file.entries(file.root).map(\.key.description)
      throw file.error(
        "",
        expected: "a checkpoint of char-rnn (protos.rnn, an nn.gModule) or torch-rnn (model, an "
          + "nn.LanguageModel)",
        found: file.className(file.root).map { "an object of \($0)" }
          ?? "a table of \(list(keys.sorted()))",
        fix: "other networks of Torch7 are not converted")
    }
  }

  // MARK: - Account

  /// The entries of a checkpoint that only its training needs.
  private static let ofTraining: Set = [
    "opt", "i", "epoch", "train_losses", "val_loss", "val_losses", "train_loss_history",
    "val_loss_history", "val_loss_history_it", "forward_backward_times", "memory_usage",
    "protos.criterion",
  ]
  /// The fields of torch-rnn's `nn.LanguageModel`: the modules are those of `net`.
  private static let fields: Set = [
    "net", "rnns", "view1", "view2", "bn_view_in", "bn_view_out", "idx_to_token", "token_to_idx",
    "vocab_size", "model_type", "wordvec_dim", "rnn_size", "num_layers", "dropout", "batchnorm",
    "train", "_type", "output", "gradInput",
  ]

  /// Accounts for every entry.
  ///
  /// - Throws: `InterchangeError` naming entries that neither the model nor its training has.
  func settled(ignoring ignored: Set<String>) throws -> Ledger.Settlement {
    let whole = languageModel == nil ? "protos" : "model"
    func fields(of table: Torch7Value?) -> [String] {
      file.entries(table).map { "\(whole).\($0.key.description)" }
    }
    let keys = file.entries(file.root).map(\.key.description)
    let names =
      languageModel == file.root
      ? fields(of: file.root)
      : keys.filter { $0 != whole } + fields(of: file.field(whole, of: file.root))
    var ledger = try Ledger(Array(Set(names)).sorted(), ignoring: ignored, of: file.file.path)
    for name in ledger.left where Self.ofTraining.contains(name) { ledger.use(name) }
    if languageModel == nil {
      for name in [CharRNNModel.place, "vocab"] { ledger.use(name) }
    } else {
      for field in Self.fields { ledger.use("\(place).\(field)") }
    }
    return try ledger.settle(
      expected: "the network, characters and training figures of char-rnn or torch-rnn",
      fix: "only such checkpoints are converted")
  }

  /// Returns the notes of a checkpoint: training figures, and dropout.
  func notes(dropouts: Set<Double>) -> [Note] {
    var notes: [Note] = []
    for rate in dropouts.sorted() {
      notes.append(Note(place: place, message: "not preserved: dropout \(rate)"))
    }
    let iteration = file.integer("i", of: file.root)
    let losses = file.list(file.field("val_loss_history", of: file.root))
    let loss = file.field("val_loss", of: file.root) ?? losses.last
    if let iteration, case .number(let value)? = loss {
      notes.append(
        Note(
          place: languageModel == nil ? "val_loss" : "val_loss_history",
          message: "validation loss \(value) at iteration \(iteration), by the training itself",
          isHarmless: true))
    }
    return notes
  }

  // MARK: - Model

  /// A converted network.
  struct Model {
    let architecture: Architecture
    let parameters: ParameterTree<Tensor>
    let dropouts: Set<Double>
  }

  /// Extracts the network.
  ///
  /// - Throws: `InterchangeError` naming the part that cannot be converted.
  func model() throws -> Model {
    if let languageModel {
      let model = try TorchRNNModel(languageModel, place, in: file)
      return Model(
        architecture: model.architecture, parameters: model.parameters, dropouts: model.dropouts)
    }
    let model = try CharRNNModel(file)
    return Model(
      architecture: model.architecture, parameters: model.parameters, dropouts: model.dropouts)
  }

  // MARK: - Tokens

  /// The location of the tokens.
  var tokenPlace: String { languageModel == nil ? "vocab" : "\(place).idx_to_token" }

  /// Returns the tokens by their ids, which count from 1 in Lua.
  ///
  /// - Parameter count: The number of rows of the network.
  /// - Returns: A token for each row.
  /// - Throws: `InterchangeError` if ids are missing or share a token.
  func tokens(count: Int) throws -> [[UInt8]] {
    let table = languageModel.map { file.field("idx_to_token", of: $0) }
    let entries = file.entries(table ?? file.field("vocab", of: file.root))
    var tokens = [[UInt8]?](repeating: nil, count: count)
    for entry in entries {
      let (id, token) = languageModel == nil ? (entry.value, entry.key) : (entry.key, entry.value)
      guard case .number(let number) = id, let id = Int(exactly: number), (1...count).contains(id),
        case .text(let bytes) = token, !bytes.isEmpty, tokens[id - 1] == nil
      else {
        throw file.error(
          tokenPlace, expected: "a character with an id of its own from 1 to \(count)",
          found: "\(entry.key.description) with \(entry.value.description)",
          fix: "give the characters with --vocabulary and --tokenizer character")
      }
      tokens[id - 1] = bytes
    }
    let whole = tokens.compactMap { $0 }
    guard whole.count == count, Set(whole).count == count else {
      throw file.error(
        tokenPlace, expected: "a character for each of \(count) rows",
        found: "\(Set(whole).count)",
        fix: "give the characters with --vocabulary and --tokenizer character")
    }
    return whole
  }
}

/// The tokens of a training program as a vocabulary, and its tokenizer.
struct Torch7Words {
  let vocabulary: Vocabulary
  let tokenizer: Tokenizer
  let notes: [Note]

  /// Recognizes bytes, characters or words.
  ///
  /// char-rnn splits a text into bytes; torch-rnn into characters, or, with `--encoding bytes`, into bytes of
  /// which those above 127 are named `[200]`.
  init(_ tokens: [[UInt8]], program: Torch7Checkpoint.Program) {
    let bytes = tokens.map { Self.byte($0) ?? $0 }
    let isOfNamedBytes = tokens.contains { Self.byte($0) != nil }
    let isOfBytes = bytes.allSatisfy { $0.count == 1 } && Set(bytes).count == tokens.count
    let isOfCharacters = tokens.allSatisfy { token in
      String(validating: token, as: UTF8.self).map { $0.unicodeScalars.count == 1 } == true
    }
    let unit: TokenUnit
    switch program {
    case .charRNN where tokens.allSatisfy({ $0.count == 1 }): unit = .byte
    case .torchRNN where isOfNamedBytes && isOfBytes: unit = .byte
    default: unit = isOfCharacters ? .character : .word
    }
    switch unit {
    case .byte:
      vocabulary = Vocabulary(tokens: bytes, unit: .byte)
      tokenizer = Tokenizer(kind: .byte, sentenceStart: .none, appendsEndOfSentence: false)
      notes = []
    case .character:
      vocabulary = Vocabulary(tokens: tokens, unit: .character)
      tokenizer = Tokenizer(kind: .character, sentenceStart: .none, appendsEndOfSentence: false)
      notes = []
    default:
      var words = Vocabulary(tokens: tokens, unit: .word)
      words.findSpecialTokens()
      var lines = Tokenizer()
      lines.chooseLineConvention(for: words)
      (vocabulary, tokenizer) = (words, lines)
      notes = [
        Note(
          place: "vocabulary",
          message: "assumed: tokens of several characters are words between white space")
      ]
    }
  }

  /// Returns the byte that torch-rnn names by its number, from 128 on.
  private static func byte(_ token: [UInt8]) -> [UInt8]? {
    guard token.count == 5, token.first == UInt8(ascii: "["), token.last == UInt8(ascii: "]"),
      let number = UInt8(String(decoding: token[1..<4], as: UTF8.self)), number > 127
    else { return nil }
    return [number]
  }
}
