// What a model should not forget: a text that it knew before, measured while it learns another.

import UnrollFormat
import UnrollTokenization

/// A text of the model before its training.
///
/// Only words count that both vocabularies have: others are no measure of what the model forgot.
public struct KeptText: Sendable {
  /// The path that it came from.
  public let path: String
  let oldIDs: [Int32]
  let ids: [Int32]
  let isKnown: [Bool]

  /// The tokens that count.
  public var knownCount: Int { isKnown.count { $0 } }
  /// All tokens.
  public var count: Int { ids.count }

  /// Reads a text.
  ///
  /// - Parameters:
  ///   - path: A file, plain or gzip.
  ///   - old: The encoder of the model before.
  ///   - new: The encoder of the model in training, whose tokens are of the same kind.
  /// - Throws: `FileError` or `TextError` if the text cannot be read or has words that one of the
  ///   models cannot take.
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
    (self.path, self.oldIDs, self.ids, self.isKnown) = (path, oldIDs, ids, isKnown)
  }
}

extension LanguageModel {
  /// The mean loss of the words of a kept text, in nats, under the protocol `columns`.
  ///
  /// - Parameters:
  ///   - text: The text.
  ///   - isOld: `true` if this is the model before.
  ///   - progress: Called after each window.
  /// - Returns: The mean over the words that count.
  /// - Throws: `TextError` if there is nothing to predict; `NotFinite` if the model gives no numbers.
  public func nll(
    of text: KeptText, isOld: Bool = false,
    _ progress: (EvaluationProgress) throws -> Void = { _ in }
  ) throws -> Double {
    let ids = isOld ? text.oldIDs : text.ids
    let result = try perplexity(
      ofColumns: ids, isKnown: text.isKnown, path: text.path, progress)
    return (result.totalNLL - result.unknownNLL) / Double(result.predictions - result.unknown)
  }
}
