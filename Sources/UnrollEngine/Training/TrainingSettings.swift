// The settings of a training and its errors.

import Foundation
import UnrollFormat
import UnrollTensors

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

  /// The settings as lines for the history of a model.
  ///
  /// - Parameter kept: The continued optimizer, if any.
  /// - Returns: `name=value`, one a line.
  func arguments(keeping kept: OptimizerState?) -> String {
    var lines = TrainingSetting.all.flatMap { $0.lines(self) }
    if keepsOptimizer, let kept, let place = lines.firstIndex(of: "keep_optimizer=1") {
      lines.insert("optimizer=\(kept.kind.rawValue)", at: place + 1)
    }
    return lines.joined(separator: "\n")
  }

  /// The optimizer with its hyperparameters, or that it is the file's.
  var optimizerLines: [String] {
    guard !keepsOptimizer else { return ["keep_optimizer=1"] }
    let numbers = optimizer.defaults.merging(hyperparameters) { $1 }
    return ["optimizer=\(optimizer.rawValue)"]
      + numbers.sorted { $0.key < $1.key }.map { "\($0.key.rawValue)=\($0.value)" }
      + ["weight_decay_kind=\(weightDecayKind.rawValue)"]
  }

  /// Returns the optimizer of the model's file for the beginning of a new training.
  private func continued(_ kept: OptimizerState?) throws -> OptimizerState {
    guard var state = kept else {
      throw EngineError(
        path: "--keep-optimizer", expected: "a model whose file has an optimizer", found: "none",
        fix: "leave it out, and give --optimizer")
    }
    // The optimizer's groups count their own steps; the training counts from 0.
    state.step = 0
    for index in state.groups.indices {
      state.groups[index].clip = clip
      if let rate = hyperparameters[.learningRate] { state.groups[index][.learningRate] = rate }
    }
    return state
  }

  /// `true` if random numbers are used.
  var draws: Bool {
    windowKind == .random || sampledSoftmax != nil
      || regularization.contains { $0.kind.isDropout }
  }

  /// Returns the optimizer before the first step.
  ///
  /// - Parameters:
  ///   - kept: The optimizer of the model's file, if there is one.
  ///   - architecture: The model's architecture.
  /// - Returns: The parameter groups, with state if the file's optimizer is continued.
  /// - Throws: `EngineError` if `frozen` names a part that the model lacks, or all parts, or if
  ///   there is no optimizer to continue.
  func optimizerState(
    keeping kept: OptimizerState?, for architecture: Architecture
  ) throws -> OptimizerState {
    if keepsOptimizer { return try continued(kept) }
    let parts = architecture.parts
    if let unknown = frozen.subtracting(parts.map(\.name)).min() {
      throw EngineError(
        path: "--freeze \(unknown)", expected: "parts of the model",
        found: "no such part", fix: "choose from: \(parts.map(\.name).joined(separator: ", "))")
    }
    let isOne = layerDecay == 1 && frozen.isEmpty && unfreezeEvery == nil
    let groups = isOne ? [(name: "", paths: architecture.parameters.map(\.path))] : parts
    var state = OptimizerState(kind: optimizer, step: 0, groups: [])
    for (index, part) in groups.enumerated() {
      var group = ParameterGroup(optimizer, hyperparameters, clip: clip, parameters: part.paths)
      group.weightDecayKind = weightDecayKind
      let depth = groups.count - 1 - index
      group[.learningRate] /= Elementary.power(layerDecay, Double(depth))
      if optimizer == .asgd { group.averaging = .init(eta: group[.learningRate], mu: 1) }
      group.isFrozen = frozen.contains(part.name) || (unfreezeEvery != nil && depth > 0)
      state.groups.append(group)
    }
    guard state.groups.contains(where: { !$0.isFrozen }) else {
      throw EngineError(
        path: "--freeze", expected: "a part of the model that is trained", found: "all frozen",
        fix: "leave one out")
    }
    return state
  }
}

extension Architecture {
  /// The parts of a model from input to output, with the parameters that belong to each.
  ///
  /// The weight that a tied model's output shares with the embedding belongs to the output.
  var parts: [(name: String, paths: [ParameterPath])] {
    var parts: [(name: String, paths: [ParameterPath])] = []
    for (path, _) in parameters {
      let isOutput = isTied && path == .embeddingWeight
      let names = path.description.split(separator: "/").dropFirst()
      let name =
        isOutput
        ? "output" : names.prefix(names.first == "layers" ? 2 : 1).joined(separator: "/")
      if let index = parts.firstIndex(where: { $0.name == name }) {
        parts[index].paths.append(path)
      } else {
        parts.append((name, [path]))
      }
    }
    // The output comes last, even if its first parameter is the embedding.
    if let index = parts.firstIndex(where: { $0.name == "output" }) {
      parts.append(parts.remove(at: index))
    }
    return parts
  }
}

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
