// `unroll train`: trains a new model.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollInterchange
import UnrollNeural
import UnrollTensors
import UnrollTokenization

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a new model from a text.",
    discussion: """
      `unroll train --train train.txt --valid valid.txt -o poet.unroll.h5`

      Without options the model is that of word_language_model: an LSTM of two layers of 200, with words as tokens and \
      lines that end with <eos>. A pause is resumed by `unroll finetune poet.last.unroll.h5 --resume`. Details: \
      docs/reference/verbs.md
      """)

  @OptionGroup(title: "Texts and output") var verb: TrainingVerb

  @Option(help: ArgumentHelp("JSON file of options.", valueName: "file"))
  var config: String?

  @OptionGroup(title: "Model") var model: NewModelOptions

  @OptionGroup(title: "Tokens") var tokens: NewVocabularyOptions

  @OptionGroup(title: "Tokens") var lines: LineOptions

  @OptionGroup(title: "Training") var training: TrainingOptions

  @OptionGroup var threads: ThreadOptions

  func validate() throws { _ = try verb.names() }

  func run() throws {
    let names = try verb.names()
    if let state = verb.stateToResume(names) {
      let begun = try Checkpoint(try Examination.shown(of: state, upTo: .header))
      try begun.checkBeginning(
        try training.settings(), new: newModel(width: begun.architecture.embeddingSize), words: nil,
        inputs: try inputs, path: state)
      Output.note("note: \(printable(state)) exists: its training is resumed")
      return try verb.resume(
        state, names, training.length, lines: lines.tokens, threads: threads)
    }
    try verb.run(
      names, resuming: false, inputs: tokens.paths + model.paths + [config].compactMap { $0 },
      resumeOptions: threads.arguments
    ) { _, reporter in
      threads.apply()
      let (tokenizer, vocabulary) = try tokens.tokens(train: names.train, lines: lines.tokens)
      let vectors = try model.wordVectors(for: vocabulary)
      let new = newModel(width: vectors?.width)
      var checkpoint = try new.checkpoint(
        vocabulary: vocabulary, tokenizer: tokenizer, vectors: vectors)
      try lines.tokens.apply(
        to: &checkpoint, path: tokens.vocabulary ?? tokens.tokenizer ?? names.train,
        fix: tokens.fixOfMissingToken)
      let encoder = try LanguageModel.encoder(of: checkpoint, path: names.output)
      let texts = try verb.texts(names, encoder, reporter: &reporter)
      let parameters = checkpoint.architecture.parameters.reduce(0) {
        $0 + ($1.shape.elementCount ?? 0)
      }
      Output.note(
        "note: \(Output.grouped(vocabulary.count)) tokens, "
          + "\(Output.grouped(parameters)) parameters")
      return try TrainingRun(
        checkpoint, settings: try training.settings(), train: texts.train, valid: texts.valid,
        inputs: try inputs, new: new)
    }
  }

  /// The digests and names of the files other than the texts.
  private var inputs: [String] {
    get throws {
      try (tokens.paths + model.paths).map { ProvenanceEntry.input(try MappedFile(path: $0)) }
    }
  }

  /// Returns the settings of the new model.
  ///
  /// - Parameter width: The width of its word vectors, if there are any.
  /// - Returns: The settings.
  private func newModel(width: Int?) -> NewModel {
    var new = model.model(width: model.vectors == nil ? nil : width, seed: training.seed)
    new.origins = tokens.origins + lines.origins + model.origins
    return new
  }

  /// Refuses `train --resume`: `finetune` resumes a training.
  ///
  /// - Parameter arguments: The verb and its options.
  /// - Throws: `ValidationError` with the command to use.
  static func refuseResuming(_ arguments: [String]) throws {
    guard arguments.first == "train",
      let index = arguments.firstIndex(where: { $0 == "--resume" || $0.hasPrefix("--resume=") })
    else { return }
    let own = arguments[index].dropFirst("--resume=".count)
    let next = arguments.dropFirst(index + 1).first.flatMap { $0.hasPrefix("-") ? nil : $0 }
    let file = own.isEmpty ? next ?? "FILE.last.unroll.h5" : String(own)
    throw ValidationError(
      "train starts a new model. To resume a training, whether train or finetune started it: "
        + "unroll finetune \(printable(file)) --resume --train TEXT --valid TEXT -o FILE.unroll.h5")
  }

  /// Returns the arguments with the options of a configuration file inserted before the others.
  ///
  /// - Parameter arguments: The verb and its options.
  /// - Returns: The arguments, and those from the file.
  /// - Throws: `FileError` if the file cannot be read; `Refusal` if it holds no options.
  static func expandingConfiguration(
    _ arguments: [String]
  ) throws -> (arguments: [String], configured: [String]) {
    var rest = Array(arguments.dropFirst())
    guard arguments.first == "train",
      let index = rest.firstIndex(where: { $0 == "--config" || $0.hasPrefix("--config=") })
    else { return (arguments, []) }
    var path = String(rest.remove(at: index).dropFirst("--config=".count))
    if path.isEmpty {
      guard index < rest.count else { return (arguments, []) }
      path = rest.remove(at: index)
    }
    let configured = try options(inFile: path)
    // The option `--config` stays, so that the file counts as an input.
    return (["train"] + configured + ["--config", path] + rest, configured)
  }

  /// Returns the options of a configuration as words of a command line.
  private static func options(inFile path: String) throws -> [String] {
    let file = try MappedFile(path: path)
    func refuse(_ found: String) -> Refusal {
      Refusal(
        "\(printable(path)): expected a JSON object of options, each with a text, number or true; found "
          + "\(found)\n  fix: `unroll train --help` shows the options")
    }
    guard let members = try? JSONValue(file.copy(0..<file.count)).members else {
      throw refuse("something else")
    }
    var names: Set<String> = []
    return try members.flatMap { key, value in
      let name = String(decoding: key, as: UTF8.self).replacing("_", with: "-")
      guard name != "config" else { throw refuse("another configuration") }
      guard names.insert(name).inserted else { throw refuse("\(printable(name)) twice") }
      let text: String? =
        switch value {
        case .bool(true): nil
        case .number(let number): value.int.map { "\($0)" } ?? "\(number)"
        case .string: value.text
        case .bool(false): ""
        default: throw refuse("another value of \(printable(name))")
        }
      return text == "" ? [] : ["--\(name)"] + [text].compactMap { $0 }
    }
  }
}

/// The sizes and cells of a new model.
struct NewModelOptions: ParsableArguments {
  @Option(help: "Cell of all layers: lstm, gru or rnn (default: lstm).")
  var cell: Cell?

  @Option(help: "Activation of a vanilla RNN: tanh or relu (default: tanh).")
  var activation: Activation?

  @Option(help: "Width of the embedding (default: 200, or that of --vectors).")
  var embeddingSize: Int?

  @Option(
    help: ArgumentHelp(
      "Width of all layers, or a list of widths, first layer first (default: 200).",
      valueName: "sizes"))
  var hiddenSize: String?

  @Option(help: "Number of layers of one --hidden-size (default: 2).")
  var numLayers: Int?

  @Flag(help: "Tie the output weight to the embedding.")
  var tied = false

  @Option(
    name: .customLong("init"),
    help: ArgumentHelp(
      "Weight initialization: word_language_model, pytorch, orthogonal or irnn "
        + "(default: word_language_model)."))
  var initialization: Initialization?

  @Option(
    parsing: .unconditional,
    help: "Initial forget-gate bias of an LSTM (default: as initialized).")
  var forgetBias: Double?

  @Option(
    help: ArgumentHelp(
      "Pretrained embedding: word2vec, GloVe or fastText's .vec, also .gz.",
      valueName: "file"))
  var vectors: String?

  /// The files to read.
  var paths: [String] { [vectors].compactMap { $0 } }

  /// The source of the embedding rows, for the history.
  var origins: [String] { vectors == nil ? [] : ["embedding_rows=vectors"] }

  /// The hidden sizes of the layers; `nil` if no option gives them.
  private var sizes: [Int]? {
    guard hiddenSize != nil || numLayers != nil else { return nil }
    let list = (hiddenSize ?? "200").split(separator: ",", omittingEmptySubsequences: false)
    let sizes = list.map { Int($0) ?? 0 }
    return sizes.count == 1 ? Array(repeating: sizes[0], count: numLayers ?? 2) : sizes
  }

  func validate() throws {
    let limit = 1...1_000_000
    guard (1...100).contains(numLayers ?? 1) else {
      throw ValidationError("--num-layers is 1 to 100.")
    }
    let sizes = sizes ?? []
    guard sizes.allSatisfy(limit.contains) else {
      throw ValidationError("--hidden-size takes numbers from 1 to 1,000,000, as 1150,1150,400.")
    }
    guard sizes.count <= 100 else { throw ValidationError("--hidden-size: at most 100 layers.") }
    guard numLayers == nil || numLayers == sizes.count else {
      throw ValidationError(
        "--num-layers \(numLayers ?? 0) contradicts --hidden-size, which lists \(sizes.count) layers."
      )
    }
    guard limit.contains(embeddingSize ?? 1) else {
      throw ValidationError("--embedding-size is 1 to 1,000,000.")
    }
    guard forgetBias == nil || cell == nil || cell == .lstm else {
      throw ValidationError(
        "--forget-bias is for --cell lstm; \(cell?.rawValue ?? "") has no such gate.")
    }
    guard (forgetBias ?? 0).isFinite else { throw ValidationError("--forget-bias is finite.") }
  }

  /// Returns the vectors of the words of a vocabulary, if there is a file of them.
  ///
  /// - Throws: The errors of reading the file; `Refusal` if its vectors differ from the embedding
  ///   size.
  func wordVectors(for vocabulary: Vocabulary) throws -> WordVectors? {
    guard let vectors else { return nil }
    var progress = Progress()
    let found = try WordVectors(contentsOf: vectors, for: vocabulary) { fraction in
      progress.report { _ in
        "reading \(printable(vectors))"
          + (fraction.map { String(printf: ": %.0f %%", 100 * $0) } ?? "")
      }
    }
    progress.finish()
    guard embeddingSize == nil || embeddingSize == found.width else {
      throw Refusal(
        "\(printable(vectors)): expected vectors of \(embeddingSize ?? 0) numbers; found \(found.width)\n"
          + "  fix: leave --embedding-size out, or give other vectors")
    }
    Output.note(
      "note: \(Output.grouped(found.count)) of \(Output.grouped(vocabulary.count)) tokens have a vector"
    )
    return found
  }

  /// Returns the settings of the new model.
  func model(width: Int?, seed: UInt32?) -> NewModel {
    var model = NewModel()
    model.cell = cell ?? model.cell
    model.activation = activation ?? model.activation
    model.embeddingSize = embeddingSize ?? width ?? model.embeddingSize
    model.hiddenSizes = sizes ?? model.hiddenSizes
    model.isTied = tied
    model.initialization = initialization ?? model.initialization
    model.forgetBias = forgetBias
    model.seed = seed ?? model.seed
    return model
  }
}

/// The tokens of a new model.
struct NewVocabularyOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Tokenizer: whitespace, character, byte, bpe (learned from the text), greedy (longest token of --vocabulary), or a file: tokenizer.json, merges.txt, a SentencePiece model or a Keras Tokenizer (default: whitespace).",
      valueName: "kind or file"))
  var tokenizer: String?

  @Option(
    help: ArgumentHelp(
      "Tokens, one per line, .json, fairseq's dict.txt, word vectors, or a pickled list (default: those of the training text).",
      valueName: "file"))
  var vocabulary: String?

  @Option(
    help: "Minimum count of a token in the training text, or with bpe of a pair (default: 1).")
  var minCount: Int?

  @Option(help: "Maximum number of tokens; the most frequent ones are kept.")
  var vocabularySize: Int?

  @Flag(
    help: "With bpe or a file: end each line with the end-of-sentence token.")
  var appendEos = false

  func validate() throws {
    for case (let name, let value?) in [
      ("--min-count", minCount), ("--vocabulary-size", vocabularySize),
    ] where value < 1 {
      throw ValidationError("\(name) is at least 1.")
    }
    let isCounted = minCount != nil || vocabularySize != nil
    guard vocabulary == nil || !isCounted else {
      throw ValidationError("--vocabulary says which tokens there are; nothing is counted.")
    }
    switch source {
    case .kind(.bpe, _):
      guard vocabulary == nil, Self.bpeSizes.contains(vocabularySize ?? 0) else {
        throw ValidationError(
          "--tokenizer bpe learns its tokens: give --vocabulary-size, from 257 to 1000000.")
      }
    case .kind(let kind, _) where kind.isDefined:
      throw ValidationError(
        "--tokenizer \(kind.rawValue) is not made of a text: give its file, or --tokenizer bpe.")
    case .kind(let kind, _):
      guard kind != .greedy || vocabulary != nil else {
        throw ValidationError("--tokenizer greedy needs its tokens: give --vocabulary.")
      }
      guard !appendEos else {
        throw ValidationError("--append-eos goes with --tokenizer bpe or a file.")
      }
    case .definition:
      guard !isCounted else {
        throw ValidationError("A --tokenizer file says which tokens there are; nothing is counted.")
      }
    }
  }

  /// More than the number of bytes, and at most as many as a model's vocabulary may have.
  private static let bpeSizes = 257...1_000_000

  /// The files to read.
  var paths: [String] { source.paths + [vocabulary].compactMap { $0 } }

  /// The source of the tokens, for the history.
  var origins: [String] {
    var lines = ["tokenizer=\(source.name ?? TokenizerKind.whitespace.rawValue)"]
    lines.append(
      "vocabulary=" + (vocabulary != nil ? "list" : source.paths.isEmpty ? "train" : "tokenizer"))
    lines += minCount.map { ["minimum_count=\($0)"] } ?? []
    lines += vocabularySize.map { ["maximum_size=\($0)"] } ?? []
    return lines + (appendEos ? ["append_eos=1"] : [])
  }

  private var source: TokenizerSource { TokenizerSource(tokenizer ?? "whitespace") }

  /// The advice if a token that starts or ends lines is missing.
  var fixOfMissingToken: String {
    if vocabulary != nil { return "add the token to the list of --vocabulary" }
    if case .kind(.bpe, _) = source {
      return
        "leave it out, and give --append-eos for lines that end with <eos>, the only such token of "
        + "bpe"
    }
    return
      "give a token of the tokenizer's file; a vocabulary that is made of the text gets new ones"
  }

  /// Returns the tokenizer of the new model, and the tokens.
  ///
  /// - Parameters:
  ///   - train: The training text.
  ///   - lines: The tokens around lines, added to a vocabulary built from the text.
  /// - Returns: Both.
  /// - Throws: The errors of reading the text, the list or the tokenizer's file.
  func tokens(
    train: String, lines: SpecialTokens
  ) throws -> (tokenizer: Tokenizer, vocabulary: Vocabulary) {
    let listed = try vocabulary.map {
      try Vocabulary(contentsOf: $0)
    }
    if case .kind(.bpe, _) = source { return try learned(from: train) }
    let (tokenizer, vocabulary) = try source.tokens(listed, appendsEndOfSentence: appendEos)
    if let vocabulary { return (tokenizer, vocabulary) }
    return try counted(tokenizer.kind, in: train, lines)
  }

  private func counted(
    _ kind: TokenizerKind, in train: String, _ lines: SpecialTokens
  ) throws -> (tokenizer: Tokenizer, vocabulary: Vocabulary) {
    var tokenizer = Tokenizer(kind: kind)
    if kind != .whitespace {
      // The text is one stream whose line ends are tokens.
      tokenizer.sentenceStart = .none
      tokenizer.appendsEndOfSentence = false
    }
    var training = VocabularyTraining(tokenizer: tokenizer)
    training.minimumCount = minCount ?? 1
    training.maximumSize = vocabularySize
    lines.apply(to: &training)
    let vocabulary = try Progress.during("counting the tokens of \(train)") {
      try Vocabulary(trainedOn: [train], by: training)
    }
    return (tokenizer, vocabulary)
  }

  private func learned(
    from train: String
  ) throws -> (tokenizer: Tokenizer, vocabulary: Vocabulary) {
    let size = vocabularySize ?? Self.bpeSizes.lowerBound
    var training = BytePairTraining(maximumSize: size)
    training.minimumCount = minCount ?? 1
    training.appendsEndOfSentence = appendEos
    var progress = Progress()
    let tokens = try learnedTokens(train, by: training) { stage in
      progress.report { _ in
        switch stage {
        case .reading(let fraction):
          "reading \(printable(train))"
            + (fraction.map { String(printf: ": %.0f %%", 100 * $0) } ?? "")
        case .merging(let count):
          "merging: \(Output.grouped(count)) of \(Output.grouped(size)) tokens"
        }
      }
    }
    progress.finish()
    return tokens
  }
}

extension Cell: ExpressibleByArgument {}
extension Initialization: ExpressibleByArgument {}
