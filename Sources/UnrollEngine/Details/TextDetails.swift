// Figures of an evaluation by groups of words, top-k accuracy, and calibration.

import UnrollTensors

/// The figures of a group of predictions.
public struct PredictionGroup: Sendable, Equatable {
  /// The ranks up to which a prediction counts as right.
  public static let topRanks = [1, 5, 10]

  /// The name of the group, such as `10-99`.
  public let name: String
  /// The number of words whose last token is predicted.
  public internal(set) var words = 0
  /// The number of predicted tokens.
  public internal(set) var predictions = 0
  /// The sum of the negative log-probabilities, in nats.
  public internal(set) var totalNLL = 0.0
  /// The number of tokens among the likeliest 1, 5 and 10 in their places.
  public internal(set) var hits = Array(repeating: 0, count: topRanks.count)

  init(name: String) { self.name = name }

  /// The mean negative log-probability of a prediction, in nats; `nil` without predictions.
  public var nll: Double? { predictions > 0 ? totalNLL / Double(predictions) : nil }
  /// `exp(nll)`; `nil` without predictions.
  public var perplexity: Double? { nll.map(Elementary.exp) }
  /// The share of tokens among the likeliest 1, 5 and 10; `nil` without predictions.
  public var accuracies: [Double?] {
    hits.map { predictions > 0 ? Double($0) / Double(predictions) : nil }
  }

  mutating func add(nll: Double, rank: Int) {
    predictions += 1
    totalNLL += nll
    for (index, limit) in Self.topRanks.enumerated() where rank <= limit { hits[index] += 1 }
  }

  /// Adds the figures of another group.
  mutating func add(_ other: PredictionGroup) {
    words += other.words
    predictions += other.predictions
    totalNLL += other.totalNLL
    for index in hits.indices { hits[index] += other.hits[index] }
  }
}

/// Predictions whose likeliest token has a probability in one range.
public struct CalibrationBin: Sendable, Equatable {
  /// The lower end of the range of probabilities, exclusive.
  public let lower: Double
  /// The upper end, inclusive.
  public let upper: Double
  /// The number of predictions.
  public internal(set) var predictions = 0
  /// The sum of the probabilities of the likeliest tokens.
  var totalProbability = 0.0
  /// The number of predictions whose likeliest token is the one of the text.
  public internal(set) var hits = 0

  /// The mean probability of the likeliest token; `nil` without predictions.
  public var confidence: Double? {
    predictions > 0 ? totalProbability / Double(predictions) : nil
  }
  /// The share of predictions whose likeliest token is right; `nil` without predictions.
  public var accuracy: Double? { predictions > 0 ? Double(hits) / Double(predictions) : nil }
}

/// Figures of an evaluation by word frequency, position in the line and word length, with top-k
/// accuracy and calibration.
///
/// A token belongs to the word that it begins in, or whose white space it begins in; a token behind the
/// last word of a line belongs to `line end`, and a token of a word outside the vocabulary to `unknown`
/// where words are grouped by frequency.
public struct TextDetails: Sendable {
  /// The origin of the frequencies of words.
  public enum FrequencySource: String, Sendable {
    /// The counts that are stored with the vocabulary, which is of words.
    case vocabulary
    /// The occurrences of words in the evaluated text itself.
    case text
  }

  /// The figures of all predictions.
  public internal(set) var all = PredictionGroup(name: "all")
  /// The origin of the frequencies.
  public internal(set) var frequencySource = FrequencySource.text
  /// The groups of words by frequency, rarest first; empty groups are left out, in all lists.
  public internal(set) var byFrequency: [PredictionGroup] = []
  /// The groups of words by position in the line, from 1.
  public internal(set) var byPosition: [PredictionGroup] = []
  /// The groups of words by length in characters (Unicode scalars).
  public internal(set) var byLength: [PredictionGroup] = []
  /// Ten bins of equal width over the probability of the likeliest token.
  public internal(set) var calibration: [CalibrationBin] = (0..<10).map {
    CalibrationBin(lower: Double($0) / 10, upper: Double($0 + 1) / 10)
  }

  init() {}

  /// The expected calibration error: the mean distance of confidence and accuracy over the bins, each
  /// weighted by its predictions (Guo, Pleiss, Sun & Weinberger 2017, "On calibration of modern neural
  /// networks").
  public var calibrationError: Double {
    calibration.reduce(0) { $0 + abs($1.totalProbability - Double($1.hits)) }
      / Double(max(1, all.predictions))
  }
}

/// Ranges of numbers that words are grouped by.
struct NumberBands: Sendable {
  /// The smallest number of each band, ascending.
  let starts: [Int]

  /// Powers of ten: 0, 1, 2 to 9, 10 to 99 and so on, and from 1,000,000 on.
  static let counts = NumberBands(
    starts: [0, 1, 2, 10, 100, 1000, 10_000, 100_000, 1_000_000])
  /// 1 to 5, 6 to 10, 11 to 20, 21 to 50, and from 51 on.
  static let positions = NumberBands(starts: [1, 2, 3, 4, 5, 6, 11, 21, 51])
  /// 1 to 9, 10 to 14, and from 15 on.
  static let lengths = NumberBands(starts: Array(1...10) + [15])

  /// The names of the bands, such as `5`, `6-10` and `51+`.
  var names: [String] {
    starts.indices.map { index in
      guard index + 1 < starts.count else { return "\(starts[index])+" }
      let last = starts[index + 1] - 1
      return last == starts[index] ? "\(last)" : "\(starts[index])-\(last)"
    }
  }

  /// Returns the band of a number that is not below the first band.
  func band(of number: Int) -> Int { max(0, starts.partitioningIndex { $0 > number } - 1) }
}
