// Figures of text that the vocabulary lacks.

/// The figure that a token has which stands for text outside the vocabulary.
///
/// A model gives a probability to unknown words as a whole, none to any one of them. With it, a sentence with
/// misspelled words is often more probable than the correct one.
public enum UnknownWords: Sendable, Hashable {
  /// None: a word or a sentence with such a token has no figure.
  case undefined
  /// None: sentences are summed without such tokens, and words with one have no figure.
  case exclude
  /// The probability of unknown words as a whole.
  case include
  /// The probability of unknown words as a whole, divided by e to this power: the logarithm, in nats, of the
  /// number of unknown words that share it, at least 0.
  case penalty(Double)

  /// The nats that an unknown token costs besides its log-probability; `nil` if it has no figure.
  fileprivate var cost: Double? {
    switch self {
    case .undefined, .exclude: nil
    case .include: 0
    case .penalty(let nats): nats
    }
  }
}

extension TokenScore {
  /// The negative log-probability in nats; `nil` where the token has none.
  public func surprisal(_ unknown: UnknownWords) -> Double? {
    guard isUnknown else { return logProbability.map { -$0 } }
    return unknown.cost.flatMap { cost in logProbability.map { cost - $0 } }
  }
}

extension WordScore {
  /// The surprisal in nats; `nil` where the word has none.
  public func surprisal(_ unknown: UnknownWords) -> Double? {
    guard isUnknown else { return surprisal }
    return unknown.cost.flatMap { cost in
      surprisalIncludingUnknown.map { $0 + cost * Double(unknownCount) }
    }
  }
}

extension SentenceScore {
  /// The sum of the tokens' log-probabilities in nats; `nil` where the sentence has none.
  public func logProbability(_ unknown: UnknownWords) -> Double? {
    guard unknownCount > 0 else { return logProbability }
    if unknown == .exclude { return knownLogProbability }
    return unknown.cost.flatMap { cost in
      logProbability.map { $0 - cost * Double(unknownCount) }
    }
  }
}
