// Tokens that a person names: those that begin and end sentences, and the one for unknown text.

import UnrollFormat
import UnrollTokenization

/// The tokens of a vocabulary that mean something, by their texts; `nil` for those that it tells itself.
public struct SpecialTokens: Sendable, Hashable {
  /// The token that each line ends with.
  public var end: String?
  /// The token that sentences start from, instead of the one that ends them.
  public var beginning: String?
  /// The token for text that the vocabulary lacks.
  public var unknown: String?

  /// Creates no names.
  public init() {}

  /// The names as `name=value`, for the history of a model.
  var arguments: [String] {
    [("eos", end), ("bos", beginning), ("unk", unknown)].compactMap { name, token in
      token.map { "\(name)=\($0)" }
    }
  }

  /// Gives a model's vocabulary and tokenizer these tokens.
  ///
  /// - Throws: `TextError` if the vocabulary lacks one.
  func apply(to checkpoint: inout Checkpoint, path: String) throws {
    func id(_ token: String) throws -> Int {
      guard let id = checkpoint.vocabulary.id(of: token) else {
        throw TextError(
          path: path, line: nil, expected: "a token of the vocabulary", found: token,
          fix: "give a token as it is in the list")
      }
      return id
    }
    if let unknown { checkpoint.vocabulary.unknownID = try id(unknown) }
    if let end {
      checkpoint.vocabulary.endOfSentenceID = try id(end)
      checkpoint.tokenizer.appendsEndOfSentence = true
      checkpoint.tokenizer.sentenceStart = .eos
    }
    if let beginning {
      checkpoint.vocabulary.beginningOfSentenceID = try id(beginning)
      checkpoint.tokenizer.sentenceStart = .bos
    }
  }
}
