// An n-gram model that predicts the tokens of a recurrent model.

import UnrollTensors
import UnrollTokenization

/// An n-gram model beside a recurrent model whose tokens are its words.
///
/// The end-of-sentence token is `</s>`, unknown text is `<unk>`, and each line begins after `<s>`. A token
/// of the recurrent model that the n-gram model lacks has the probability 0: `<unk>` stands for all of
/// them together.
public struct NGramScorer: Sendable {
  /// The n-gram model.
  public let model: NGramModel
  /// The number of tokens that the n-gram model gives no probability.
  public let missingCount: Int
  /// By token the word as a target; -1 for none.
  private let targets: [Int32]
  /// By token the word in a context; -1 for none.
  private let contexts: [Int32]
  private let start: Int32
  private let end: Int32?

  /// Finds the word of each token.
  ///
  /// - Parameters:
  ///   - model: The n-gram model.
  ///   - encoder: The recurrent model's encoder.
  /// - Throws: `EngineError` if the models have hardly a token in common, or ends of lines that the
  ///   recurrent model predicts have no probability.
  init(_ model: NGramModel, for encoder: Encoder) throws {
    let vocabulary = encoder.vocabulary
    func word(_ names: String...) -> Int32? {
      names.lazy.compactMap { model.words[Array($0.utf8)] }.first
    }
    let unknown = word("<unk>", "<UNK>")
    let ends = Set([vocabulary.endOfSentenceID, encoder.endOfSentenceID.map { Int($0) }])
    let targets = vocabulary.indices.map { id -> Int32 in
      if ends.contains(id) { return word("</s>") ?? -1 }
      if id == vocabulary.unknownID { return unknown ?? -1 }
      return model.words[Array(vocabulary[id])] ?? -1
    }
    missingCount = targets.count { $0 < 0 }
    guard 2 * missingCount <= targets.count else {
      throw EngineError(
        path: model.path, expected: "an n-gram model whose words are the tokens of the other model",
        found: "\(missingCount) of \(targets.count) tokens that it lacks",
        fix:
          "estimate it on a text that is cut into the same tokens, which `unroll tokenize` prints")
    }
    if let end = encoder.endOfSentenceID, targets[Int(end)] < 0 {
      throw EngineError(
        path: model.path, expected: "the word </s>", found: "none",
        fix: "the recurrent model predicts ends of lines: estimate the n-gram model with them")
    }
    self.model = model
    self.targets = targets
    contexts = targets.map { $0 < 0 ? unknown ?? -1 : $0 }
    start = word("<s>") ?? -1
    end = encoder.endOfSentenceID
  }

  /// Returns the log-probabilities of a line's tokens.
  func tokenLogProbabilities(ofSentence ids: [Int32]) -> [Double] {
    var context = [start]
    return ids.map { logProbability(of: $0, after: &context) }
  }

  /// Returns the log-probability of a token of a stream, and adds it to the context.
  ///
  /// - Parameters:
  ///   - id: The token.
  ///   - context: In: the words before; empty at the beginning of the text. Out: with the token.
  /// - Returns: The natural logarithm.
  func logProbability(of id: Int32, after context: inout [Int32]) -> Double {
    if context.isEmpty { context = [start] }
    let found = model.logProbability(of: targets[Int(id)], after: context[...])
    read(id, &context)
    return found
  }

  /// Adds a token to a context.
  func read(_ id: Int32, _ context: inout [Int32]) {
    if context.isEmpty { context = [start] }
    context = id == end ? [start] : context.suffix(max(0, model.order - 2)) + [contexts[Int(id)]]
  }
}
