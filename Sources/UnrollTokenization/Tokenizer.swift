// How text becomes tokens.

/// The kind of a tokenizer.
public enum TokenizerKind: String, Sendable, Hashable, CaseIterable {
  /// Words between white space, as Python's `str.split` finds them.
  case whitespace
}

/// The token that a sentence starts from.
public enum SentenceStart: String, Sendable, Hashable, CaseIterable {
  /// The end-of-sentence token of the sentence before.
  case eos
  /// Nothing: the first token has no context and is not predicted.
  case none
}

/// A tokenizer's kind and options.
public struct Tokenizer: Sendable, Hashable {
  /// The kind.
  public var kind: TokenizerKind
  /// The token that a sentence starts from.
  public var sentenceStart: SentenceStart
  /// Whether each line ends with the end-of-sentence token.
  public var appendsEndOfSentence: Bool

  /// Creates a tokenizer.
  public init(
    kind: TokenizerKind = .whitespace, sentenceStart: SentenceStart = .eos,
    appendsEndOfSentence: Bool = true
  ) {
    self.kind = kind
    self.sentenceStart = sentenceStart
    self.appendsEndOfSentence = appendsEndOfSentence
  }
}
