// A training as the objects that are to be written.

import UnrollHDF5
import UnrollTensors

extension OptimizerState {
  /// Adds `/optimizer` and its members.
  func add(to outline: inout Outline) {
    outline.addGroup(
      Layout.optimizer,
      [AttributeName.kind: .text(kind.rawValue), AttributeName.step: .integer(Int64(step))])
    outline.addGroup(Layout.optimizerGroups)
    for (index, group) in groups.enumerated() {
      let path = Layout.optimizerGroup(index)
      outline.addGroup(path, group.attributes)
      let lines = group.parameters.map { $0.description + "\n" }.joined()
      outline.addDataset("\(path)/\(MemberName.parameters)", Tensor(Array(lines.utf8)))
    }
    guard !slots.isEmpty else { return }
    outline.addGroup(Layout.optimizerState)
    for (slot, tree) in slots {
      outline.addGroup(Layout.slot(slot), [AttributeName.shape: .text("parameter")])
      for path in tree.paths {
        guard let tensor = tree[path] else { continue }
        outline.addGroups(from: Layout.slot(slot), to: path)
        outline.addDataset(Layout.slot(slot, path), tensor)
      }
    }
  }
}

extension Outline {
  /// Adds the groups of a parameter's path below another group.
  fileprivate mutating func addGroups(from root: String, to path: ParameterPath) {
    var group = root
    for name in path.description.split(separator: "/").dropLast() {
      group += "/\(name)"
      addGroup(group)
    }
  }
}

extension ParameterGroup {
  fileprivate var attributes: [String: AttributeValue] {
    var attributes: [String: AttributeValue] = [
      AttributeName.weightDecayKind: .text(weightDecayKind.rawValue),
      AttributeName.frozen: .integer(isFrozen ? 1 : 0),
      AttributeName.step: .integer(Int64(step)),
    ]
    for (hyperparameter, value) in hyperparameters {
      attributes[hyperparameter.rawValue] =
        hyperparameter.isFlag ? .integer(Int64(exactly: value) ?? -1) : .number(value)
    }
    if let epsilonPosition {
      attributes[AttributeName.epsilonPosition] = .text(epsilonPosition.rawValue)
    }
    if let averaging {
      attributes[AttributeName.eta] = .number(averaging.eta)
      attributes[AttributeName.mu] = .number(averaging.mu)
    }
    attributes.merge(clip?.attributes ?? [AttributeName.clipKind: .text(ClipKind.none.rawValue)]) {
      $1
    }
    return attributes
  }
}

extension GradientClip {
  fileprivate var attributes: [String: AttributeValue] {
    let (kind, scope, value): (ClipKind, ClipScope?, Double) =
      switch self {
      case .globalNorm(let value): (.norm, .global, value)
      case .parameterNorm(let value): (.norm, .parameter, value)
      case .value(let value): (.value, nil, value)
      }
    var attributes: [String: AttributeValue] = [
      AttributeName.clipKind: .text(kind.rawValue), AttributeName.clipValue: .number(value),
    ]
    if let scope { attributes[AttributeName.clipScope] = .text(scope.rawValue) }
    return attributes
  }
}

extension TrainingState {
  /// Adds `/training` and its members.
  func add(to outline: inout Outline) {
    outline.addGroup(Layout.training, Self.fields.attributes(of: self))
    outline.addGroup(Layout.trainingData, TrainingData.fields.attributes(of: data))
    outline.addGroup(
      Layout.trainingSchedule,
      schedule.attributes.merging([
        AttributeName.withoutImprovement: .integer(Int64(evaluationsWithoutImprovement))
      ]) { $1 })
    if !regularization.isEmpty { outline.addGroup(Layout.regularization) }
    for (index, term) in regularization.enumerated() {
      outline.addGroup(
        "\(Layout.regularization)/\(Layout.number(index, digits: 2))",
        RegularizationTerm.fields.attributes(of: term))
    }
    outline.addGroup(Layout.trainingHidden)
    for (index, state) in hidden.enumerated() {
      let path = Layout.hiddenState(index)
      outline.addGroup(path)
      for name in LayerStateName.allCases {
        if let tensor = state[name] { outline.addDataset("\(path)/\(name.rawValue)", tensor) }
      }
    }
    addHistory(to: &outline)
    if let best {
      outline.addGroup(Layout.trainingBest, BestState.fields.attributes(of: best))
    }
  }

  private func addHistory(to outline: inout Outline) {
    guard !history.isEmpty else { return }
    let group = Layout.trainingHistory
    outline.addGroup(group)
    // Steps below 0 become numbers that rule R005 refuses.
    outline.addDataset(
      "\(group)/\(MemberName.step)", Tensor(history.map { UInt64(bitPattern: Int64($0.step)) }))
    outline.addDataset("\(group)/\(MemberName.epoch)", Tensor(history.map(\.epoch)))
    outline.addDataset(
      "\(group)/\(MemberName.learningRate)", Tensor(history.map(\.learningRate)))
    outline.addDataset("\(group)/\(MemberName.trainNLL)", Tensor(history.map(\.trainNLL)))
    outline.addDataset("\(group)/\(MemberName.validNLL)", Tensor(history.map(\.validNLL)))
  }
}

extension LearningRateSchedule {
  fileprivate var attributes: [String: AttributeValue] {
    var attributes = [AttributeName.kind: AttributeValue.text(kind.rawValue)]
    for (number, value) in numbers { attributes[number.rawValue] = .number(value) }
    return attributes
  }
}
