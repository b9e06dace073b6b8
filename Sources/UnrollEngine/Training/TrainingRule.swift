// The settings that never change when a training is resumed: the optimizer and its parameter
// groups.

import Foundation
import UnrollFormat

/// An optimizer and its parameter groups as options give them; `nil` for options that are absent.
public struct TrainingRule: Sendable {
  /// Optimizer.
  public var optimizer: OptimizerKind?
  /// The kind of weight decay.
  public var weightDecayKind: WeightDecayKind?
  /// Hyperparameters of the optimizer except the learning rate.
  public var hyperparameters: [Hyperparameter: Double] = [:]
  /// The factor between the learning rates of successive groups; see `TrainingSettings.layerDecay`.
  public var layerDecay: Double?
  /// The parts that are not trained.
  public var frozen: Set<String>?
  /// The number of epochs after which one more part is trained.
  public var unfreezeEvery: Int?

  /// Creates a value without options.
  public init() {}

  /// Refuses options that differ from those of a training.
  ///
  /// - Throws: `EngineError` naming the first difference.
  func check(
    isThatOf state: TrainingState, _ current: OptimizerState, _ architecture: Architecture
  ) throws {
    func compare(_ option: String, _ isSame: Bool, _ expected: String, _ found: String) throws {
      guard !isSame else { return }
      throw EngineError(
        path: option, expected: "\(expected), as this training began", found: found,
        fix: "leave it out, or leave --resume out to begin a new training from these weights")
    }
    if let optimizer {
      // ASGD of a training with `averageAfter` began as SGD.
      let began =
        state.averageAfter != nil && current.kind == .asgd ? OptimizerKind.sgd : current.kind
      try compare("--optimizer", optimizer == began, began.rawValue, optimizer.rawValue)
    }
    for group in current.groups {
      if let weightDecayKind {
        try compare(
          "--optimizer", weightDecayKind == group.weightDecayKind,
          "weight decay \(group.weightDecayKind.rawValue)", weightDecayKind.rawValue)
      }
      for (name, value) in hyperparameters.sorted(by: { $0.key < $1.key }) {
        guard let number = group.hyperparameters[name] else { continue }
        try compare("--optimizer", value == number, "\(name.rawValue)=\(number)", "\(value)")
      }
    }
    if let layerDecay {
      try compare(
        "--layer-decay", current.hasRates(dividedBy: layerDecay), "another number",
        "\(layerDecay)")
    }
    if let frozen, unfreezeEvery == nil {
      let began = current.frozenParts(of: architecture)
      func text(_ parts: Set<String>) -> String {
        parts.isEmpty ? "nothing" : parts.sorted().joined(separator: ",")
      }
      try compare("--freeze", frozen == began, "\(text(began)) frozen", text(frozen))
    }
    if let unfreezeEvery {
      try compare(
        "--unfreeze-every", unfreezeEvery == state.unfreezeEvery,
        state.unfreezeEvery.map { "\($0)" } ?? "none", "\(unfreezeEvery)")
    }
  }
}

extension OptimizerState {
  /// Returns `true` if the learning rate of each group is that of the next group divided by a
  /// number, up to the rounding of a schedule.
  fileprivate func hasRates(dividedBy decay: Double) -> Bool {
    guard groups.count > 1 else { return decay == 1 }
    return zip(groups, groups.dropFirst()).allSatisfy { lower, upper in
      abs(lower[.learningRate] * decay - upper[.learningRate]) <= 1e-9 * upper[.learningRate]
    }
  }

  /// Returns the parts whose group is frozen.
  fileprivate func frozenParts(of architecture: Architecture) -> Set<String> {
    let frozen = Set(groups.filter(\.isFrozen).flatMap(\.parameters))
    return Set(architecture.parts.filter { $0.paths.allSatisfy(frozen.contains) }.map(\.name))
  }
}
