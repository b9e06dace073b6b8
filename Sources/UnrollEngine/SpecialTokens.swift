// Line conventions and special tokens: the token that starts a line, ends it, and stands for
// unknown text.

import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// The first or last token of a line, as the user states it.
public enum LineToken: Sendable, Hashable {
  /// No token.
  case none
  /// A token of the vocabulary, given by its text.
  case token(String)

  /// Reads `none`, or the text of a token.
  public init(_ text: String) { self = text == "none" ? .none : .token(text) }

  /// The text of the option.
  var text: String {
    switch self {
    case .none: "none"
    case .token(let token): token
    }
  }
}

/// The special tokens of a vocabulary, by their texts; `nil` for those that the vocabulary
/// determines itself.
public struct SpecialTokens: Sendable, Hashable {
  /// The token that each line ends with.
  public var end: LineToken?
  /// The token that each line starts from.
  public var beginning: LineToken?
  /// The token for text outside the vocabulary.
  public var unknown: String?

  /// Creates a value that names no token.
  public init() {}

  /// Adds the tokens of lines to a vocabulary built from texts, even if no text contains them.
  ///
  /// - Parameter training: The settings of vocabulary training. Out: with the tokens.
  public func apply(to training: inout VocabularyTraining) {
    if case .token(let token)? = beginning { training.lineStart = token }
    guard case .token(let token)? = end else { return }
    training.lineEnd = token
    training.tokenizer.appendsEndOfSentence = true
  }

  /// The tokens as `name=value`, for the history of a model.
  var arguments: [String] {
    [("eos", end?.text), ("bos", beginning?.text), ("unk", unknown)].compactMap { name, token in
      token.map { "\(name)=\($0)" }
    }
  }

  /// Sets these tokens in a model's vocabulary and tokenizer.
  ///
  /// - Parameters:
  ///   - checkpoint: The model. Out: with the tokens.
  ///   - path: The model's path, for messages.
  ///   - fix: The advice if the vocabulary lacks a token.
  /// - Throws: `TextError` if the vocabulary lacks a token.
  public func apply(
    to checkpoint: inout Checkpoint, path: String,
    fix: String = "give a token as it is in the model's vocabulary"
  ) throws {
    func id(_ token: String) throws -> Int {
      guard let id = checkpoint.vocabulary.id(of: token) else {
        throw TextError(
          path: path, line: nil, expected: "a token of the vocabulary", found: token, fix: fix)
      }
      return id
    }
    if let unknown { checkpoint.vocabulary.unknownID = try id(unknown) }
    switch end {
    case .token(let token)?:
      checkpoint.vocabulary.endOfSentenceID = try id(token)
      checkpoint.tokenizer.appendsEndOfSentence = true
      checkpoint.tokenizer.sentenceStart = .eos
    case LineToken.none?:
      checkpoint.tokenizer.appendsEndOfSentence = false
    case nil: break
    }
    switch beginning {
    case .token(let token)?:
      checkpoint.vocabulary.beginningOfSentenceID = try id(token)
      checkpoint.tokenizer.sentenceStart = .bos
    case LineToken.none?:
      checkpoint.tokenizer.sentenceStart = .none
    case nil: break
    }
    // The ids of the tokenizer's probe text have changed.
    guard self != SpecialTokens(), checkpoint.tokenizer.probe != nil else { return }
    checkpoint.tokenizer.probe = nil
    checkpoint.tokenizer.probe = TokenizerProbe(of: checkpoint)
  }

  /// Refuses tokens that contradict the line conventions of a resumed training.
  ///
  /// - Parameters:
  ///   - checkpoint: The saved model.
  ///   - path: Its path, for messages.
  /// - Throws: `TextError` if the vocabulary lacks a token or the conventions differ.
  public func check(against checkpoint: Checkpoint, path: String) throws {
    var stated = checkpoint
    try apply(to: &stated, path: path)
    for (option, isGiven, own, other) in [
      ("--line-start", beginning != nil, checkpoint.lineStart, stated.lineStart),
      ("--line-end", end != nil, checkpoint.lineEnd, stated.lineEnd),
    ] where isGiven && own != other {
      throw TextError(
        path: path, line: nil,
        expected: "\(option) as the training began: \(own ?? "none")", found: other ?? "none",
        fix: "leave it out: the file has the line conventions; a new training may have others")
    }
  }

  /// Sets these tokens in a converted model, and states its line conventions if they were a choice.
  ///
  /// Without these tokens the conventions are those of `Tokenizer.chooseLineConvention(for:)`.
  ///
  /// - Parameters:
  ///   - conversion: The model. Out: with the tokens, and a note on assumptions.
  ///   - path: The model's path, for messages.
  ///   - isChoice: `true` if the source of the tokens does not determine the conventions.
  /// - Throws: `TextError` if the vocabulary lacks a token.
  func apply(to conversion: inout Conversion, path: String, isChoice: Bool) throws {
    try apply(to: &conversion.checkpoint, path: path)
    guard isChoice, end == nil || beginning == nil else { return }
    conversion.notes += note(on: conversion.checkpoint).map { [$0] } ?? []
  }

  /// Returns the note on line conventions that were not stated; `nil` if they are
  /// word_language_model's.
  private func note(on checkpoint: Checkpoint) -> Note? {
    let vocabulary = checkpoint.vocabulary
    let tokenizer = checkpoint.tokenizer
    let isUsual =
      tokenizer.appendsEndOfSentence && tokenizer.sentenceStart == .eos
      && vocabulary.endOfSentenceID == vocabulary.id(of: "<eos>")
      && vocabulary.beginningOfSentenceID == nil
    guard !isUsual else { return nil }
    let likely = Self.likelyNames.filter { vocabulary.id(of: $0) != nil }
    return Note(
      place: Layout.vocabulary,
      message:
        "assumed: \(checkpoint.lineConvention); --line-start and --line-end state others"
        + (checkpoint.lineEnd == nil && !likely.isEmpty
          ? "; the vocabulary has \(likely.joined(separator: " and ")), which may be such tokens"
          : ""))
  }

  /// Names of tokens around lines that are words in other vocabularies, so that nothing is made of them unasked.
  private static let likelyNames = [
    "SOS", "EOS", "BOS", "<sos>", "<bos>", "[SOS]", "[BOS]", "[EOS]", "<start>", "<end>", "START",
    "END", "<go>", "GO",
  ]
}

extension Checkpoint {
  /// The token that starts each line, if there is one.
  public var lineStart: String? {
    let id: Int? =
      switch tokenizer.sentenceStart {
      case .eos: vocabulary.endOfSentenceID
      case .bos: vocabulary.beginningOfSentenceID
      case .none: nil
      }
    return id.map { vocabulary.text(of: $0) }
  }

  /// The token that ends each line, if there is one.
  public var lineEnd: String? {
    guard tokenizer.appendsEndOfSentence, let id = vocabulary.endOfSentenceID else { return nil }
    return vocabulary.text(of: id)
  }

  /// The treatment of the start and the end of a line, in words.
  public var lineConvention: String {
    let start = lineStart.map { "\(excerpt($0)) starts each line" } ?? "no token starts a line"
    let without = tokenizer.lineEnds == .kept ? "its line feed is text" : "none ends it"
    return start + ", " + (lineEnd.map { "\(excerpt($0)) ends it" } ?? without)
  }
}

extension Encoder {
  /// `true` if the end of each line is predicted: as a token of its own, or as a line feed in the text.
  var predictsLineEnds: Bool { endOfSentenceID != nil || tokenizer.lineEnds == .kept }

  /// A token that starts or ends lines and that lines of a text have already.
  public struct RepeatedToken: Sendable {
    /// `true` at the start of lines, `false` at their end.
    public let isStart: Bool
    /// The token.
    public let token: String
    /// The number of lines that have it, and of lines looked at.
    public let lines: (having: Int, seen: Int)
  }

  /// Returns the tokens at the start and at the end of lines that the first lines of a text already have as
  /// words, so that they would get a second one.
  ///
  /// - Parameter path: The text; a text that can be read only once is not looked into.
  /// - Returns: None if lines come without them, or the text cannot be read.
  public func repeatedLineTokens(inText path: String) -> [RepeatedToken] {
    guard var lines = LineReader.peeking(into: path, for: tokenizer) else { return [] }
    let mostLines = 100
    var seen = 0
    var starts = 0
    var ends = 0
    while seen < mostLines, let line = try? lines.next() {
      guard let encoded = try? encode(line, path: path), encoded.ids.count > 1 else { continue }
      seen += 1
      // A line of one token has no word behind its start.
      if let sentenceStartID, encoded.ids.count > 2, encoded.ids[0] == sentenceStartID {
        starts += 1
      }
      if let endOfSentenceID, encoded.ids[encoded.ids.count - 2] == endOfSentenceID { ends += 1 }
    }
    func repeated(_ isStart: Bool, _ id: Int32?, _ count: Int) -> RepeatedToken? {
      guard let id, count > 0 else { return nil }
      return RepeatedToken(
        isStart: isStart, token: vocabulary.text(of: Int(id)), lines: (count, seen))
    }
    return [repeated(true, sentenceStartID, starts), repeated(false, endOfSentenceID, ends)]
      .compactMap { $0 }
  }
}
