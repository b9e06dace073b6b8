// The result of computing a self-test, and how far the rounding of its arithmetic can move it.

/// The log-probabilities that a model gave a self-test's tokens.
public struct Replay: Sendable {
  /// The natural logarithms of the probabilities of the tokens after the first, `[N - 1]`.
  public var logProbabilities: [Double]
  /// For each how far the rounding of logits moves it, in nats, `[N - 1]`; 0 for exact arithmetic.
  ///
  /// `spec/FORMAT.md`, section 9, has the bound.
  public var roundings: [Double]

  /// Creates a replay.
  public init(logProbabilities: [Double], roundings: [Double]) {
    self.logProbabilities = logProbabilities
    self.roundings = roundings
  }

  /// Returns the bound of the rounding of a logarithm of a probability.
  ///
  /// A sum of n rounded products errs by more than `6 sqrt(n) u` times the sum of the magnitudes of its
  /// terms with a probability below 4e-8 (Higham & Mary 2019, "A New Approach to Probabilistic Rounding Error
  /// Analysis"). A log-probability is the difference of a logit and a mean of logits, so it errs by twice that.
  ///
  /// - Parameters:
  ///   - magnitude: The largest sum of the magnitudes of a logit's terms.
  ///   - terms: The number of its terms, n.
  ///   - unit: The unit roundoff of the arithmetic, u: half the distance from 1 to the next number.
  /// - Returns: The bound in nats.
  public static func rounding(magnitude: Double, terms: Int, unit: Double) -> Double {
    2 * 6 * Double(terms).squareRoot() * unit * magnitude
  }
}
