// The optimizer that settings describe, and its lines in the history of a model.

import UnrollFormat
import UnrollTensors

extension TrainingSettings {
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
