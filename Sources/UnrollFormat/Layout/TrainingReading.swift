// From a file's contents to the state of a training.

import UnrollHDF5
import UnrollTensors

extension Contents {
  /// Returns a floating-point attribute.
  func number(_ path: String, _ name: String) -> Double? {
    if case .number(let value)? = object(path)?.attributes[name] { return value }
    return nil
  }

  /// The kind of the optimizer; `nil` where there is none that the format has.
  var optimizerKind: OptimizerKind? {
    text(Layout.optimizer, AttributeName.kind).flatMap(OptimizerKind.init)
  }

  /// The optimizer; `nil` where a part is missing or not allowed.
  var optimizer: OptimizerState? {
    guard let architecture,
      let kind = optimizerKind, let step = integer(Layout.optimizer, AttributeName.step)
    else { return nil }
    var state = OptimizerState(kind: kind, step: step, groups: [])
    for group in optimizerGroups {
      guard let group = parameterGroup(group, kind, architecture) else { return nil }
      state.groups.append(group)
    }
    for slot in OptimizerSlot.allCases where exists(Layout.slot(slot)) {
      var tree = ParameterTree<Tensor>()
      for (path, _) in architecture.parameters { tree[path] = tensor(Layout.slot(slot, path)) }
      state.slots[slot] = tree
    }
    return state
  }

  /// The paths of the optimizer's groups, in order.
  var optimizerGroups: [String] {
    members(of: Layout.optimizerGroups).map { "\(Layout.optimizerGroups)/\($0)" }
  }

  private func parameterGroup(
    _ group: String, _ kind: OptimizerKind, _ architecture: Architecture
  ) -> ParameterGroup? {
    guard let step = integer(group, AttributeName.step), let lines = parameterLines(of: group)
    else { return nil }
    let owned = Dictionary(
      uniqueKeysWithValues: architecture.parameters.map { ($0.path.description, $0.path) })
    let parameters = lines.compactMap { owned[$0] }
    guard parameters.count == lines.count else { return nil }
    var result = ParameterGroup(kind, clip: clip(of: group), parameters: parameters)
    for hyperparameter in kind.defaults.keys {
      guard let value = value(of: hyperparameter, in: group) else { return nil }
      result[hyperparameter] = value
    }
    result.step = step
    result.isFrozen = integer(group, AttributeName.frozen) == 1
    result.weightDecayKind =
      text(group, AttributeName.weightDecayKind).flatMap(WeightDecayKind.init) ?? .l2
    result.epsilonPosition =
      text(group, AttributeName.epsilonPosition).flatMap(EpsilonPosition.init)
    if kind == .asgd {
      guard let eta = number(group, AttributeName.eta), let mu = number(group, AttributeName.mu)
      else { return nil }
      result.averaging = ParameterGroup.Averaging(eta: eta, mu: mu)
    }
    return result
  }

  /// Returns the value of a hyperparameter of a group, stored as a number or as a flag.
  func value(of hyperparameter: Hyperparameter, in group: String) -> Double? {
    hyperparameter.isFlag
      ? integer(group, hyperparameter.rawValue).map(Double.init)
      : number(group, hyperparameter.rawValue)
  }

  private func clip(of group: String) -> GradientClip? {
    guard let value = number(group, AttributeName.clipValue) else { return nil }
    switch text(group, AttributeName.clipKind).flatMap(ClipKind.init) {
    case .value: return .value(value)
    case .norm:
      let isGlobal = text(group, AttributeName.clipScope) == ClipScope.global.rawValue
      return isGlobal ? .globalNorm(value) : .parameterNorm(value)
    case .some(.none), nil: return nil
    }
  }

  /// Returns the paths that a group of the optimizer lists; `nil` if they are no lines of UTF-8.
  func parameterLines(of group: String) -> [String]? {
    guard let bytes = tensor("\(group)/\(MemberName.parameters)")?.withUnsafeBytes({ Array($0) }),
      let text = String(validating: bytes, as: UTF8.self), text.utf8.last == UInt8(ascii: "\n")
    else { return nil }
    return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
  }

  /// The state of the training; `nil` if a part is missing or not allowed.
  var trainingState: TrainingState? {
    guard let data = trainingData, let schedule = learningRateSchedule,
      let waited = integer(Layout.trainingSchedule, AttributeName.withoutImprovement),
      let hidden = carriedStates,
      var state = value(
        TrainingState.fields, at: Layout.training,
        in: TrainingState(data: data, schedule: schedule, hidden: hidden))
    else { return nil }
    state.evaluationsWithoutImprovement = waited
    for name in members(of: Layout.regularization) {
      guard let term = regularizationTerm("\(Layout.regularization)/\(name)") else { return nil }
      state.regularization.append(term)
    }
    if exists(Layout.trainingHistory) {
      guard let history else { return nil }
      state.history = history
    }
    if exists(Layout.trainingBest) {
      guard let best else { return nil }
      state.best = best
    }
    return state
  }

  /// The schedule of the learning rate; `nil` if a part is missing or not allowed.
  private var learningRateSchedule: LearningRateSchedule? {
    guard
      let kind = text(Layout.trainingSchedule, AttributeName.kind).flatMap(ScheduleKind.init)
    else { return nil }
    var schedule = LearningRateSchedule(kind)
    for name in kind.defaults.keys {
      guard let value = number(Layout.trainingSchedule, name.rawValue) else { return nil }
      schedule[name] = value
    }
    return schedule
  }

  private var trainingData: TrainingData? {
    value(
      TrainingData.fields, at: Layout.trainingData,
      in: TrainingData(trainDigest: "", validDigest: "", tokens: 0, columns: 0, window: 0))
  }

  private var carriedStates: [CarriedState]? {
    var states: [CarriedState] = []
    for name in members(of: Layout.trainingHidden) {
      let group = "\(Layout.trainingHidden)/\(name)"
      var state = CarriedState()
      for name in LayerStateName.allCases { state[name] = tensor("\(group)/\(name.rawValue)") }
      guard state[.h] != nil else { return nil }
      states.append(state)
    }
    return states
  }

  /// The steps of the evaluations; `nil` where there is no such column.
  var historySteps: [UInt64]? {
    tensor("\(Layout.trainingHistory)/\(MemberName.step)")?.withUnsafeBytes {
      $0.elements(of: UInt64.self) { $0 }
    }
  }

  private var history: [TrainingRecord]? {
    guard let steps = historySteps, let epochs = historyColumn(MemberName.epoch),
      let learningRates = historyColumn(MemberName.learningRate),
      let train = historyColumn(MemberName.trainNLL),
      let valid = historyColumn(MemberName.validNLL),
      [epochs, learningRates, train, valid].allSatisfy({ $0.count == steps.count })
    else { return nil }
    var records: [TrainingRecord] = []
    for index in steps.indices {
      guard let step = Int(exactly: steps[index]) else { return nil }
      records.append(
        TrainingRecord(
          step: step, epoch: epochs[index], learningRate: learningRates[index],
          trainNLL: train[index], validNLL: valid[index]))
    }
    return records
  }

  private func historyColumn(_ name: String) -> [Double]? {
    tensor("\(Layout.trainingHistory)/\(name)")?.withUnsafeBytes {
      $0.elements(of: UInt64.self) { Double(bitPattern: $0) }
    }
  }

  private var best: BestState? {
    value(
      BestState.fields, at: Layout.trainingBest,
      in: BestState(step: 0, validNLL: 0, weightsDigest: ""))
  }
}
