// An optimizer between two steps: its kind, its hyperparameters and its slots.

import UnrollTensors

/// The kind of an optimizer; `spec/FORMAT.md` has the formulas.
public enum OptimizerKind: String, Sendable, Hashable, CaseIterable {
  /// Stochastic gradient descent, with momentum or not.
  case sgd
  /// Adam; with decoupled weight decay, AdamW.
  case adam
  case rmsprop
  case adagrad
  case adadelta
  /// Averaged stochastic gradient descent.
  case asgd

  /// The description of the kind: a row that everything else follows from.
  private var facts: OptimizerFacts {
    switch self {
    case .sgd:
      OptimizerFacts(
        [.learningRate: 1e-3, .momentum: 0, .dampening: 0, .nesterov: 0, .learningRateInBuffer: 0],
        slots: [.momentum])
    case .adam:
      OptimizerFacts(
        [.learningRate: 1e-3, .beta1: 0.9, .beta2: 0.999, .epsilon: 1e-8, .amsgrad: 0],
        slots: [.firstMoment, .secondMoment, .largestSecondMoment],
        epsilon: [.outside, .uncorrected])
    case .rmsprop:
      OptimizerFacts(
        [
          .learningRate: 1e-2, .alpha: 0.99, .epsilon: 1e-8, .momentum: 0, .centered: 0,
          .learningRateInBuffer: 0,
        ], slots: [.secondMoment, .momentum, .firstMoment], epsilon: [.outside, .inside])
    case .adagrad:
      OptimizerFacts(
        [.learningRate: 1e-2, .learningRateDecay: 0, .initialAccumulator: 0, .epsilon: 1e-10],
        slots: [.sumOfSquares], epsilon: [.outside, .inside])
    case .adadelta:
      OptimizerFacts(
        [.learningRate: 1, .rho: 0.9, .epsilon: 1e-6],
        slots: [.secondMoment, .secondMomentOfUpdates], epsilon: [.inside])
    case .asgd:
      OptimizerFacts(
        [.learningRate: 1e-2, .lambda: 1e-4, .power: 0.75, .start: 1e6], slots: [.average])
    }
  }

  /// The hyperparameters of the kind and PyTorch's defaults for them.
  public var defaults: [Hyperparameter: Double] { facts.defaults }

  /// The slots that the optimizer can keep for a parameter.
  public var slots: [OptimizerSlot] { facts.slots }

  /// The valid positions of epsilon, PyTorch's first; empty for an optimizer without epsilon.
  public var epsilonPositions: [EpsilonPosition] { facts.epsilonPositions }
}

/// The description of a kind of optimizer.
private struct OptimizerFacts {
  let defaults: [Hyperparameter: Double]
  let slots: [OptimizerSlot]
  let epsilonPositions: [EpsilonPosition]

  /// Creates a description; every optimizer has a weight decay, 0 by default.
  init(
    _ defaults: [Hyperparameter: Double], slots: [OptimizerSlot], epsilon: [EpsilonPosition] = []
  ) {
    self.defaults = defaults.merging([.weightDecay: 0]) { $1 }
    self.slots = slots
    epsilonPositions = epsilon
  }
}

/// A number that a step depends on.
public enum Hyperparameter: String, Sendable, Hashable, CaseIterable, Comparable {
  case learningRate = "learning_rate"
  case weightDecay = "weight_decay"
  case momentum
  case dampening
  case nesterov
  case learningRateInBuffer = "learning_rate_in_buffer"
  case beta1
  case beta2
  case epsilon
  case amsgrad
  case alpha
  case centered
  case learningRateDecay = "learning_rate_decay"
  case initialAccumulator = "initial_accumulator"
  case rho
  case lambda = "lambd"
  case power
  case start = "t0"

  /// `true` if it is 0 or 1, and stored as an integer.
  public var isFlag: Bool {
    switch self {
    case .nesterov, .learningRateInBuffer, .amsgrad, .centered: true
    default: false
    }
  }

  /// `true` if it must be below 1.
  public var isFraction: Bool {
    switch self {
    case .momentum, .dampening, .beta1, .beta2, .alpha, .rho: true
    default: false
    }
  }

  /// `true` if a value is in the domain: finite, at least 0, below 1 for a fraction, and 0 or 1 for a flag.
  public func allows(_ value: Double) -> Bool {
    value.isFinite && value >= 0 && !(isFraction && value >= 1)
      && !(isFlag && value != 0 && value != 1)
  }

  /// The domain in words.
  public var domain: String {
    if isFlag { return "0 or 1" }
    return isFraction ? "a number of at least 0 and less than 1" : "a finite number of at least 0"
  }

  /// Orders by name.
  public static func < (a: Hyperparameter, b: Hyperparameter) -> Bool { a.rawValue < b.rawValue }
}

/// The position of epsilon, the small number that keeps a step from dividing by zero.
public enum EpsilonPosition: String, Sendable, Hashable, CaseIterable {
  /// Added to the root; Adam's is corrected before.
  case outside
  /// Added below the root.
  case inside
  /// Added to the root before Adam's correction of it.
  case uncorrected
}

/// The form of weight decay.
public enum WeightDecayKind: String, Sendable, Hashable, CaseIterable {
  /// `weightDecay * p` is added to the gradient, after clipping.
  case l2
  /// `learningRate * weightDecay * p` is taken off the parameter before the step.
  case decoupled
}

/// The form and bound of gradient clipping.
public enum GradientClip: Sendable, Hashable, CustomStringConvertible {
  /// The norm of all gradients of the model together is at most this.
  case globalNorm(Double)
  /// The norm of each parameter's gradient is at most this.
  case parameterNorm(Double)
  /// Each number of a gradient is between minus this and this.
  case value(Double)

  /// The clipped quantity and its bound: `norm 0.25`.
  public var description: String {
    switch self {
    case .globalNorm(let bound): "norm \(bound)"
    case .parameterNorm(let bound): "norm of each parameter \(bound)"
    case .value(let bound): "value \(bound)"
    }
  }
}

/// A slot of an optimizer, by its name on disk: its state, as a tree of the parameters' shapes.
public enum OptimizerSlot: String, Sendable, Hashable, CaseIterable, Comparable {
  /// The velocities of SGD and RMSprop.
  case momentum
  /// The running mean of the gradients.
  case firstMoment = "first_moment"
  /// The running mean of their squares.
  case secondMoment = "second_moment"
  /// The largest second moment so far (amsgrad).
  case largestSecondMoment = "largest_second_moment"
  /// The sum of the squares of all gradients so far (Adagrad).
  case sumOfSquares = "sum_of_squares"
  /// The running mean of the squares of the changes (Adadelta).
  case secondMomentOfUpdates = "second_moment_of_updates"
  /// The average of the parameters (ASGD).
  case average

  /// `true` if its numbers are sums or means of squares, which are at least 0.
  public var holdsSquares: Bool {
    switch self {
    case .secondMoment, .largestSecondMoment, .sumOfSquares, .secondMomentOfUpdates: true
    case .momentum, .firstMoment, .average: false
    }
  }

  /// Orders by name.
  public static func < (a: OptimizerSlot, b: OptimizerSlot) -> Bool { a.rawValue < b.rawValue }
}

/// Parameters that share their hyperparameters.
public struct ParameterGroup: Sendable, Hashable {
  /// The numbers that a step depends on: those of the optimizer's kind.
  public var hyperparameters: [Hyperparameter: Double]
  /// The form of weight decay.
  public var weightDecayKind = WeightDecayKind.l2
  /// The position of epsilon, if the optimizer has one.
  public var epsilonPosition: EpsilonPosition?
  /// The clipping of the gradients, or `nil` for none.
  public var clip: GradientClip?
  /// `true` if the parameters are frozen.
  public var isFrozen = false
  /// The steps that these parameters made: fewer than the optimizer's after they were frozen.
  public var step = 0
  /// The learning rate of the next step of ASGD, and the share of the average that it replaces.
  public var averaging: Averaging?
  /// The parameters, in the order of the model.
  public var parameters: [ParameterPath]

  /// The state that ASGD carries from step to step.
  public struct Averaging: Sendable, Hashable {
    /// The learning rate of the next step.
    public var eta: Double
    /// The share of the average that the next step replaces.
    public var mu: Double

    /// Creates a state.
    public init(eta: Double, mu: Double) {
      self.eta = eta
      self.mu = mu
    }
  }

  /// Creates a group with PyTorch's defaults for missing values.
  public init(
    _ kind: OptimizerKind, _ hyperparameters: [Hyperparameter: Double] = [:],
    clip: GradientClip? = nil, parameters: [ParameterPath]
  ) {
    self.hyperparameters = kind.defaults.merging(hyperparameters) { $1 }
    self.clip = clip
    self.parameters = parameters
    epsilonPosition = kind.epsilonPositions.first
    if kind == .asgd { averaging = Averaging(eta: self[.learningRate], mu: 1) }
  }

  /// A hyperparameter; 0 if the optimizer does not have it.
  public subscript(hyperparameter: Hyperparameter) -> Double {
    get { hyperparameters[hyperparameter] ?? 0 }
    set { hyperparameters[hyperparameter] = newValue }
  }

  /// Returns the slots that an optimizer of this kind keeps for each parameter of this group.
  public func slots(of kind: OptimizerKind) -> [OptimizerSlot] {
    kind.slots.filter { slot in
      switch (kind, slot) {
      case (_, .momentum): self[.momentum] > 0
      case (_, .largestSecondMoment): self[.amsgrad] == 1
      case (.rmsprop, .firstMoment): self[.centered] == 1
      default: true
      }
    }
  }
}

/// An optimizer between two steps.
public struct OptimizerState: Sendable {
  /// The kind of the optimizer.
  public var kind: OptimizerKind
  /// The number of steps that were made.
  public var step: Int
  /// The groups; each parameter is in exactly one.
  public var groups: [ParameterGroup]
  /// The slots: trees of the parameters' shapes.
  public var slots: [OptimizerSlot: ParameterTree<Tensor>]

  /// Creates a state.
  public init(
    kind: OptimizerKind, step: Int, groups: [ParameterGroup],
    slots: [OptimizerSlot: ParameterTree<Tensor>] = [:]
  ) {
    self.kind = kind
    self.step = step
    self.groups = groups
    self.slots = slots
  }
}
