// The error of a training whose numbers are no longer finite.

/// An error for a loss or gradient that is not finite.
public struct Diverged: Error, Sendable, CustomStringConvertible {
  /// The number of steps taken before.
  public let step: Int
  /// The quantity that is not finite.
  public let quantity: String
  /// The first tensor with a value that is not finite.
  public let tensor: String?
  /// `true` if the parameters themselves are finite.
  public let parametersAreFinite: Bool
  /// The learning rate.
  public let learningRate: Double

  /// The step, the tensor, and the advice.
  public var description: String {
    """
    step \(step + 1): expected a finite \(quantity); found NaN or infinity, first in \
    \(tensor ?? "the \(quantity) itself")
      fix: give a lower --learning-rate than \(learningRate), or --clip
    """
  }
}
