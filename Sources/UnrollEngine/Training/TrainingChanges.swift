// Changed settings of a resumed training.

import UnrollFormat

/// The changes of a resumed training; settings that are `nil` stay unchanged.
public struct TrainingChanges: Sendable {
  /// The number of epochs after which training ends.
  public var maximumEpochs: Int?
  /// The number of steps after which training ends.
  public var maximumSteps: Int?
  /// The highest learning rate; groups keep their ratios.
  public var learningRate: Double?
  /// `true` if the texts may differ from those of the training so far.
  ///
  /// A new training text starts an epoch with a zero state; a new validation text discards the
  /// evaluations so far.
  public var allowsOtherTexts = false
  /// `true` if settings other than the length of the training and the learning rate may change.
  public var allowsOtherSettings = true
  /// The optimizer and its parameter groups, which never change; the given ones are compared.
  public var rule = TrainingRule()
  /// Batch size B; a change starts an epoch with a zero state.
  public var columns: Int?
  /// BPTT length T.
  public var window: Int?
  /// The kind of windows; training by sentence and other training cannot be exchanged.
  public var windowKind: WindowKind?
  /// Gradient accumulation: the number of windows per step.
  public var accumulation: Int?
  /// The number of shards of a step.
  public var shards: Int?
  /// Hyperparameters of all groups, of those that the optimizer has.
  public var hyperparameters: [Hyperparameter: Double] = [:]
  /// Gradient clipping; `.some(nil)` for none.
  public var clip: GradientClip??
  /// Learning-rate schedule, applied as if it had been used from the first step.
  public var schedule: LearningRateSchedule?
  /// Regularization terms.
  public var regularization: [RegularizationTerm]?
  /// The number of evaluations without improvement after which SGD becomes ASGD.
  public var averageAfter: Int?
  /// Random seed of dropout masks and window lengths.
  public var seed: UInt32?
  /// Compute precision.
  public var precision: Precision?

  /// Creates a value without changes.
  public init() {}

  /// `true` if the length of the training changes, and with it a schedule that ends with the
  /// training.
  var changesLength: Bool {
    maximumEpochs != nil || maximumSteps != nil || columns != nil || window != nil
      || accumulation != nil || schedule != nil || allowsOtherTexts
  }

  /// Applies the changes to a training state.
  ///
  /// - Parameters:
  ///   - state: The training state.
  ///   - optimizer: Its optimizer.
  ///   - architecture: The model's architecture.
  ///   - train: The training text.
  ///   - valid: The validation text.
  /// - Returns: Each change as `name=value`.
  /// - Throws: `EngineError` if the optimizer has no such hyperparameter, or if a setting differs
  ///   that may not change.
  func apply(
    to state: inout TrainingState, _ optimizer: inout OptimizerState,
    of architecture: Architecture, train: TrainingText, valid: TrainingText
  ) throws -> [String] {
    try rule.check(isThatOf: state, optimizer, architecture)
    try check(optimizer.kind, averages: state.averageAfter != nil)
    let isBySentence = state.data.windowKind == .sentence
    guard isBySentence == ((windowKind ?? state.data.windowKind) == .sentence),
      !isBySentence || (columns ?? 1) == 1
    else {
      throw EngineError(
        path: isBySentence ? "--batch-size" : "--sentences",
        expected: isBySentence
          ? "batch size 1 and no random BPTT lengths: this training is by sentence"
          : "streams of a batch: this training is not by sentence",
        found: "others", fix: "leave it out, or leave --resume out to begin a new training")
    }
    var made: [String] = []
    func set<Value: Equatable>(_ name: String, _ place: inout Value, _ new: Value?) {
      guard let new, new != place else { return }
      place = new
      made.append("\(name)=\(new)")
    }
    func set<Value: Equatable>(_ name: String, _ place: inout Value?, _ new: Value?) {
      guard let new, new != place else { return }
      place = new
      made.append("\(name)=\(new)")
    }
    set("epochs", &state.maximumEpochs, maximumEpochs)
    set("steps", &state.maximumSteps, maximumSteps)
    let oldData = state.data
    set("train", &state.data.trainDigest, train.digest)
    set("valid", &state.data.validDigest, valid.digest)
    set("columns", &state.data.columns, columns)
    set("window", &state.data.window, window)
    set("window_kind", &state.data.windowKind, windowKind)
    set("accumulation", &state.accumulation, accumulation)
    set("shards", &state.shards, shards)
    set("precision", &state.precision, precision)
    set("average_after", &state.averageAfter, averageAfter)
    if let schedule, !schedule.isThat(of: state.schedule) {
      state.schedule = schedule
      made.append("schedule=\(schedule.kind.rawValue)")
    }
    if let regularization, regularization != state.regularization {
      state.regularization = regularization
      made.append("regularize=" + regularization.map(\.description).joined(separator: ","))
    }
    let draws =
      state.data.windowKind == .random || state.regularization.contains { $0.kind.isDropout }
    set("seed", &state.seed, draws ? seed ?? state.seed ?? TrainingSettings().seed : nil)
    made += apply(to: &optimizer)
    try checkAllowed(made)
    if state.data.trainDigest != oldData.trainDigest || state.data.columns != oldData.columns {
      (state.data.cursor, state.data.totalNLL, state.hidden) = (0, 0, [])
    }
    if state.data.validDigest != oldData.validDigest { state.forgetEvaluations() }
    return made
  }

  /// Refuses changes that are not allowed.
  private func checkAllowed(_ made: [String]) throws {
    let allowed = ["epochs", "steps", "learning_rate", "train", "valid"]
    let change = made.first { !allowed.contains(String($0.prefix { $0 != "=" })) }
    guard !allowsOtherSettings, let change else { return }
    throw EngineError(
      path: "--resume", expected: "the settings that the training began with",
      found: option(String(change.prefix { $0 != "=" }), in: [change]),
      fix: "leave that option out, or give --allow-changes")
  }

  /// Refuses hyperparameters that the optimizer lacks; SGD that became ASGD accepts those of both.
  private func check(_ kind: OptimizerKind, averages: Bool) throws {
    let kinds = [kind] + (averages ? [.sgd] : [])
    let numbers = hyperparameters.keys.filter { name in
      kinds.allSatisfy { $0.defaults[name] == nil }
    }.map(\.rawValue)
    let foreign =
      numbers + (averageAfter != nil && !kinds.contains(.sgd) ? ["average_after"] : [])
    guard let first = foreign.min() else { return }
    throw EngineError(
      path: first, expected: "a hyperparameter of \(kind.rawValue), the optimizer of this training",
      found: "a hyperparameter of another optimizer",
      fix: "leave it out, or leave --resume out to begin a new training from these weights")
  }

  private func apply(to optimizer: inout OptimizerState) -> [String] {
    var made: [String] = []
    let highest = optimizer.groups.map { $0[.learningRate] }.max() ?? 0
    if let learningRate, learningRate != highest {
      for index in optimizer.groups.indices {
        let old = optimizer.groups[index][.learningRate]
        optimizer.groups[index][.learningRate] =
          old == highest ? learningRate : old * (learningRate / highest)
      }
      made.append("learning_rate=\(learningRate)")
    }
    for (name, value) in hyperparameters.sorted(by: { $0.key < $1.key })
    where optimizer.kind.defaults[name] != nil {
      guard optimizer.groups.contains(where: { $0[name] != value }) else { continue }
      for index in optimizer.groups.indices { optimizer.groups[index][name] = value }
      made.append("\(name.rawValue)=\(value)")
    }
    if let clip, optimizer.groups.contains(where: { $0.clip != clip }) {
      for index in optimizer.groups.indices { optimizer.groups[index].clip = clip }
      made.append("clip=\(clip?.description ?? "none")")
    }
    return made
  }
}

extension LearningRateSchedule {
  /// Returns `true` if a schedule is the same except for lengths that the training filled in.
  fileprivate func isThat(of resolved: LearningRateSchedule) -> Bool {
    guard kind == resolved.kind else { return false }
    var filled = self
    for number in [ScheduleNumber.total, .warmUp]
    where kind.defaults[number] != nil && self[number] == 0 {
      filled[number] = resolved[number]
    }
    return filled == resolved
  }
}

extension TrainingState {
  /// Discards the evaluations; the next one is the first, of the current model.
  mutating func forgetEvaluations() {
    (history, best, evaluationsWithoutImprovement) = ([], nil, 0)
  }
}
