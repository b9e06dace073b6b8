// Retention text: a text of the model before fine-tuning, measured during fine-tuning.

import UnrollFormat
import UnrollTokenization

/// A retention text.
///
/// Only words of both vocabularies are measured: others do not show what the model forgot.
public struct RetentionText: Sendable {
  /// The path of the text.
  public let path: String
  let oldIDs: [Int32]
  let ids: [Int32]
  let isKnown: [Bool]

  /// The number of measured tokens.
  public var knownCount: Int { isKnown.count { $0 } }
  /// The number of tokens.
  public var count: Int { ids.count }

  /// Reads a text.
  ///
  /// - Parameters:
  ///   - path: A file, plain or gzip.
  ///   - old: The encoder of the model before fine-tuning.
  ///   - new: The encoder of the fine-tuned model, whose tokens are of the same kind.
  /// - Throws: `FileError` or `TextError` if the text cannot be read or has words that one of the
  ///   models cannot encode.
  public init(path: String, old: Encoder, new: Encoder) throws {
    var lines = try LineReader(path: path, for: old.tokenizer)
    var oldIDs: [Int32] = []
    var ids: [Int32] = []
    var isKnown: [Bool] = []
    while let line = try lines.next() {
      let (before, after) = (try old.encode(line, path: path), try new.encode(line, path: path))
      let unknown = Set(before.unknown).union(after.unknown)
      isKnown += before.ids.indices.map { !unknown.contains($0) }
      oldIDs += before.ids
      ids += after.ids
    }
    self.path = path
    self.oldIDs = oldIDs
    self.ids = ids
    self.isKnown = isKnown
  }
}

extension LanguageModel {
  /// Returns the mean loss of the retention text's words, in nats, under the protocol `columns`.
  ///
  /// - Parameters:
  ///   - text: The text.
  ///   - isOld: `true` if this is the model before fine-tuning.
  ///   - progress: Called after each window.
  /// - Returns: The mean over the measured words.
  /// - Throws: `TextError` if there is nothing to predict; `NotFinite` if the model's output is not
  ///   finite.
  public func nll(
    of text: RetentionText, isOld: Bool = false,
    _ progress: (EvaluationProgress) throws -> Void = { _ in }
  ) throws -> Double {
    try losses(of: text, isOld: isOld, progress).knownNLL
  }

  /// Measures some columns of the retention text.
  func losses(
    of text: RetentionText, isOld: Bool = false,
    columns: Range<Int> = 0..<PerplexityProtocol.columnCount,
    _ progress: (EvaluationProgress) throws -> Void
  ) throws -> LossSums {
    let ids = isOld ? text.oldIDs : text.ids
    return LossSums(
      try perplexity(
        ofColumns: ids, isKnown: text.isKnown, path: text.path, columns: columns, progress))
  }
}
