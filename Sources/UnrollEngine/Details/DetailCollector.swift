// Collects the figures of predictions by groups of words while a text is evaluated.

import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// The word of a line that a token belongs to.
struct WordOfToken {
  /// The word as the model reads it.
  let bytes: [UInt8]
  /// The position of the word in its line, from 1.
  let position: Int
  /// `true` if the token is the last one of the word.
  let isLast: Bool

  /// The number of Unicode scalars; of bytes that are not UTF-8, those that stand in for them.
  var length: Int { String(decoding: bytes, as: UTF8.self).unicodeScalars.count }
}

/// The groups of predictions as they grow.
struct DetailCollector {
  private var details = TextDetails()
  /// The counts of tokens that are words, if they are stored.
  private let counts: [UInt64]?
  private var byFrequency = Bands(.counts, others: ["unknown", "line end"])
  private var byPosition = Bands(.positions, others: ["line end"])
  private var byLength = Bands(.lengths, others: ["line end"])
  /// The figures of each word of the text whose frequency is known at the end only.
  private var byWord: [[UInt8]: PredictionGroup] = [:]

  /// Creates groups without predictions.
  init(_ vocabulary: Vocabulary) {
    counts = vocabulary.unit == .word ? vocabulary.counts : nil
  }

  /// Adds predictions.
  ///
  /// - Parameters:
  ///   - tokens: `[M]` the predicted tokens.
  ///   - logProbabilities: `[M]`
  ///   - likeliest: `[M]` at least the likeliest token in place of each, and the ranks.
  mutating func add(
    _ tokens: some Collection<TokenInText>, _ logProbabilities: [Float],
    _ likeliest: LikeliestTokens
  ) {
    for (index, token) in tokens.enumerated() {
      let rank = likeliest.ranks[index]
      add(token, nll: -Double(logProbabilities[index]), rank: rank)
      guard let first = likeliest.guesses[index].first else { continue }
      let probability = Elementary.exp(Double(first.logProbability))
      let bin = min(9, max(0, Int((probability * 10).rounded(.up)) - 1))
      details.calibration[bin].predictions += 1
      details.calibration[bin].totalProbability += probability
      details.calibration[bin].hits += rank == 1 ? 1 : 0
    }
  }

  private mutating func add(_ token: TokenInText, nll: Double, rank: Int) {
    var own = PredictionGroup(name: "")
    own.add(nll: nll, rank: rank)
    own.words = token.word?.isLast == true ? 1 : 0
    details.all.add(own)
    guard let word = token.word else {
      byFrequency.add(own, to: "line end")
      byPosition.add(own, to: "line end")
      byLength.add(own, to: "line end")
      return
    }
    byPosition.add(own, toBandOf: word.position)
    byLength.add(own, toBandOf: word.length)
    if token.isOfUnknownWord {
      byFrequency.add(own, to: "unknown")
    } else if let counts {
      byFrequency.add(own, toBandOf: Int(clamping: counts[Int(token.id)]))
    } else {
      byWord[word.bytes, default: PredictionGroup(name: "")].add(own)
    }
  }

  /// Returns the figures, given the number of occurrences of each word in the text.
  func finished(_ occurrences: [[UInt8]: Int]) -> TextDetails {
    var details = details
    var byFrequency = byFrequency
    // Sums in double precision depend on their order.
    for (word, group) in byWord.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
      byFrequency.add(group, toBandOf: occurrences[word] ?? 0)
    }
    details.frequencySource = counts == nil ? .text : .vocabulary
    details.byFrequency = byFrequency.filled
    details.byPosition = byPosition.filled
    details.byLength = byLength.filled
    return details
  }
}

extension DetailCollector {
  /// Groups by ranges of numbers, and groups with other names behind them.
  private struct Bands {
    private let bands: NumberBands
    private var groups: [PredictionGroup]

    init(_ bands: NumberBands, others: [String]) {
      self.bands = bands
      groups = (bands.names + others).map { PredictionGroup(name: $0) }
    }

    /// The groups that have predictions.
    var filled: [PredictionGroup] { groups.filter { $0.predictions > 0 } }

    mutating func add(_ group: PredictionGroup, toBandOf number: Int) {
      groups[bands.band(of: number)].add(group)
    }

    mutating func add(_ group: PredictionGroup, to name: String) {
      guard let place = groups.firstIndex(where: { $0.name == name }) else { return }
      groups[place].add(group)
    }
  }
}

extension EncodedLine {
  /// Adds to the tokens of a line the words that they belong to.
  func addWords(of line: TextLine, to tokens: inout [TokenInText]) {
    let words = line.words
    let owners = owners(among: words)
    for index in tokens.indices {
      // An end-of-sentence token belongs to no word, even if text without a token precedes it.
      guard let owner = owners[index] else { continue }
      tokens[index].word = WordOfToken(
        bytes: Array(line.bytes[words[owner]]), position: owner + 1,
        isLast: index + 1 == owners.count || owners[index + 1] != owner)
    }
  }
}
