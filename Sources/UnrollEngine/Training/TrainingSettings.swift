// What a person decides about a training.

import Foundation
import UnrollFormat
import UnrollTensors

/// The settings of a training.
public struct TrainingSettings: Sendable {
  /// The parallel streams that the text is cut into, B.
  public var columns = 20
  /// The time steps of a window of truncated BPTT, T.
  public var window = 35
  /// The optimizer.
  ///
  /// Choosing another one gives `hyperparameters` its defaults: the learning rate that came with the one before
  /// goes with it, and numbers that were set stay.
  public var optimizer = OptimizerKind.sgd {
    didSet {
      guard optimizer != oldValue else { return }
      for (name, value) in Self.defaults(of: oldValue) where hyperparameters[name] == value {
        hyperparameters[name] = nil
      }
      hyperparameters.merge(Self.defaults(of: optimizer)) { own, _ in own }
    }
  }
  /// The hyper-parameters that are not PyTorch's defaults.
  public var hyperparameters = TrainingSettings.defaults(of: .sgd)
  /// How weight decay acts.
  public var weightDecayKind = WeightDecayKind.l2
  /// Whether the optimizer that the model's file holds goes on, with its numbers and state, rather than a
  /// new one.
  public var keepsOptimizer = false
  /// How gradients are clipped, or `nil` where they are not.
  public var clip: GradientClip? = .globalNorm(0.25)
  /// How the learning rate changes.
  public var schedule = LearningRateSchedule(.divideOnPlateau)
  /// What the learning rate of each group is divided by, from the output downwards; 1 for one group.
  public var layerDecay = 1.0
  /// The parts that stay as they are: `embedding`, `layers/00`, ..., `output`.
  public var frozen: Set<String> = []
  /// The epochs after which one more part is trained, from the output downwards, or `nil`.
  public var unfreezeEvery: Int?
  /// The windows whose gradients make one step.
  public var accumulation = 1
  /// What keeps the model from learning its text by heart.
  public var regularization: [RegularizationTerm] = []
  /// What decides the lengths of windows: random ones are AWD-LSTM's, sentences need one column.
  public var windowKind = WindowKind.fixed
  /// The type of the factors of products; evaluations are in f32.
  public var precision = Precision.float32
  /// The evaluations after which SGD becomes ASGD, see `TrainingState.averageAfter`.
  public var averageAfter: Int?
  /// What masks and windows are drawn from.
  public var seed: UInt32 = 1
  /// The epochs after which training ends, or `nil`.
  public var maximumEpochs: Int? = 10
  /// The steps after which training ends, or `nil`.
  public var maximumSteps: Int?

  /// The hyper-parameters of an optimizer whose defaults here are not PyTorch's: the learning rate of SGD.
  private static func defaults(of kind: OptimizerKind) -> [Hyperparameter: Double] {
    kind == .sgd ? [.learningRate: 1] : [:]
  }

  /// Creates the defaults: those of word_language_model, but for a learning rate that does not
  /// throw a trained model far.
  public init() {}

  /// The settings as lines for the history of a model.
  ///
  /// - Parameter kept: The optimizer that goes on, if one does.
  /// - Returns: `name=value`, one a line.
  func arguments(keeping kept: OptimizerState?) -> String {
    func text(_ value: Int?) -> String { value.map { "\($0)" } ?? "none" }
    var lines = ["columns=\(columns)", "window=\(window)"]
    if keepsOptimizer {
      lines.append("keep_optimizer=1")
      lines += (kept?.kind.rawValue).map { ["optimizer=\($0)"] } ?? []
    } else {
      let numbers = optimizer.defaults.merging(hyperparameters) { $1 }
      lines.append("optimizer=\(optimizer.rawValue)")
      lines += numbers.sorted { $0.key < $1.key }.map { "\($0.key.rawValue)=\($0.value)" }
      lines.append("weight_decay_kind=\(weightDecayKind.rawValue)")
    }
    lines += ["clip=\(clip?.description ?? "none")", "schedule=\(schedule.kind.rawValue)"]
    lines += schedule.numbers.sorted { $0.key.rawValue < $1.key.rawValue }.map {
      "schedule_\($0.key.rawValue)=\($0.value)"
    }
    if layerDecay != 1 { lines.append("layer_decay=\(layerDecay)") }
    if !frozen.isEmpty { lines.append("frozen=\(frozen.sorted().joined(separator: ","))") }
    if let unfreezeEvery { lines.append("unfreeze_every=\(unfreezeEvery)") }
    lines += regularization.map(\.description)
    if windowKind != .fixed { lines.append("window_kind=\(windowKind.rawValue)") }
    if precision != .float32 { lines.append("precision=\(precision.rawValue)") }
    if let averageAfter { lines.append("average_after=\(averageAfter)") }
    if draws { lines.append("seed=\(seed)") }
    if accumulation != 1 { lines.append("accumulation=\(accumulation)") }
    lines += ["epochs=\(text(maximumEpochs))", "steps=\(text(maximumSteps))"]
    return lines.joined(separator: "\n")
  }

  /// The optimizer that a file holds, at the beginning of another training.
  private func continued(_ kept: OptimizerState?) throws -> OptimizerState {
    guard var state = kept else {
      throw TrainingError(
        path: "--keep-optimizer", expected: "a model whose file has an optimizer", found: "none",
        fix: "leave it out, and give --optimizer")
    }
    // These steps are counted by the groups; the training counts its own.
    state.step = 0
    for index in state.groups.indices {
      state.groups[index].clip = clip
      if let rate = hyperparameters[.learningRate] { state.groups[index][.learningRate] = rate }
    }
    return state
  }

  /// Whether something is drawn.
  var draws: Bool { windowKind == .random || regularization.contains { $0.kind.isDropout } }

  /// The optimizer before the first step.
  ///
  /// - Parameters:
  ///   - kept: The optimizer of the model's file, if there is one.
  ///   - architecture: The model's.
  /// - Returns: Its groups, and what it remembers if it is the file's.
  /// - Throws: `TrainingError` if `frozen` names a part that the model does not have, or all of them, or
  ///   if there is no optimizer to keep.
  func optimizerState(
    keeping kept: OptimizerState?, for architecture: Architecture
  ) throws -> OptimizerState {
    if keepsOptimizer { return try continued(kept) }
    let parts = architecture.parts
    if let unknown = frozen.subtracting(parts.map(\.name)).min() {
      throw TrainingError(
        path: "--freeze \(unknown)", expected: "parts of the model",
        found: "no such part", fix: "give of these: \(parts.map(\.name).joined(separator: ", "))")
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
      throw TrainingError(
        path: "--freeze", expected: "a part of the model that is trained", found: "all frozen",
        fix: "leave one out")
    }
    return state
  }
}

extension Architecture {
  /// The parts of a model from its input to its output, with the parameters that each owns.
  ///
  /// What a tied model's output shares with the embedding is the output's: it is trained with it.
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
    // The output is the last, also where its first parameter is the embedding.
    if let index = parts.firstIndex(where: { $0.name == "output" }) {
      parts.append(parts.remove(at: index))
    }
    return parts
  }
}

/// A training that cannot begin, go on or be resumed.
public struct TrainingError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file that it is about.
  public let path: String
  /// What was expected.
  public let expected: String
  /// What is there.
  public let found: String
  /// What to do about it.
  public let fix: String

  /// Place, expectation, what was found, and the fix.
  public var description: String {
    "\(printable(path)): expected \(expected); found \(found)\n  fix: \(fix)"
  }
}

/// A loss or gradient that is not a number.
public struct Diverged: Error, Sendable, CustomStringConvertible {
  /// The steps that were made before.
  public let step: Int
  /// What is not finite.
  public let quantity: String
  /// The first tensor with a number that is not finite.
  public let tensor: String?
  /// Whether the parameters themselves are still finite.
  public let parametersAreFinite: Bool
  /// The learning rate.
  public let learningRate: Double

  /// The step, the tensor, and what to do.
  public var description: String {
    """
    step \(step + 1): expected a finite \(quantity); found NaN or infinity, first in \
    \(tensor ?? "the \(quantity) itself")
      fix: give a lower --learning-rate than \(learningRate), or --clip
    """
  }
}
