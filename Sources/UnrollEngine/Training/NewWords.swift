// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Changes the vocabulary of a model: adds rows for new words.

import Foundation
import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// The settings for adding words of a text that the vocabulary lacks.
public struct NewWords: Sendable {
  /// The treatment of existing tokens.
  public enum Mode: String, Sendable, CaseIterable {
    /// Keeps existing tokens with their ids and rows; new ones follow.
    case extend
    /// Removes tokens that the text lacks; the others keep their rows.
    case replace
  }

  /// The initial value of a new word's rows of embedding and output.
  public enum Rows: String, Sendable, CaseIterable {
    /// The row of the unknown token, which shares its probability with the k new words: the bias b
    /// of each of the k + 1 becomes b - ln(k + 1), so no other token's probability changes.
    case unknown
    /// The mean of the rows of all tokens that stand for text.
    case mean
    /// The mean of the rows of the tokens that the word consists of, matched greedily by length; of
    /// all tokens if there are none.
    case pieces
  }

  /// The treatment of existing tokens.
  public var mode = Mode.extend
  /// The initial value of new rows; `nil` for the unknown token's if there is one, else the mean.
  public var rows: Rows?
  /// The minimum frequency of a new word in the text.
  public var minimumCount = 1

  /// Creates the defaults: all words of the text, in addition to the old ones.
  public init() {}

  /// The settings as lines for the history of a model; rows that the model decides are left out.
  var arguments: String {
    (["vocabulary=\(mode.rawValue)"] + (rows.map { ["new_rows=\($0.rawValue)"] } ?? []) + [
      "minimum_count=\(minimumCount)"
    ]).joined(separator: "\n")
  }

  /// Returns a model with the words of a text.
  ///
  /// Old rows are preserved except for the bias of the unknown token. Optimizer state of new rows
  /// starts as for new parameters.
  ///
  /// - Parameters:
  ///   - checkpoint: The model; its tokens are words or characters.
  ///   - path: Its path, for errors.
  ///   - text: The text.
  /// - Returns: The model, and a report.
  /// - Throws: `EngineError` if the model's tokens are of another kind, or if new rows need an
  ///   unknown token and there is none; the errors of reading the text.
  public func apply(
    to checkpoint: Checkpoint, path: String, text: String
  ) throws -> (checkpoint: Checkpoint, report: NewWordsReport) {
    let old = checkpoint.vocabulary
    guard checkpoint.architecture.input == .embedding else {
      throw EngineError(
        path: path, expected: "a model with an embedding, which gets new rows",
        found: "one with one-hot input", fix: "leave --vocabulary out")
    }
    guard checkpoint.architecture.tails.isEmpty else {
      throw EngineError(
        path: path, expected: "one softmax over all tokens, which gets new rows",
        found: "an adaptive softmax, whose tokens are in the order of their frequency",
        fix: "leave --vocabulary out, or train a new model")
    }
    guard [.whitespace, .character].contains(checkpoint.tokenizer.kind), old.scores == nil else {
      throw EngineError(
        path: path, expected: "a model of words or characters, which can lack some",
        found: "tokens of the kind \(checkpoint.tokenizer.kind.rawValue)",
        fix: "leave --vocabulary out: such tokens are fixed by what defines them")
    }
    let rows = rows ?? (old.unknownID == nil ? .mean : .unknown)
    guard rows != .unknown || old.unknownID != nil else {
      throw EngineError(
        path: path, expected: "a token for unknown words, whose row new words get",
        found: "a vocabulary without one", fix: "give --new-rows mean or pieces")
    }
    var training = VocabularyTraining(tokenizer: checkpoint.tokenizer)
    (training.minimumCount, training.hasUnknown) = (minimumCount, false)
    let trained = try Vocabulary(trainedOn: [text], by: training)
    let plan = plan(old, trained)
    var changed = checkpoint
    changed.vocabulary = plan.vocabulary
    changed.architecture.vocabularySize = plan.vocabulary.count
    changed.tokenizer.probe = nil
    let builder = RowBuilder(
      plan: plan, rows: rows, sources: try sources(plan, rows, old),
      all: old.indices.filter { old.standsForText($0) && $0 != old.unknownID },
      unknownID: old.unknownID)
    changed.parameters = builder.parameters(checkpoint.parameters)
    for (slot, tree) in checkpoint.optimizer?.slots ?? [:] {
      changed.optimizer?.slots[slot] = builder.slot(slot, tree, checkpoint.optimizer)
    }
    changed.tokenizer.probe = checkpoint.tokenizer.probe.flatMap { _ in TokenizerProbe(of: changed)
    }
    return (
      changed,
      NewWordsReport(
        mode: mode, rows: rows, newCount: plan.newIDs.count,
        droppedCount: old.count - (plan.oldIDs.count - plan.newIDs.count),
        minimumCount: minimumCount)
    )
  }

  /// Returns the new vocabulary and the sources of its rows.
  private func plan(_ old: Vocabulary, _ trained: Vocabulary) -> VocabularyPlan {
    var seen = [Bool](repeating: false, count: old.count)
    var fresh: [Int] = []
    for id in trained.indices {
      if let known = old.id(of: trained.text(of: id)) {
        seen[known] = true
      } else {
        fresh.append(id)
      }
    }
    let kept = old.indices.filter {
      mode == .extend || seen[$0] || !old.standsForText($0) || $0 == old.unknownID
    }
    var vocabulary = Vocabulary(
      tokens: kept.map { old[$0] } + fresh.map { trained[$0] }, unit: old.unit)
    for role in SpecialToken.allCases {
      vocabulary[role] = old[role].flatMap { kept.firstIndex(of: $0) }
    }
    vocabulary.kinds = old.kinds.map { kinds in kept.map { kinds[$0] } + fresh.map { _ in .normal }
    }
    vocabulary.counts = old.counts.map { counts in
      kept.map { counts[$0] } + fresh.map { trained.counts?[$0] ?? 0 }
    }
    return VocabularyPlan(
      vocabulary: vocabulary, oldIDs: kept.map { $0 } + fresh.map { _ in nil },
      newIDs: Array(kept.count..<vocabulary.count))
  }

  /// Returns the old tokens whose rows are averaged into each new row; no entry for the mean of all
  /// tokens.
  private func sources(
    _ plan: VocabularyPlan, _ rows: Rows, _ old: Vocabulary
  ) throws -> [Int: [Int]] {
    switch rows {
    case .unknown:
      return Dictionary(uniqueKeysWithValues: plan.newIDs.map { ($0, [old.unknownID ?? 0]) })
    case .mean: return [:]
    case .pieces:
      let encoder = try Encoder(
        vocabulary: old,
        tokenizer: Tokenizer(kind: .greedy, sentenceStart: .none, appendsEndOfSentence: false),
        path: "")
      return Dictionary(
        uniqueKeysWithValues: plan.newIDs.map { id in
          let line = TextLine(bytes: Array(plan.vocabulary[id]), terminatorCount: 0, number: 0)
          let pieces = (try? encoder.encode(line, path: "")).map { encoded in
            encoded.ids.indices.filter { !encoded.unknown.contains($0) }.map {
              Int(encoded.ids[$0])
            }
          }
          return (id, pieces ?? [])
        })
    }
  }
}

/// A report on a change of the vocabulary.
public struct NewWordsReport: Sendable {
  /// The treatment of existing tokens.
  public let mode: NewWords.Mode
  /// The initial value of new rows.
  public let rows: NewWords.Rows
  /// The number of new tokens.
  public let newCount: Int
  /// The number of removed tokens.
  public let droppedCount: Int
  let minimumCount: Int

  /// The settings as lines for the history of a model.
  var arguments: String {
    """
    vocabulary=\(mode.rawValue)
    new_rows=\(rows.rawValue)
    minimum_count=\(minimumCount)
    new_tokens=\(newCount)
    dropped_tokens=\(droppedCount)
    """
  }
}

/// A vocabulary and the sources of its rows.
private struct VocabularyPlan {
  let vocabulary: Vocabulary
  /// The old id of each token, or `nil` for a new one.
  let oldIDs: [Int?]
  /// The new tokens.
  let newIDs: [Int]
}

/// Builds the rows of a vocabulary from those of another.
private struct RowBuilder {
  let plan: VocabularyPlan
  let rows: NewWords.Rows
  /// For each new token, the old tokens whose mean it starts with; no entry for the mean of all
  /// tokens.
  let sources: [Int: [Int]]
  /// The old tokens that stand for text.
  let all: [Int]
  let unknownID: Int?

  /// The parameters with a row for each token.
  private static let paths: [ParameterPath] = [.embeddingWeight, .outputWeight, .outputBias]

  func parameters(_ old: ParameterTree<Tensor>) -> ParameterTree<Tensor> {
    var tree = old
    for path in Self.paths {
      guard let tensor = old[path], let numbers = tensor.floats() else { continue }
      var rebuilt = rebuild(numbers, width(tensor), new: mean)
      if path == .outputBias && rows == .unknown { share(&rebuilt) }
      tree[path] = resized(tensor, rebuilt)
    }
    return tree
  }

  /// Returns an optimizer slot for the new vocabulary.
  func slot(
    _ slot: OptimizerSlot, _ old: ParameterTree<Tensor>, _ optimizer: OptimizerState?
  ) -> ParameterTree<Tensor> {
    // An average of parameters is rebuilt like parameters.
    guard slot != .average else { return parameters(old) }
    var tree = old
    for path in Self.paths {
      guard let tensor = old[path], let numbers = tensor.floats() else { continue }
      let group = optimizer?.groups.first { $0.parameters.contains(path) }
      let initial = Float(slot == .sumOfSquares ? group?[.initialAccumulator] ?? 0 : 0)
      let rebuilt = rebuild(numbers, width(tensor)) { _, _, width in
        Array(repeating: initial, count: width)
      }
      tree[path] = resized(tensor, rebuilt)
    }
    return tree
  }

  private func width(_ tensor: Tensor) -> Int {
    tensor.shape.dimensions.dropFirst().reduce(1, *)
  }

  private func resized(_ tensor: Tensor, _ numbers: [Float]) -> Tensor {
    Tensor(
      numbers,
      shape: Shape([plan.vocabulary.count] + tensor.shape.dimensions.dropFirst()))
  }

  /// Returns old rows at their new indices, and new rows.
  private func rebuild(
    _ numbers: [Float], _ width: Int, new: ([Int], [Float], Int) -> [Float]
  ) -> [Float] {
    let common = new(all, numbers, width)
    return plan.oldIDs.enumerated().flatMap { id, old -> ArraySlice<Float> in
      if let old { return numbers[old * width..<(old + 1) * width] }
      guard let tokens = sources[id], !tokens.isEmpty else { return common[...] }
      return new(tokens, numbers, width)[...]
    }
  }

  private func mean(_ tokens: [Int], _ numbers: [Float], _ width: Int) -> [Float] {
    if tokens.count == 1 { return Array(numbers[tokens[0] * width..<(tokens[0] + 1) * width]) }
    var sums = [Double](repeating: 0, count: width)
    for token in tokens {
      for column in 0..<width { sums[column] += Double(numbers[token * width + column]) }
    }
    return sums.map { Float($0 / Double(max(1, tokens.count))) }
  }

  /// Shares the probability of the unknown token with the new tokens.
  private func share(_ bias: inout [Float]) {
    let part = Elementary.log(Double(plan.newIDs.count + 1))
    let sharing = plan.newIDs + [plan.oldIDs.firstIndex(of: unknownID)].compactMap { $0 }
    for id in sharing { bias[id] = Float(Double(bias[id]) - part) }
  }
}
