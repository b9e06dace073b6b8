// Tokenizers, which turn text into tokens.

/// The kind of a tokenizer.
public enum TokenizerKind: String, Sendable, Hashable, CaseIterable {
  /// Words between white space, as Python's `str.split` finds them.
  case whitespace
  /// Unicode scalars, each a token.
  case character
  /// Bytes, each a token.
  case byte
  /// The longest token with which the text continues.
  case greedy
  /// Byte-pair encoding.
  case bpe
  /// Greedy pieces of words.
  case wordpiece
  /// The most probable pieces.
  case unigram
  /// Whole words, cut as a file of another program defines.
  case wordlevel
  /// Characters, each a token, after the normalization that a file of another program defines.
  case charlevel

  /// `true` if a file of another program defines a tokenizer of this kind.
  public var isDefined: Bool {
    switch self {
    case .whitespace, .character, .byte, .greedy: false
    case .bpe, .wordpiece, .unigram, .wordlevel, .charlevel: true
    }
  }
}

/// The token that a sentence starts from.
public enum SentenceStart: String, Sendable, Hashable, CaseIterable {
  /// The end-of-sentence token of the sentence before.
  case eos
  /// The beginning-of-sentence token.
  case bos
  /// Nothing: the first token has no context and is not predicted.
  case none
}

/// The unchanged file that defines a tokenizer in another program.
public struct TokenizerDefinition: Sendable, Hashable {
  /// Its format, such as `tokenizer.json`.
  public var format: String
  /// Its bytes.
  public var bytes: [UInt8]

  /// Creates a definition.
  public init(format: String, bytes: [UInt8]) {
    self.format = format
    self.bytes = bytes
  }
}

/// A text and its tokens, so that every reader can compare its own tokenizer.
public struct TokenizerProbe: Sendable, Hashable {
  /// Lines of text.
  public var text: [UInt8]
  /// The ids of its tokens.
  public var ids: [UInt32]

  /// Creates a probe.
  public init(text: [UInt8], ids: [UInt32]) {
    self.text = text
    self.ids = ids
  }
}

/// A tokenizer's kind and options.
public struct Tokenizer: Sendable, Hashable {
  /// The kind.
  public var kind: TokenizerKind
  /// The token that a sentence starts from.
  public var sentenceStart: SentenceStart
  /// `true` if each line ends with the end-of-sentence token.
  public var appendsEndOfSentence: Bool
  /// The token that stands for U+0020, for characters whose vocabulary has another sign for it.
  public var space: String?
  /// The file that it was defined by, if there was one.
  public var definition: TokenizerDefinition?
  /// A text and the tokens that it gives, if they were recorded.
  public var probe: TokenizerProbe?

  /// Creates a tokenizer.
  public init(
    kind: TokenizerKind = .whitespace, sentenceStart: SentenceStart = .eos,
    appendsEndOfSentence: Bool = true, space: String? = nil
  ) {
    self.kind = kind
    self.sentenceStart = sentenceStart
    self.appendsEndOfSentence = appendsEndOfSentence
    self.space = space
  }

  /// Chooses the start and end of a line by the special tokens of a vocabulary.
  ///
  /// With a token that begins sentences and one that ends them, lines start from the first and end with the
  /// second; with only the second, as in word_language_model, they start from it, too. With neither, a line
  /// starts from nothing, and its end is text, or nothing for words.
  package mutating func chooseLineConvention(for vocabulary: Vocabulary) {
    if vocabulary.endOfSentenceID == nil {
      appendsEndOfSentence = false
      sentenceStart = .none
    } else if vocabulary.beginningOfSentenceID != nil {
      sentenceStart = .bos
    }
  }

  /// The tokenizer that the definition describes.
  ///
  /// - Throws: `DefinitionError` if there is none, it cannot be read, it is of another kind, or its
  ///   tokens are not those of the vocabulary.
  package func check(_ vocabulary: Vocabulary) throws {
    if kind.isDefined || definition != nil { _ = try defined(vocabulary) }
  }

  func defined(_ vocabulary: Vocabulary) throws -> DefinedTokenizer {
    guard let definition else {
      throw DefinitionError("definition", expected: "a tokenizer's own file", found: "none")
    }
    let defined = try definition.tokenizer(vocabulary)
    guard defined.kind == kind else {
      throw DefinitionError(
        "definition", expected: "a tokenizer of the kind \"\(kind.rawValue)\"",
        found: "one of the kind \"\(defined.kind.rawValue)\"")
    }
    for (token, id) in defined.tokens {
      guard id < vocabulary.count, vocabulary[Int(id)].elementsEqual(token) else {
        throw DefinitionError(
          "definition", expected: "the tokens of the vocabulary",
          found: "\"\(String(decoding: token, as: UTF8.self))\" at \(id)")
      }
    }
    return defined
  }

  /// The rule by which a text is cut into lines for this tokenizer.
  public var lineEnds: LineEnds {
    if kind == .whitespace { return .universal }
    return appendsEndOfSentence ? .lineFeed : .kept
  }
}
