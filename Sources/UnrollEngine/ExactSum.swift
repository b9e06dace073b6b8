// A sum of log-probabilities that does not depend on the order of its terms.

/// A sum of numbers in units of 2^-60, which is exact for every float of magnitude 2^-37 or more.
///
/// Smaller ones are rounded alone, so that the sum of some numbers is the same in any order and any grouping: that of
/// a text is the sum of those of its parts, to the last bit.
struct ExactSum: Sendable, Hashable, BitwiseCopyable {
  /// The sum in units of 2^-60.
  private(set) var units: Int128 = 0
  /// The sum of the terms that are not finite, or too large for 2^35 of them to fit.
  private var others = 0.0

  init() {}

  /// Creates a sum from its units.
  init(units: Int128) { self.units = units }

  /// Adds a number.
  mutating func add(_ number: Float) {
    guard number.magnitude < 0x1p32 else {
      others += Double(number)
      return
    }
    units &+= Int128((Double(number) * 0x1p60).rounded())
  }

  /// Adds another sum.
  mutating func add(_ other: ExactSum) {
    units &+= other.units
    others += other.others
  }

  /// The sum, rounded once.
  var value: Double { Double(units) * 0x1p-60 + others }
}

/// The sums of the losses of a text, or of the part of it that a rank measures.
struct LossSums: Sendable, BitwiseCopyable {
  private var total = ExactSum()
  private var unknownTotal = ExactSum()
  private var predictions = 0
  private var unknown = 0

  /// Sums of nothing.
  init() {}

  /// Takes the sums of an evaluation.
  init(_ result: Perplexity) {
    total = result.total
    unknownTotal = result.unknownTotal
    predictions = result.predictions
    unknown = result.unknown
  }

  /// Adds the sums of another part.
  mutating func add(_ other: LossSums) {
    total.add(other.total)
    unknownTotal.add(other.unknownTotal)
    predictions += other.predictions
    unknown += other.unknown
  }

  /// The mean loss in nats.
  var nll: Double { total.value / Double(predictions) }
  /// The mean loss of known words in nats.
  var knownNLL: Double { (total.value - unknownTotal.value) / Double(predictions - unknown) }
}
