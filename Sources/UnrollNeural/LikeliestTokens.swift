// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The likeliest tokens at each position, and the ranks of the true ones, found panel by panel.

import UnrollTensors

/// A token that a model expects, with its probability.
public struct TokenGuess: Sendable, Equatable {
  /// The token.
  public let token: Int32
  /// The natural logarithm of its probability.
  public let logProbability: Float

  /// Creates a guess.
  public init(token: Int32, logProbability: Float) {
    self.token = token
    self.logProbability = logProbability
  }
}

/// The likeliest tokens of distributions, and the ranks of targets.
public struct LikeliestTokens: Sendable {
  /// For each distribution its likeliest tokens, in descending order; empty if not requested.
  ///
  /// Of equally likely ones the first in the vocabulary comes first.
  public internal(set) var guesses: [[TokenGuess]] = []
  /// For each target 1 + the number of likelier tokens, 0 for no target; empty if not requested.
  public internal(set) var ranks: [Int] = []

  /// Creates the result of some distributions and targets, or of no request.
  public init(guesses: [[TokenGuess]] = [], ranks: [Int] = []) {
    self.guesses = guesses
    self.ranks = ranks
  }

  /// Appends the result of the distributions and targets that follow.
  public mutating func append(_ other: LikeliestTokens) {
    guesses += other.guesses
    ranks += other.ranks
  }
}

/// Finds the likeliest tokens and ranks of a window.
///
/// A first pass over the panels keeps the largest logits of each row; a second one, which computes the same
/// logits again, counts those above a target's: all of a window at once could be gigabytes.
struct LikeliestSearch {
  private typealias Candidate = (logit: Float, token: Int32)

  private let count: Int
  private var candidates: [[Candidate]] = []
  /// Out: the result.
  private(set) var found = LikeliestTokens()

  /// Creates a search.
  ///
  /// - Parameter count: The number of tokens for each row; `nil` is returned for 0.
  init?(count: Int) {
    guard count > 0 else { return nil }
    self.count = count
  }

  /// Begins a window.
  mutating func begin(_ targets: OutputTargets) {
    candidates = Array(repeating: [], count: targets.M)
    found.ranks = targets.tokens.map { $0 < 0 ? 0 : 1 }
  }

  /// Adds the logits of a panel in the first pass.
  ///
  /// - Parameters:
  ///   - logits: `[rows.count, panel.count]`
  ///   - rows: The rows of the window.
  ///   - panel: The outputs of the panel; panels come in ascending order.
  mutating func add(_ logits: UnsafePointer<Float>, rows: Range<Int>, panel: Range<Int>) {
    for row in rows {
      let own = logits + (row - rows.lowerBound) * panel.count
      for index in 0..<panel.count {
        let logit = own[index]
        if candidates[row].count == count {
          guard let least = candidates[row].last, logit > least.logit else { continue }
          candidates[row].removeLast()
        }
        let place = candidates[row].partitioningIndex { $0.logit < logit }
        candidates[row].insert((logit, Int32(panel.lowerBound + index)), at: place)
      }
    }
  }

  /// Counts the logits of a panel that are above those of targets, in the second pass.
  ///
  /// - Parameters:
  ///   - logits: `[rows.count, panel.count]`
  ///   - rows: The rows of the window.
  ///   - panel: The outputs of the panel.
  ///   - targets: The targets.
  ///   - targetLogits: The logit of each.
  mutating func rank(
    _ logits: UnsafePointer<Float>, rows: Range<Int>, panel: Range<Int>, _ targets: OutputTargets,
    _ targetLogits: [Float]
  ) {
    for index in targets.indices(of: rows) where targets.tokens[index] >= 0 {
      let own = logits + (targets.rows[index] - rows.lowerBound) * panel.count
      let limit = targetLogits[index]
      var larger = 0
      for column in 0..<panel.count where own[column] > limit { larger += 1 }
      found.ranks[index] += larger
    }
  }

  /// Ends a window.
  ///
  /// - Parameters:
  ///   - logPartitions: `[M]` logarithms of the sums over the whole vocabulary.
  ///   - token: Returns the token of an output.
  mutating func finish(_ logPartitions: [Double], token: (Int32) -> Int32) {
    found.guesses = zip(candidates, logPartitions).map { candidates, logPartition in
      candidates.map {
        TokenGuess(
          token: token($0.token), logProbability: Float(Double($0.logit) - logPartition))
      }
    }
  }
}
