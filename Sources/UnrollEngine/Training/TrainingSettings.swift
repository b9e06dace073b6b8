// What a person decides about a training.

import Foundation
import UnrollFormat

/// The settings of a training.
public struct TrainingSettings: Sendable {
  /// The parallel streams that the text is cut into, B.
  public var columns = 20
  /// The time steps of a window of truncated BPTT, T.
  public var window = 35
  /// The rule by which the parameters change.
  public var optimizer = OptimizerKind.sgd
  /// The hyper-parameters that are not PyTorch's defaults.
  public var hyperparameters: [Hyperparameter: Double] = [.learningRate: 1]
  /// How weight decay acts.
  public var weightDecayKind = WeightDecayKind.l2
  /// How gradients are clipped, or `nil` where they are not.
  public var clip: GradientClip? = .globalNorm(0.25)
  /// What the learning rate is divided by after a validation that does not improve.
  public var plateauFactor = 4.0
  /// The epochs after which training ends, or `nil`.
  public var maximumEpochs: Int? = 10
  /// The steps after which training ends, or `nil`.
  public var maximumSteps: Int?

  /// Creates the defaults: those of word_language_model, but for a learning rate that does not
  /// throw a trained model far.
  public init() {}

  /// The settings as lines for the history of a model.
  var arguments: String {
    func text(_ value: Int?) -> String { value.map { "\($0)" } ?? "none" }
    let numbers = optimizer.defaults.merging(hyperparameters) { $1 }.sorted { $0.key < $1.key }
    var lines = ["optimizer=\(optimizer.rawValue)", "columns=\(columns)", "window=\(window)"]
    lines += numbers.map { "\($0.key.rawValue)=\($0.value)" }
    lines += [
      "weight_decay_kind=\(weightDecayKind.rawValue)", "clip=\(clip?.description ?? "none")",
      "plateau_factor=\(plateauFactor)", "epochs=\(text(maximumEpochs))",
      "steps=\(text(maximumSteps))",
    ]
    return lines.joined(separator: "\n")
  }

  /// The optimizer before its first step.
  func optimizerState(for architecture: Architecture) -> OptimizerState {
    var group = ParameterGroup(
      optimizer, hyperparameters, clip: clip, parameters: architecture.parameters.map(\.path))
    group.weightDecayKind = weightDecayKind
    return OptimizerState(kind: optimizer, step: 0, groups: [group])
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
    "\(path): expected \(expected); found \(found)\n  fix: \(fix)"
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
