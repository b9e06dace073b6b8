// Events of a training, for whoever runs it.

import UnrollFormat

/// A report on a step.
public struct StepReport: Sendable {
  /// The number of the step, counted from 1.
  public let step: Int
  /// The epoch of the step, counted from 1.
  public let epoch: Int
  /// The mean loss of the step's windows before the update, in nats.
  public let loss: Double
  /// The norm of all gradients before clipping.
  public let gradientNorm: Double
  /// The learning rate.
  public let learningRate: Double
  /// The number of predictions of the step.
  public let predictions: Int
}

/// An event of a training.
public enum TrainingEvent: Sendable {
  /// A step was taken.
  case step(StepReport)
  /// The model was evaluated. `isBest` is `true` for the best model so far; `retentionNLL` is the loss
  /// of the retention text, if there is one.
  case evaluation(TrainingRecord, isBest: Bool, retentionNLL: Double?)
  /// The training is finished.
  case finished
}
