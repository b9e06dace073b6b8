// Computes the probabilities of words from those of their tokens.

import UnrollNeural
import UnrollTokenization

/// Computes scores of words and sentences from predictions of tokens.
struct WordScorer {
  private let encoder: Encoder
  private let boundary: WordBoundary
  private let boundaries: WordBoundaries?

  /// Creates a scorer.
  ///
  /// - Parameters:
  ///   - model: The model.
  ///   - boundary: The boundary that a word's probability includes; `nil` to compute no words.
  init(_ model: LanguageModel, _ boundary: WordBoundary?) {
    encoder = model.encoder
    self.boundary = boundary ?? .none
    boundaries = boundary == .after ? model.wordBoundaries : nil
  }

  /// The figures that the scores of words need.
  var figures: PredictionFigures {
    var figures = PredictionFigures()
    guard let boundaries, [.separators, .prefixes, .continuations].contains(boundaries.marking)
    else { return figures }
    figures.subset = boundaries.ids
    figures.includesEnd = encoder.endOfSentenceID == nil
    return figures
  }

  /// Returns the scores of a line.
  func score(
    of line: TextLine, _ encoded: EncodedLine, _ words: [TextWord],
    _ predictions: SentencePredictions
  ) -> SentenceScore {
    let unknown = Set(encoded.unknown)
    let owners = encoded.owners(among: words.map(\.range))
    let tokens = encoded.ids.indices.map { index in
      let place = index - predictions.unpredictedCount
      return TokenScore(
        token: encoder.vocabulary.text(of: Int(encoded.ids[index])),
        word: owners[index],
        logProbability: place >= 0 ? Double(predictions.logProbabilities[place]) : nil,
        entropy: predictions.entropies.indices.contains(place) ? predictions.entropies[place] : nil,
        isUnknown: unknown.contains(index),
        rank: predictions.likeliest.ranks.indices.contains(place)
          ? predictions.likeliest.ranks[place] : nil,
        guesses: predictions.likeliest.guesses.indices.contains(place)
          ? predictions.likeliest.guesses[place].map(expected) : [])
    }
    var scores: [WordScore] = []
    var previous: Double?
    var token = 0
    for index in words.indices {
      let first = token
      while token < tokens.count, tokens[token].word == index { token += 1 }
      let own = tokens[first..<token]
      let charged = charged(first..<token, of: encoded, words[index])
      let opening = charged.isEmpty ? own.first : tokens[charged.lowerBound]
      let entropy = opening?.entropy
      let reduction = entropy.flatMap { entropy in previous.map { max(0, $0 - entropy) } }
      previous = entropy ?? previous
      let isLast = index == words.count - 1
      let isBeforeSpace =
        isLast || words[index].range.upperBound < words[index + 1].range.lowerBound
      let surprisal = surprisal(
        of: charged, tokens, encoded, predictions, isBeforeSpace: isBeforeSpace)
      let leftOutCount = encoded.leftOut.count { $0.overlaps(words[index].range) }
      let unknownCount = own.count { $0.isUnknown } + leftOutCount
      scores.append(
        WordScore(
          word: words[index].text, surprisal: unknownCount > 0 ? nil : surprisal,
          surprisalIncludingUnknown: surprisal, entropy: entropy, entropyReduction: reduction,
          unknownCount: unknownCount, rank: opening?.rank, guesses: opening?.guesses ?? []))
    }
    let predicted = tokens.filter { $0.logProbability != nil }
    func sum(_ tokens: [TokenScore]) -> Double? {
      predicted.isEmpty ? nil : tokens.compactMap(\.logProbability).reduce(0, +)
    }
    return SentenceScore(
      line: line.number, tokens: tokens, ids: encoded.ids, words: scores,
      logProbability: sum(predicted),
      knownLogProbability: sum(predicted.filter { !$0.isUnknown }),
      leftOutCount: encoded.leftOut.count)
  }

  private func expected(_ guess: TokenGuess) -> ExpectedToken {
    ExpectedToken(
      token: encoder.vocabulary.text(of: Int(guess.token)),
      logProbability: Double(guess.logProbability))
  }

  /// Returns the tokens that count towards a word: those that begin in it or in the white space
  /// before it.
  private func charged(
    _ own: Range<Int>, of encoded: EncodedLine, _ word: TextWord
  ) -> Range<Int> {
    let leavesOutSpace =
      boundary == .none || boundary == .after && boundaries?.marking == .separators
    guard leavesOutSpace else { return own }
    let first = own.first { encoded.ends[$0] > word.range.lowerBound } ?? own.upperBound
    return first..<own.upperBound
  }

  /// Returns the surprisal of a word in nats.
  private func surprisal(
    of charged: Range<Int>, _ tokens: [TokenScore], _ encoded: EncodedLine,
    _ predictions: SentencePredictions, isBeforeSpace: Bool
  ) -> Double? {
    let logProbabilities = tokens[charged].compactMap(\.logProbability)
    guard !charged.isEmpty, logProbabilities.count == charged.count else { return nil }
    var sum = logProbabilities.reduce(0, +)
    guard let boundaries, !predictions.totals.isEmpty else { return -sum }
    let ids = encoded.ids
    let end = charged.upperBound
    let isBeforeBoundary = end < ids.count && boundaries.endsWord(before: ids[end])
    // No boundary ends a user's word that ends inside a word of the text.
    if isBeforeSpace || isBeforeBoundary, !boundaries.closesWord(ids[end - 1]) {
      sum += predictions.totals[end - predictions.unpredictedCount]
    }
    if boundaries.marking != .separators, boundaries.endsWord(before: ids[charged.lowerBound]) {
      sum -= predictions.totals[charged.lowerBound - predictions.unpredictedCount]
    }
    // Rounding must not make a probability larger than 1.
    return max(0, -sum)
  }
}
