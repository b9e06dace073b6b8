// Scores of text outside the vocabulary.

/// The score of a token that stands for text outside the vocabulary.
///
/// A model gives a probability to unknown words as a whole, none to a single one. With that
/// probability, a sentence with misspelled words is often more probable than the correct one.
public enum UnknownWords: Sendable, Hashable {
  /// No score: a word or a sentence with such a token has none.
  case undefined
  /// No score: sentences are summed without such tokens, and words with one have no score.
  case exclude
  /// The probability of unknown words as a whole.
  case include
  /// The probability of unknown words as a whole, divided by e to this power: the logarithm, in nats, of the
  /// number of unknown words that share it, at least 0.
  case penalty(Double)

  /// The nats that an unknown token costs in addition to its log-probability; `nil` if it has no
  /// score.
  var cost: Double? {
    switch self {
    case .undefined, .exclude: nil
    case .include: 0
    case .penalty(let nats): nats
    }
  }
}

extension TokenScore {
  /// Returns the negative log-probability in nats; `nil` if the token has none.
  public func surprisal(_ unknown: UnknownWords) -> Double? {
    guard isUnknown else { return logProbability.map { -$0 } }
    return unknown.cost.flatMap { cost in logProbability.map { cost - $0 } }
  }
}

extension WordScore {
  /// Returns the surprisal in nats; `nil` if the word has none.
  public func surprisal(_ unknown: UnknownWords) -> Double? {
    guard isUnknown else { return surprisal }
    return unknown.cost.flatMap { cost in
      surprisalIncludingUnknown.map { $0 + cost * Double(unknownCount) }
    }
  }
}

extension SentenceScore {
  /// Returns the sum of the tokens' log-probabilities in nats; `nil` if the sentence has none.
  public func logProbability(_ unknown: UnknownWords) -> Double? {
    guard unknownCount > 0 else { return logProbability }
    if unknown == .exclude { return knownLogProbability }
    return unknown.cost.flatMap { cost in
      logProbability.map { $0 - cost * Double(unknownCount) }
    }
  }
}
