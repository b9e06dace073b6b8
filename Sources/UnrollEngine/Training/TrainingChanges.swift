// What a resumed training does otherwise than before.

import UnrollFormat

/// Changes of a training that goes on; what is `nil` stays as it is.
public struct TrainingChanges: Sendable {
  /// The epochs after which training ends.
  public var maximumEpochs: Int?
  /// The steps after which training ends.
  public var maximumSteps: Int?
  /// The highest learning rate; groups keep their ratios.
  public var learningRate: Double?
  /// Whether the texts may be others than before.
  ///
  /// A new training text begins an epoch with no state carried; with a new validation text the
  /// evaluations so far are forgotten.
  public var allowsOtherTexts = false
  /// Whether anything but the length of the training and the learning rate may be otherwise than before.
  public var allowsOtherSettings = true
  /// The rule of the steps and how its groups were made, which never change; those that are given are
  /// compared.
  public var rule = TrainingRule()
  /// The parallel streams that the text is cut into, B; others begin an epoch with no state carried.
  public var columns: Int?
  /// The time steps of a window of truncated BPTT, T.
  public var window: Int?
  /// What decides the lengths of windows; a training by sentence stays one, and no other becomes one.
  public var windowKind: WindowKind?
  /// The windows whose gradients make one step.
  public var accumulation: Int?
  /// Numbers of all groups, of those that the rule has.
  public var hyperparameters: [Hyperparameter: Double] = [:]
  /// How gradients are clipped; `.some(nil)` for not at all.
  public var clip: GradientClip??
  /// How the learning rate changes, as if it had from the first step.
  public var schedule: LearningRateSchedule?
  /// What keeps the model from learning its text by heart.
  public var regularization: [RegularizationTerm]?
  /// The evaluations after which SGD becomes ASGD.
  public var averageAfter: Int?
  /// What masks and windows are drawn from.
  public var seed: UInt32?
  /// The type of the factors of products.
  public var precision: Precision?

  /// Creates no change.
  public init() {}

  /// The length of the training changes, and with it a schedule that ends when it does.
  var changesLength: Bool {
    maximumEpochs != nil || maximumSteps != nil || columns != nil || window != nil
      || accumulation != nil || schedule != nil || allowsOtherTexts
  }

  /// Changes a state.
  ///
  /// - Parameters:
  ///   - state: The training.
  ///   - optimizer: Its optimizer.
  ///   - architecture: The model's.
  ///   - train: The text to learn.
  ///   - valid: The text that chooses.
  /// - Returns: Each change as `name=value`.
  /// - Throws: `TrainingError` if the training's rule has no such number, or if something is other than
  ///   before that may not be.
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
      throw TrainingError(
        path: isBySentence ? "--batch-size" : "--sentences",
        expected: isBySentence
          ? "one column without random windows: this training is by sentence"
          : "columns: this training is not by sentence",
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

  /// Refuses what is otherwise than before and may not be.
  private func checkAllowed(_ made: [String]) throws {
    let allowed = ["epochs", "steps", "learning_rate", "train", "valid"]
    let change = made.first { !allowed.contains(String($0.prefix { $0 != "=" })) }
    guard !allowsOtherSettings, let change else { return }
    throw TrainingError(
      path: "--resume", expected: "the settings that the training began with",
      found: "\(change)", fix: "leave that option out, or give --allow-changes")
  }

  /// SGD that averages is ASGD by now, and its numbers are still given.
  private func check(_ kind: OptimizerKind, averages: Bool) throws {
    let kinds = [kind] + (averages ? [.sgd] : [])
    let numbers = hyperparameters.keys.filter { name in
      kinds.allSatisfy { $0.defaults[name] == nil }
    }.map(\.rawValue)
    let foreign =
      numbers + (averageAfter != nil && !kinds.contains(.sgd) ? ["average_after"] : [])
    guard let first = foreign.min() else { return }
    throw TrainingError(
      path: first, expected: "a number of \(kind.rawValue), the rule of this training",
      found: "one of another rule",
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
  /// Whether a schedule is the same, but for lengths that the training gave it.
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
  /// Makes the next evaluation the first one: of the model as it is.
  mutating func forgetEvaluations() {
    (history, best, evaluationsWithoutImprovement) = ([], nil, 0)
  }
}
