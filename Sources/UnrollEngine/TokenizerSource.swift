// How the text of a converted model becomes tokens, and which tokens it has.

import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// Where the tokenizer of a model comes from whose file has none.
public enum TokenizerSource: Sendable {
  /// A kind that needs nothing but a vocabulary; `space` is the sign for U+0020, for characters.
  case kind(TokenizerKind, space: String?)
  /// The file of another program, which has tokens too unless it is a merges.txt.
  case definition(String)

  /// The files that it reads.
  public var paths: [String] {
    if case .definition(let path) = self { return [path] }
    return []
  }

  /// What it is called in the history of a model; `nil` for words, as models were converted before
  /// there was a choice.
  var name: String? {
    switch self {
    case .kind(.whitespace, _): nil
    case .kind(let kind, let space): kind.rawValue + (space.map { " space=\($0)" } ?? "")
    case .definition: "definition"
    }
  }
}

extension ConversionOptions {
  /// The vocabulary, if there is one beside the model, and the tokenizer.
  func tokens(
    progress: (Int) -> Void
  ) throws -> (vocabulary: Vocabulary?, tokenizer: Tokenizer) {
    switch tokenizer {
    case .kind(let kind, let space):
      var tokenizer = Tokenizer(kind: kind, space: space)
      var vocabulary = try vocabulary(of: tokenizer, progress)
      if let unit = kind.unit { vocabulary?.unit = unit }
      // Without a token for it, the end of a line is text.
      if kind != .whitespace, let vocabulary, vocabulary.endOfSentenceID == nil {
        (tokenizer.appendsEndOfSentence, tokenizer.sentenceStart) = (false, .none)
      }
      return (vocabulary, tokenizer)
    case .definition(let path):
      let list = try vocabulary.vocabulary(progress: progress)
      var (tokenizer, vocabulary) = try definedTokens(path, list)
      if vocabulary.endOfSentenceID != nil { tokenizer.sentenceStart = .eos }
      tokenizer.appendsEndOfSentence = appendsEndOfSentence
      return (vocabulary, tokenizer)
    }
  }

  /// A corpus in plain text gives its characters or bytes; one that has a sign for a space, and spaces
  /// between its characters, its words.
  private func vocabulary(
    of tokenizer: Tokenizer, _ progress: (Int) -> Void
  ) throws -> Vocabulary? {
    guard case .corpus = vocabulary, tokenizer.space == nil,
      [.character, .byte].contains(tokenizer.kind)
    else { return try vocabulary.vocabulary(progress: progress) }
    var training = VocabularyTraining(tokenizer: tokenizer)
    training.hasUnknown = false
    return try Vocabulary(trainedOn: vocabulary.paths, by: training, progress: progress)
  }
}

/// The tokenizer and the tokens of another program's file.
///
/// The end of a sentence is the token `<eos>`, `</s>` or `<|endoftext|>`, if there is one.
///
/// - Parameters:
///   - path: The file.
///   - vocabulary: The tokens, for a merges.txt.
/// - Returns: A tokenizer that appends no token, and the tokens.
/// - Throws: `FileError` if the file cannot be read; `TextError` if it defines no tokenizer that this
///   version has.
public func definedTokens(
  _ path: String, _ vocabulary: Vocabulary? = nil
) throws -> (tokenizer: Tokenizer, vocabulary: Vocabulary) {
  let file = try MappedFile(path: path)
  do {
    let definition = try TokenizerDefinition(file.copy(0..<file.count))
    var (kind, tokens) = try definition.tokens(vocabulary)
    tokens.endOfSentenceID =
      tokens.endOfSentenceID
      ?? ["<eos>", "</s>", "<|endoftext|>"].lazy.compactMap { tokens.id(of: $0) }.first
    var tokenizer = Tokenizer(kind: kind, sentenceStart: .none, appendsEndOfSentence: false)
    tokenizer.definition = definition
    return (tokenizer, tokens)
  } catch let error as DefinitionError {
    throw error.textError(path: path)
  }
}

extension TokenizerKind {
  /// What a token of such a tokenizer stands for, if that is always the same.
  fileprivate var unit: TokenUnit? {
    switch self {
    case .whitespace: .word
    case .character: .character
    case .byte: .byte
    case .greedy: .subword
    case .bpe, .wordpiece, .unigram: nil
    }
  }
}
