// The table of a training's settings: each has a name in the history, an option, and a place in the state.

import UnrollFormat

/// A setting of a training; all rows are in `all`, in the order of the history.
struct TrainingSetting: Sendable {
  typealias Path<Value> = WritableKeyPath<TrainingSettings, Value> & Sendable

  /// The name in the history.
  let name: String
  /// The option of the command line.
  let option: String
  /// The property, of a setting that a resumed training may change.
  var path: (PartialKeyPath<TrainingSettings> & Sendable)?
  /// `true` if a resumed training may change it although others may not change.
  var isFree = false
  /// Returns the value in words.
  let text: @Sendable (TrainingSettings) -> String
  /// Returns the lines of the history, `name=value`; none for a default that goes without saying.
  let lines: @Sendable (TrainingSettings) -> [String]
  /// Puts the setting into the state of a training, and returns `true` if that changes it.
  let store: @Sendable (TrainingSettings, inout TrainingState) -> Bool
}

extension TrainingSetting {
  static let all: [TrainingSetting] = [
    value("columns", "--batch-size", \.columns, \.data.columns),
    value("window", "--bptt", \.window, \.data.window),
    ofOptimizer("optimizer", "--optimizer") { $0.optimizerLines },
    ofOptimizer("clip", "--clip") { ["clip=\($0.clip?.description ?? "none")"] },
    TrainingSetting(
      name: "schedule", option: "--schedule", path: \TrainingSettings.schedule,
      text: { $0.schedule.kind.rawValue },
      lines: { settings in
        ["schedule=\(settings.schedule.kind.rawValue)"]
          + settings.schedule.numbers.sorted { $0.key.rawValue < $1.key.rawValue }.map {
            "schedule_\($0.key.rawValue)=\($0.value)"
          }
      },
      store: { settings, state in
        guard !settings.schedule.isThat(of: state.schedule) else { return false }
        state.schedule = settings.schedule
        return true
      }),
    ofOptimizer("layer_decay", "--layer-decay") { settings in
      settings.layerDecay == 1 ? [] : ["layer_decay=\(settings.layerDecay)"]
    },
    ofOptimizer("frozen", "--freeze") { settings in
      settings.frozen.isEmpty ? [] : ["frozen=\(settings.frozen.sorted().joined(separator: ","))"]
    },
    value(
      "unfreeze_every", "--unfreeze-every", \.unfreezeEvery, \.unfreezeEvery, omitted: .some(nil),
      isChangeable: false),
    TrainingSetting(
      name: "regularize", option: "--regularize", path: \TrainingSettings.regularization,
      text: { $0.regularization.map(\.description).joined(separator: ",") },
      lines: { $0.regularization.map(\.description) },
      store: { settings, state in
        guard settings.regularization != state.regularization else { return false }
        state.regularization = settings.regularization
        return true
      }),
    value("window_kind", "kind of BPTT windows", \.windowKind, \.data.windowKind, omitted: .fixed),
    value("precision", "--precision", \.precision, \.precision, omitted: .float32),
    value("average_after", "--average-after", \.averageAfter, \.averageAfter, omitted: .some(nil)),
    value(
      "sampled_softmax", "--sampled-softmax", \.sampledSoftmax, \.sampledSoftmax,
      omitted: .some(nil)),
    TrainingSetting(
      name: "seed", option: "--seed", path: \TrainingSettings.seed,
      text: { "\($0.seed)" }, lines: { $0.draws ? ["seed=\($0.seed)"] : [] },
      store: { settings, state in
        guard state.draws, state.seed != settings.seed else { return false }
        state.seed = settings.seed
        return true
      }),
    value("accumulation", "--gradient-accumulation", \.accumulation, \.accumulation, omitted: 1),
    value("shards", "--shards", \.shards, \.shards, omitted: 1),
    value("epochs", "--epochs", \.maximumEpochs, \.maximumEpochs, isFree: true),
    value("steps", "--steps", \.maximumSteps, \.maximumSteps, isFree: true),
  ]

  /// A setting that is a number or a word.
  ///
  /// - Parameters:
  ///   - name: The name in the history.
  ///   - option: The option of the command line.
  ///   - path: The property.
  ///   - place: The property of a training's state.
  ///   - omitted: The value that the history omits, if there is one.
  ///   - isFree: `true` if a resumed training may always change it.
  ///   - isChangeable: `false` if a resumed training never changes it.
  /// - Returns: The setting.
  private static func value<Value: Equatable & Sendable>(
    _ name: String, _ option: String, _ path: Path<Value>,
    _ place: WritableKeyPath<TrainingState, Value> & Sendable, omitted: Value? = nil,
    isFree: Bool = false, isChangeable: Bool = true
  ) -> TrainingSetting {
    let text: @Sendable (TrainingSettings) -> String = { words($0[keyPath: path]) }
    return TrainingSetting(
      name: name, option: option, path: isChangeable ? path : nil, isFree: isFree, text: text,
      lines: { $0[keyPath: path] == omitted ? [] : ["\(name)=\(text($0))"] },
      store: { settings, state in
        guard state[keyPath: place] != settings[keyPath: path] else { return false }
        state[keyPath: place] = settings[keyPath: path]
        return true
      })
  }

  /// A setting of the optimizer, which has its own state.
  private static func ofOptimizer(
    _ name: String, _ option: String, _ lines: @escaping @Sendable (TrainingSettings) -> [String]
  ) -> TrainingSetting {
    TrainingSetting(
      name: name, option: option, text: { lines($0).joined(separator: ",") }, lines: lines,
      store: { _, _ in false })
  }

  /// Returns a value as the history has it.
  private static func words(_ value: Any) -> String {
    switch value {
    case let value as WindowKind: value.rawValue
    case let value as Precision: value.rawValue
    case let value as Int?: value.map { "\($0)" } ?? "none"
    default: "\(value)"
    }
  }
}

extension TrainingState {
  /// `true` if random numbers are used.
  var draws: Bool {
    data.windowKind == .random || sampledSoftmax != nil
      || regularization.contains { $0.kind.isDropout }
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
