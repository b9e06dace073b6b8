// swift-format-ignore-file: AlwaysUseLowerCamelCase
// What a stopped training needs to go on as if it had never stopped: optimizer and training state.

import UnrollTensors

/// The type in which matrix products take their factors.
///
/// States, softmax, gradients and parameters are f32 always, and so are sums. Factors are rounded to the
/// nearest, ties to even: to bfloat16, or to whole numbers from -127 to 127 of a scale, one for each row of a
/// weight and each vector that it multiplies, whose sums are exact. Training takes the first two.
public enum Precision: String, Sendable, Hashable, CaseIterable {
  case float32 = "f32"
  case bfloat16 = "bf16"
  case int8

  /// Those of training.
  public static let ofTraining = [float32, bfloat16]
}

/// What decides the lengths of windows.
public enum WindowKind: String, Sendable, Hashable, CaseIterable {
  /// All have `window` time steps, but for the last of an epoch.
  case fixed
  /// They are drawn, around `window`.
  case random
  /// Each is a sentence from a state of zeros, in one column; `window` is what longer ones are cut into.
  case sentence
}

/// The texts of a training, how they are cut, and how far it is in them.
public struct TrainingData: Sendable, Hashable {
  /// The SHA-256 of the training text's bytes as they are on disk.
  public var trainDigest: String
  /// The SHA-256 of the validation text's bytes as they are on disk.
  public var validDigest: String
  /// The number of tokens of the training text.
  public var tokens: Int
  /// The streams that the text is cut into, B; each has `tokens / columns` tokens.
  public var columns: Int
  /// The time steps of a window, T.
  public var window: Int
  /// What decides the lengths of windows.
  public var windowKind = WindowKind.fixed
  /// The row of the columns that comes next: 0 to `tokens / columns - 1`, where the last one means
  /// that the epoch's steps are done and its evaluation is not.
  public var cursor: Int
  /// The sum over this epoch's predictions of their negative log-probabilities in nats.
  public var totalNLL: Double

  /// Creates a description.
  public init(
    trainDigest: String, validDigest: String, tokens: Int, columns: Int, window: Int,
    cursor: Int = 0, totalNLL: Double = 0
  ) {
    self.trainDigest = trainDigest
    self.validDigest = validDigest
    self.tokens = tokens
    self.columns = columns
    self.window = window
    self.cursor = cursor
    self.totalNLL = totalNLL
  }
}

/// One evaluation of a training.
public struct TrainingRecord: Sendable, Hashable {
  /// The steps before it.
  public var step: Int
  /// The epochs before it, with the share of an unfinished one.
  public var epoch: Double
  /// The learning rate of those steps.
  public var learningRate: Double
  /// The mean training loss of the epoch so far, in nats; NaN where there was no step.
  public var trainNLL: Double
  /// The mean loss of the validation text, in nats.
  public var validNLL: Double

  /// Creates a record.
  public init(
    step: Int, epoch: Double, learningRate: Double, trainNLL: Double, validNLL: Double
  ) {
    self.step = step
    self.epoch = epoch
    self.learningRate = learningRate
    self.trainNLL = trainNLL
    self.validNLL = validNLL
  }
}

/// The best evaluation so far, and the weights that it was of.
public struct BestState: Sendable, Hashable {
  /// The steps before it.
  public var step: Int
  /// The mean loss of the validation text, in nats.
  public var validNLL: Double
  /// The digest of the weights; another file holds them.
  public var weightsDigest: String

  /// Creates a description.
  public init(step: Int, validNLL: Double, weightsDigest: String) {
    self.step = step
    self.validNLL = validNLL
    self.weightsDigest = weightsDigest
  }
}

/// The hidden state that truncated BPTT carries from window to window, of one layer.
public struct CarriedState: Sendable {
  /// `[B, H]` the hidden state.
  public var h: Tensor
  /// `[B, H]` the cell state of an LSTM; `nil` for other cells.
  public var c: Tensor?

  /// Creates a state.
  public init(h: Tensor, c: Tensor?) {
    self.h = h
    self.c = c
  }
}

/// A training between two steps.
public struct TrainingState: Sendable {
  /// The number of steps that were made.
  public var step: Int
  /// The number of epochs that were completed, evaluation included.
  public var epoch: Int
  /// The predictions that were trained on.
  public var tokensSeen: Int
  /// The epochs after which training ends, or `nil`.
  public var maximumEpochs: Int?
  /// The steps after which training ends, or `nil`.
  public var maximumSteps: Int?
  /// Why going on from here is not the same as never having stopped; `nil` if it is.
  public var inexactReason: String?
  /// The texts and the place in them.
  public var data: TrainingData
  /// How the learning rate changes.
  public var schedule: LearningRateSchedule
  /// The evaluations since the last that improved on the best, or since the learning rate was divided.
  public var evaluationsWithoutImprovement = 0
  /// The epochs after which one more frozen group is trained, or `nil`.
  public var unfreezeEvery: Int?
  /// The windows whose gradients make one step.
  public var accumulation = 1
  /// The type of the factors of products in its steps; evaluations are in f32.
  public var precision = Precision.float32
  /// Whether the averages of ASGD are evaluated, and kept as the best model, rather than the parameters.
  public var evaluatesAverages = false
  /// The evaluations n after which SGD becomes ASGD: when one is worse than the best but for the last n;
  /// `nil` for never.
  public var averageAfter: Int?
  /// What keeps the model from learning its text by heart.
  public var regularization: [RegularizationTerm] = []
  /// What masks are drawn from, where they are.
  public var seed: UInt32?
  /// The carried state, one for each layer.
  public var hidden: [CarriedState]
  /// The evaluations, oldest first; the first one is of the model before training.
  public var history: [TrainingRecord]
  /// The best evaluation, or `nil` before the first.
  public var best: BestState?

  /// Creates a state.
  public init(
    step: Int = 0, epoch: Int = 0, tokensSeen: Int = 0, maximumEpochs: Int? = nil,
    maximumSteps: Int? = nil, inexactReason: String? = nil, data: TrainingData,
    schedule: LearningRateSchedule, hidden: [CarriedState] = [], history: [TrainingRecord] = [],
    best: BestState? = nil
  ) {
    self.step = step
    self.epoch = epoch
    self.tokensSeen = tokensSeen
    self.maximumEpochs = maximumEpochs
    self.maximumSteps = maximumSteps
    self.inexactReason = inexactReason
    self.data = data
    self.schedule = schedule
    self.hidden = hidden
    self.history = history
    self.best = best
  }
}
