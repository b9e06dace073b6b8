// A row of the table of settings: a name in the history, an option, and a place in the state.

import UnrollFormat

/// A setting of a training; the rows are `all`, beside `TrainingSettings`.
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
  static func value<Value: Equatable & Sendable>(
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
  static func ofOptimizer(
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
  func isThat(of resolved: LearningRateSchedule) -> Bool {
    guard kind == resolved.kind else { return false }
    var filled = self
    for number in [ScheduleNumber.total, .warmUp]
    where kind.defaults[number] != nil && self[number] == 0 {
      filled[number] = resolved[number]
    }
    return filled == resolved
  }
}
