// The settings of a training: a property and a row each.

import UnrollFormat

/// The settings of a training.
public struct TrainingSettings: Sendable {
  /// Batch size B.
  public var columns = 20
  /// BPTT length T.
  public var window = 35
  /// Optimizer.
  ///
  /// Another optimizer gets its own default learning rate, unless the learning rate was changed;
  /// other hyperparameters stay.
  public var optimizer = OptimizerKind.sgd {
    didSet {
      guard optimizer != oldValue else { return }
      for (name, value) in Self.defaults(of: oldValue) where hyperparameters[name] == value {
        hyperparameters[name] = nil
      }
      hyperparameters.merge(Self.defaults(of: optimizer)) { own, _ in own }
    }
  }
  /// Hyperparameters that differ from PyTorch's defaults.
  public var hyperparameters = TrainingSettings.defaults(of: .sgd)
  /// The kind of weight decay.
  public var weightDecayKind = WeightDecayKind.l2
  /// `true` to continue the optimizer of the model's file, with its hyperparameters and state,
  /// rather than a new one.
  public var keepsOptimizer = false
  /// Gradient clipping, or `nil` for none.
  public var clip: GradientClip? = .globalNorm(0.25)
  /// Learning-rate schedule.
  public var schedule = LearningRateSchedule(.divideOnPlateau)
  /// The factor by which the learning rate decreases from one group to the next, from the output
  /// downwards; 1 for one group.
  public var layerDecay = 1.0
  /// The parts that are not trained: `embedding`, `layers/00`, ..., `output`.
  public var frozen: Set<String> = []
  /// The interval in epochs at which one more part is trained, from the output downwards, or `nil`.
  public var unfreezeEvery: Int?
  /// Gradient accumulation: the number of windows per step.
  public var accumulation = 1
  /// The number of shards of a step: its streams are dealt to them, and gradients are summed by a fixed tree.
  ///
  /// Results depend on it, up to rounding; they do not depend on the number of ranks that share the shards.
  public var shards = 1
  /// The number of tokens that the sampled softmax of a window draws; `nil` for losses over the whole vocabulary.
  public var sampledSoftmax: Int?
  /// Regularization terms.
  public var regularization: [RegularizationTerm] = []
  /// The kind of windows: random lengths are AWD-LSTM's; sentences need a batch size of 1.
  public var windowKind = WindowKind.fixed
  /// Compute precision of training; evaluations are in f32.
  public var precision = Precision.float32
  /// The number of evaluations without improvement after which SGD becomes ASGD; see
  /// `TrainingState.averageAfter`.
  public var averageAfter: Int?
  /// Random seed of dropout masks and window lengths.
  public var seed: UInt32 = 1
  /// The number of epochs after which training ends, or `nil`.
  public var maximumEpochs: Int? = 10
  /// The number of steps after which training ends, or `nil`.
  public var maximumSteps: Int?

  /// Hyperparameters whose defaults here differ from PyTorch's: the learning rate of SGD.
  private static func defaults(of kind: OptimizerKind) -> [Hyperparameter: Double] {
    kind == .sgd ? [.learningRate: 1] : [:]
  }

  /// Creates the defaults: those of word_language_model, but with a lower learning rate, suitable
  /// for fine-tuning.
  public init() {}
}

extension TrainingSetting {
  /// All settings, in the order of the history.
  static let all: [TrainingSetting] = [
    value("columns", "--batch-size", \.columns, \.data.columns),
    value("window", "--bptt", \.window, \.data.window),
    ofOptimizer("optimizer", "--optimizer") { $0.optimizerLines },
    ofOptimizer("clip", "--clip") { ["clip=\($0.clip?.description ?? "none")"] },
    TrainingSetting(
      name: "schedule", option: "--schedule", path: \TrainingSettings.schedule,
      text: { $0.schedule.kind.rawValue },
      lines: { settings in
        ["schedule=\(settings.schedule.kind.rawValue)"]
          + settings.schedule.numbers.sorted { $0.key.rawValue < $1.key.rawValue }.map {
            "schedule_\($0.key.rawValue)=\($0.value)"
          }
      },
      store: { settings, state in
        guard !settings.schedule.isThat(of: state.schedule) else { return false }
        state.schedule = settings.schedule
        return true
      }),
    ofOptimizer("layer_decay", "--layer-decay") { settings in
      settings.layerDecay == 1 ? [] : ["layer_decay=\(settings.layerDecay)"]
    },
    ofOptimizer("frozen", "--freeze") { settings in
      settings.frozen.isEmpty ? [] : ["frozen=\(settings.frozen.sorted().joined(separator: ","))"]
    },
    value(
      "unfreeze_every", "--unfreeze-every", \.unfreezeEvery, \.unfreezeEvery, omitted: .some(nil),
      isChangeable: false),
    TrainingSetting(
      name: "regularize", option: "--regularize", path: \TrainingSettings.regularization,
      text: { $0.regularization.map(\.description).joined(separator: ",") },
      lines: { $0.regularization.map(\.description) },
      store: { settings, state in
        guard settings.regularization != state.regularization else { return false }
        state.regularization = settings.regularization
        return true
      }),
    value("window_kind", "kind of BPTT windows", \.windowKind, \.data.windowKind, omitted: .fixed),
    value("precision", "--precision", \.precision, \.precision, omitted: .float32),
    value("average_after", "--average-after", \.averageAfter, \.averageAfter, omitted: .some(nil)),
    value(
      "sampled_softmax", "--sampled-softmax", \.sampledSoftmax, \.sampledSoftmax,
      omitted: .some(nil)),
    TrainingSetting(
      name: "seed", option: "--seed", path: \TrainingSettings.seed,
      text: { "\($0.seed)" }, lines: { $0.draws ? ["seed=\($0.seed)"] : [] },
      store: { settings, state in
        guard state.draws, state.seed != settings.seed else { return false }
        state.seed = settings.seed
        return true
      }),
    value("accumulation", "--gradient-accumulation", \.accumulation, \.accumulation, omitted: 1),
    value("shards", "--shards", \.shards, \.shards, omitted: 1),
    value("epochs", "--epochs", \.maximumEpochs, \.maximumEpochs, isFree: true),
    value("steps", "--steps", \.maximumSteps, \.maximumSteps, isFree: true),
  ]
}
