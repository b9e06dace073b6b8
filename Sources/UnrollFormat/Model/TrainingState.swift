// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The data that a stopped training needs to resume as if it had never stopped: optimizer and training state.

import UnrollTensors

/// The compute precision: the type of the operands of matrix products.
///
/// States, softmax, gradients and parameters are f32 always, and so are sums. Operands are rounded to the
/// nearest, ties to even: to bfloat16, or to whole numbers from -127 to 127 of a scale, one for each row of a
/// weight and each vector that it multiplies, whose sums are exact. Training supports the first two.
public enum Precision: String, Sendable, Hashable, CaseIterable {
  case float32 = "f32"
  case bfloat16 = "bf16"
  case int8

  /// The precisions of training.
  public static let ofTraining = [float32, bfloat16]
}

/// The lengths of windows.
public enum WindowKind: String, Sendable, Hashable, CaseIterable {
  /// All windows have `window` time steps, except the last of an epoch.
  case fixed
  /// Random lengths around `window`.
  case random
  /// Each window is a sentence from a state of zeros, with batch size 1; longer ones are cut into `window` time
  /// steps.
  case sentence
}

/// The texts of a training, how they are cut, and the position in them.
public struct TrainingData: Sendable, Hashable {
  /// The SHA-256 of the training text's bytes as they are on disk.
  public var trainDigest: String
  /// The SHA-256 of the validation text's bytes as they are on disk.
  public var validDigest: String
  /// The number of tokens of the training text.
  public var tokens: Int
  /// The batch size, B: the number of streams of the text, each of `tokens / columns` tokens.
  public var columns: Int
  /// The BPTT length, T: the time steps of a window.
  public var window: Int
  /// The lengths of windows.
  public var windowKind = WindowKind.fixed
  /// The next time step of the streams: 0 to `tokens / columns - 1`, where the last one means
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

/// The state that truncated BPTT carries from window to window, of one layer.
public struct CarriedState: Sendable {
  private var tensors: [LayerStateName: Tensor] = [:]

  /// Creates a state of nothing.
  public init() {}

  /// A part of the state, `[B, H]`; `nil` where the layer carries none.
  public subscript(name: LayerStateName) -> Tensor? {
    get { tensors[name] }
    set { tensors[name] = newValue }
  }
}

/// A training between two steps.
public struct TrainingState: Sendable {
  /// The number of completed steps.
  public var step: Int
  /// The number of completed epochs, evaluation included.
  public var epoch: Int
  /// The number of predictions that were trained on.
  public var tokensSeen: Int
  /// The epochs after which training ends, or `nil`.
  public var maximumEpochs: Int?
  /// The steps after which training ends, or `nil`.
  public var maximumSteps: Int?
  /// The reason why resuming from here does not equal never having stopped; `nil` if it does.
  public var inexactReason: String?
  /// The texts and the position in them.
  public var data: TrainingData
  /// The schedule of the learning rate.
  public var schedule: LearningRateSchedule
  /// The evaluations since the last that improved on the best, or since the learning rate was divided.
  public var evaluationsWithoutImprovement = 0
  /// The epochs after which one more frozen group is trained, or `nil`.
  public var unfreezeEvery: Int?
  /// The gradient accumulation: the number of windows whose gradients make one step.
  public var accumulation = 1
  /// The number of shards of a step, whose gradients are summed by a fixed tree.
  public var shards = 1
  /// The number of tokens that the sampled softmax of a window draws; `nil` for losses over the whole vocabulary.
  public var sampledSoftmax: Int?
  /// The compute precision of its steps; evaluations are in f32.
  public var precision = Precision.float32
  /// `true` if the averages of ASGD are evaluated, and kept as the best model, rather than the parameters.
  public var evaluatesAverages = false
  /// The n of NT-ASGD: SGD switches to ASGD when an evaluation is worse than the best of those before it except
  /// the last n; `nil` for never.
  public var averageAfter: Int?
  /// The regularization terms.
  public var regularization: [RegularizationTerm] = []
  /// The seed of dropout masks, if there are any.
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
