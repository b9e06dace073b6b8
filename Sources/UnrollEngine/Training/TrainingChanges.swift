// Changed settings of a resumed training.

import UnrollFormat

/// The changes of a resumed training; settings that are not given stay unchanged.
///
/// A setting of `TrainingSettings` is given by assigning it: `changes.window = 70`.
@dynamicMemberLookup
public struct TrainingChanges: Sendable {
  /// The settings, of which those count that are given.
  public private(set) var settings = TrainingSettings()
  /// The names of those that are given.
  private var given: Set<String> = []
  /// `true` if one is given that never changes.
  private var givesFixed = false
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
  /// Hyperparameters of all groups, of those that the optimizer has.
  public var hyperparameters: [Hyperparameter: Double] = [:]
  /// Gradient clipping; `.some(nil)` for none.
  public var clip: GradientClip??

  /// Creates a value without changes.
  public init() {}

  /// A setting; assigning gives it.
  public subscript<Value>(dynamicMember path: WritableKeyPath<TrainingSettings, Value>) -> Value {
    get { settings[keyPath: path] }
    set {
      settings[keyPath: path] = newValue
      let setting = TrainingSetting.all.first {
        $0.path as PartialKeyPath<TrainingSettings>? == path
      }
      if let setting { given.insert(setting.name) } else { givesFixed = true }
    }
  }

  /// `true` if the length of the training changes, and with it a schedule that ends with the
  /// training.
  var changesLength: Bool {
    !given.isDisjoint(with: ["epochs", "steps", "columns", "window", "accumulation", "schedule"])
      || allowsOtherTexts
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
    guard !givesFixed else {
      throw EngineError(
        path: "--resume", expected: "settings that can change", found: "one that never does",
        fix: "leave --resume out to begin a new training from these weights")
    }
    try rule.check(isThatOf: state, optimizer, architecture)
    try check(optimizer.kind, averages: state.averageAfter != nil)
    let isBySentence = state.data.windowKind == .sentence
    let kind = given.contains("window_kind") ? settings.windowKind : state.data.windowKind
    guard isBySentence == (kind == .sentence),
      !isBySentence || !given.contains("columns") || settings.columns == 1
    else {
      throw EngineError(
        path: isBySentence ? "--batch-size" : "--sentences",
        expected: isBySentence
          ? "batch size 1 and no random BPTT lengths: this training is by sentence"
          : "streams of a batch: this training is not by sentence",
        found: "others", fix: "leave it out, or leave --resume out to begin a new training")
    }
    var made: [String] = []
    let oldData = state.data
    if train.digest != oldData.trainDigest { made.append("train=\(train.digest)") }
    if valid.digest != oldData.validDigest { made.append("valid=\(valid.digest)") }
    (state.data.trainDigest, state.data.validDigest) = (train.digest, valid.digest)
    for setting in TrainingSetting.all where given.contains(setting.name) {
      if setting.store(settings, &state) {
        made.append("\(setting.name)=\(setting.text(settings))")
      }
    }
    if state.draws, state.seed == nil {
      state.seed = settings.seed
      made.append("seed=\(settings.seed)")
    }
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
    let allowed =
      ["learning_rate", "train", "valid"] + TrainingSetting.all.filter(\.isFree).map(\.name)
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
      numbers + (given.contains("average_after") && !kinds.contains(.sgd) ? ["average_after"] : [])
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

extension TrainingState {
  /// Discards the evaluations; the next one is the first, of the current model.
  mutating func forgetEvaluations() {
    (history, best, evaluationsWithoutImprovement) = ([], nil, 0)
  }
}
