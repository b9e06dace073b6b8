// The source of a converted model's tokenizer and tokens.

import Foundation
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// The source of the tokenizer of a model whose file has none.
public enum TokenizerSource: Sendable {
  /// A kind that needs only a vocabulary; `space` is the symbol for U+0020, for characters.
  case kind(TokenizerKind, space: String?)
  /// The tokenizer file of another program, which includes tokens unless it is a merges.txt.
  case definition(String)

  /// Creates the source from an option's text: a kind, else a file.
  public init(_ name: String, space: String? = nil) {
    self = TokenizerKind(rawValue: name).map { .kind($0, space: space) } ?? .definition(name)
  }

  /// The files to read.
  public var paths: [String] {
    if case .definition(let path) = self { return [path] }
    return []
  }

  /// The name of the source in the history of a model; `nil` for words, the only kind of early
  /// versions.
  public var name: String? {
    switch self {
    case .kind(.whitespace, _): nil
    case .kind(let kind, let space): kind.rawValue + (space.map { " space=\($0)" } ?? "")
    case .definition: "definition"
    }
  }
}

extension TokenizerSource {
  /// Returns the tokenizer, and the tokens in its units.
  ///
  /// - Parameters:
  ///   - listed: The tokens, if there is a list of them beside the tokenizer.
  ///   - appendsEndOfSentence: `true` if another program's tokenizer ends each line with its
  ///     end-of-sentence token; other kinds do if the list has one.
  /// - Returns: The tokenizer, and the tokens; none for a kind without a list.
  /// - Throws: The errors of `definedTokens`; `TextError` if there is no end-of-sentence token to
  ///   append.
  public func tokens(
    _ listed: Vocabulary?, appendsEndOfSentence: Bool = false
  ) throws -> (tokenizer: Tokenizer, vocabulary: Vocabulary?) {
    switch self {
    case .kind(let kind, let space):
      var (tokenizer, vocabulary) = (Tokenizer(kind: kind, space: space), listed)
      if let unit = kind.unit { vocabulary?.unit = unit }
      if let vocabulary { tokenizer.chooseLineConvention(for: vocabulary) }
      return (tokenizer, vocabulary)
    case .definition(let path):
      var (tokenizer, vocabulary) = try definedTokens(path, listed)
      guard !appendsEndOfSentence || vocabulary.endOfSentenceID != nil else {
        throw TextError(
          path: path, line: nil, expected: "an end-of-sentence token, to end lines with",
          found: "no token \(endsOfSentences.joined(separator: ", "))",
          fix: "leave the end of a line as text")
      }
      tokenizer.endLines(with: vocabulary.endOfSentenceID, appendsEndOfSentence)
      return (tokenizer, vocabulary)
    }
  }
}

extension Tokenizer {
  /// Makes sentences start after the token that ends a sentence, if there is one.
  fileprivate mutating func endLines(with end: Int?, _ appendsEndOfSentence: Bool) {
    if end != nil { sentenceStart = .eos }
    self.appendsEndOfSentence = appendsEndOfSentence
  }
}

/// Trains a byte-level BPE tokenizer on a text.
///
/// - Parameters:
///   - path: The text, plain or gzip.
///   - training: The settings of the training.
///   - progress: Called periodically.
/// - Returns: The tokenizer and its tokens.
/// - Throws: The errors of `TokenizerDefinition.init(trainedOn:by:progress:)`.
public func learnedTokens(
  _ path: String, by training: BytePairTraining, progress: (BytePairTraining.Stage) -> Void
) throws -> (tokenizer: Tokenizer, vocabulary: Vocabulary) {
  let definition = try TokenizerDefinition(trainedOn: [path], by: training, progress: progress)
  var (tokenizer, vocabulary) = try definition.definedTokens()
  tokenizer.endLines(with: vocabulary.endOfSentenceID, training.appendsEndOfSentence)
  return (tokenizer, vocabulary)
}

/// The tokens that are known before the model is read.
struct KnownTokens {
  var tokenizer: Tokenizer
  /// The vocabulary, if one was given.
  var vocabulary: Vocabulary?
  /// A list in the corpus folder, if the order of ids was not stated.
  var beside: (path: String, vocabulary: Vocabulary)?
  /// The assumptions, as notes.
  var notes: [Note] = []

  /// `true` if the source of the tokens does not determine the tokens that start and end a line.
  let leavesLinesOpen: Bool
}

extension ConversionOptions {
  /// Returns the tokenizer, and the vocabulary if there is one beside the model.
  func tokens(progress: (Int) -> Void) throws -> KnownTokens {
    var notes: [Note] = []
    let keras = try kerasTokenizer()
    let listed = keras == nil ? try listedTokens(progress, notes: &notes) : nil
    var source = tokenizer
    if case .kind(.whitespace, nil) = source, case .list(let path, _) = vocabulary,
      listed?.isOfCharacters == true
    {
      // White space is no word, so these tokens are characters.
      source = .kind(.character, space: nil)
      notes.append(
        Note(
          place: path,
          message: "lists single characters, white space among them: tokenizer character"))
    }
    if let keras {
      source = .definition(keras.path)
      notes.append(Note(place: keras.path, message: keras.note))
    }
    var (tokenizer, vocabulary) = try source.tokens(
      listed, appendsEndOfSentence: appendsEndOfSentence)
    // Lines of fairseq start with and end in `</s>`.
    if isOfFairseq, !tokenizer.kind.isDefined { tokenizer.sentenceStart = .eos }
    return KnownTokens(
      tokenizer: tokenizer, vocabulary: vocabulary, beside: try listBesideCorpus(), notes: notes,
      leavesLinesOpen: vocabulary != nil && !tokenizer.kind.isDefined && !isOfFairseq)
  }

  /// Returns the Keras `Tokenizer` in the file that lists the tokens or defines the tokenizer.
  private func kerasTokenizer() throws -> (path: String, note: String)? {
    let path: String
    switch (vocabulary, tokenizer) {
    case (.list(let list, nil), .kind(.whitespace, nil)): path = list
    case (_, .definition(let file)): path = file
    default: return nil
    }
    guard let summary = try TokenizerDefinition.kerasSummary(of: path) else { return nil }
    return (path, "read as a Tokenizer of Keras: \(summary)")
  }

  private var isOfFairseq: Bool {
    guard case .list(let path, let format) = vocabulary else { return false }
    return (format ?? VocabularyFormat(path: path)) == .fairseq
  }

  /// Returns the tokens of a list or of a corpus.
  ///
  /// A corpus in plain text gives its characters or bytes; one that has a symbol for the space, and
  /// spaces between characters, gives its words.
  private func listedTokens(
    _ progress: (Int) -> Void, notes: inout [Note]
  ) throws -> Vocabulary? {
    switch vocabulary {
    case .file: return nil
    case .list(let path, let format):
      return try Vocabulary(contentsOf: path, format: format, notes: &notes)
    case .corpus(let folder, let order):
      guard case .kind(let kind, let space) = tokenizer else {
        return try Vocabulary(corpus: folder, progress: progress)
      }
      let isText = [.character, .byte].contains(kind) && space == nil
      guard isText || (order ?? .firstSeen) != .firstSeen else {
        return try Vocabulary(corpus: folder, progress: progress)
      }
      var training = VocabularyTraining(
        tokenizer: isText ? Tokenizer(kind: kind) : Tokenizer())
      training.hasUnknown = false
      training.order = order ?? .firstSeen
      return try Vocabulary(trainedOn: vocabulary.paths, by: training, progress: progress)
    }
  }

  /// The names of token lists that programs leave in a corpus folder.
  private static let listNames = [
    "vocab.txt", "vocabulary.txt", "words.txt", "tokens.txt", "dict.txt", "vocab.json",
    "word2idx.json", "itos.pkl", "vocab.pkl", "chars_vocab.pkl",
  ]

  /// Returns the list of tokens in the corpus folder, if the order of ids was not stated.
  private func listBesideCorpus() throws -> (path: String, vocabulary: Vocabulary)? {
    guard case .corpus(let folder, nil) = vocabulary else { return nil }
    let paths = Self.listNames.map { "\(folder)/\($0)" }
    guard let path = paths.first(where: { FileManager.default.fileExists(atPath: $0) }),
      let listed = try? Vocabulary(contentsOf: path, format: nil)
    else { return nil }
    return (path, listed)
  }
}

/// End-of-sentence tokens of other programs.
private let endsOfSentences = ["<eos>", "</s>", "<|endoftext|>"]

/// Returns the tokenizer and the tokens of another program's file.
///
/// - Parameters:
///   - path: The file.
///   - vocabulary: The tokens, for a merges.txt.
/// - Returns: A tokenizer that appends no token, and the tokens.
/// - Throws: `FileError` if the file cannot be read; `TextError` if it defines no tokenizer that
///   this version supports.
public func definedTokens(
  _ path: String, _ vocabulary: Vocabulary? = nil
) throws -> (tokenizer: Tokenizer, vocabulary: Vocabulary) {
  do {
    return try TokenizerDefinition(contentsOf: path).definedTokens(vocabulary)
  } catch let error as DefinitionError {
    throw error.textError(path: path)
  }
}

extension TokenizerDefinition {
  /// Returns the tokenizer and the tokens of a definition.
  ///
  /// The end-of-sentence token is `<eos>`, `</s>` or `<|endoftext|>`, if there is one.
  ///
  /// - Parameter listed: The tokens, for a merges.txt.
  /// - Returns: A tokenizer that appends no token, and the tokens.
  /// - Throws: `DefinitionError` if it defines no tokenizer that this version supports.
  public func definedTokens(
    _ listed: Vocabulary? = nil
  ) throws -> (tokenizer: Tokenizer, vocabulary: Vocabulary) {
    var (kind, vocabulary) = try tokens(listed)
    vocabulary.endOfSentenceID =
      vocabulary.endOfSentenceID
      ?? endsOfSentences.lazy.compactMap { vocabulary.id(of: $0) }.first
    var tokenizer = Tokenizer(kind: kind, sentenceStart: .none, appendsEndOfSentence: false)
    tokenizer.definition = self
    return (tokenizer, vocabulary)
  }
}

extension TokenizerProbe {
  /// Creates the text of tokens from all over the vocabulary; `nil` if the tokenizer cannot read
  /// it.
  init?(of checkpoint: Checkpoint) {
    let vocabulary = checkpoint.vocabulary
    let step = max(1, vocabulary.count / 12)
    let tokens = stride(from: 0, to: vocabulary.count, by: step).filter {
      !vocabulary[$0].isEmpty && String(validating: vocabulary[$0], as: UTF8.self) != nil
    }
    guard let encoder = try? LanguageModel.encoder(of: checkpoint, path: "") else { return nil }
    let text =
      checkpoint.tokenizer.kind == .whitespace
      ? Array(tokens.map { vocabulary[$0] }.joined(separator: [0x20])) + [0x0A]
      : encoder.text(of: tokens.map { Int32($0) })
    guard let ids = try? encoder.ids(ofLines: text) else { return nil }
    self.init(text: text, ids: ids.map { UInt32(bitPattern: $0) })
  }
}

extension TokenizerKind {
  /// The unit of a token, for kinds whose tokens always stand for the same unit.
  fileprivate var unit: TokenUnit? {
    switch self {
    case .whitespace: .word
    case .character: .character
    case .byte: .byte
    case .greedy: .subword
    case .bpe, .wordpiece, .unigram, .wordlevel, .charlevel: nil
    }
  }
}
