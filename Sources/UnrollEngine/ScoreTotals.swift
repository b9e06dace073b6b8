// Sums over the lines of a scored text, which ranks send each other.

/// Sums over the lines of a scored text: the same in any order and any grouping of the lines.
public struct ScoreTotals: Sendable, Hashable {
  /// The number of lines.
  public private(set) var lines = 0
  /// The number of lines that hold text outside the vocabulary.
  public private(set) var linesWithUnknown = 0
  /// The number of words outside the vocabulary, in whole or in part.
  public private(set) var unknownWords = 0
  /// The number of tokens for text outside the vocabulary, and of its parts that were left out.
  public private(set) var unknownTokens = 0
  /// The number of tokens that are predicted.
  public private(set) var predictions = 0
  private var logProbability = ExactSum()

  private static let counts: [WritableKeyPath<ScoreTotals, Int> & Sendable] = [
    \.lines, \.linesWithUnknown, \.unknownWords, \.unknownTokens, \.predictions,
  ]

  /// Creates the sums of no line.
  public init() {}

  /// Adds a line.
  public mutating func add(_ sentence: SentenceScore) {
    lines += 1
    unknownWords += sentence.words.count { $0.isUnknown }
    unknownTokens += sentence.oovCount
    linesWithUnknown += sentence.oovCount > 0 ? 1 : 0
    for number in sentence.tokens.compactMap(\.logProbability) {
      logProbability.add(Float(number))
      predictions += 1
    }
  }

  /// Adds the sums of other lines.
  mutating func add(_ other: ScoreTotals) {
    for count in Self.counts { self[keyPath: count] += other[keyPath: count] }
    logProbability.add(other.logProbability)
  }

  /// The mean negative log-probability of a token in nats; `nil` if none is predicted.
  public var nll: Double? {
    predictions > 0 ? -logProbability.value / Double(predictions) : nil
  }

  /// The numbers, separated by spaces.
  var encoded: String {
    (Self.counts.map { "\(self[keyPath: $0])" } + ["\(logProbability.units)"])
      .joined(separator: " ")
  }

  /// Reads the numbers of `encoded`; `nil` for another text.
  init?(encoded: some StringProtocol) {
    let fields = encoded.split(separator: " ")
    let counts = fields.dropLast().compactMap { Int($0) }
    guard counts.count == Self.counts.count, let units = fields.last.flatMap({ Int128($0) }) else {
      return nil
    }
    for (path, count) in zip(Self.counts, counts) { self[keyPath: path] = count }
    logProbability = ExactSum(units: units)
  }
}

extension SentenceScore {
  /// The number of tokens for text outside the vocabulary, and of its parts that were left out.
  public var oovCount: Int { unknownCount + leftOutCount }
}
