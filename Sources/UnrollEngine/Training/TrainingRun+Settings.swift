// The settings of a training beside their defaults.

import UnrollFormat
import UnrollTokenization

extension TrainingRun {
  /// A setting by its name in the history.
  public struct Setting: Sendable, Equatable {
    /// The name, such as `learning_rate`.
    public let name: String
    /// The value in words.
    public let value: String
    /// The default in words, for the optimizer of the training; `nil` for a setting without one.
    public let usual: String?

    /// `true` unless the value is the default.
    public var isChosen: Bool { value != usual }
  }

  /// The settings that shaped the training, as in the history of its files, with their defaults.
  public var describedSettings: [Setting] {
    let lines = settingLines.map(Self.parts)
    var settings = TrainingSettings()
    let names = Dictionary(lines) { first, _ in first }
    settings.optimizer = names["optimizer"].flatMap(OptimizerKind.init(rawValue:)) ?? .sgd
    if let kind = names["schedule"].flatMap(ScheduleKind.init(rawValue:)) {
      settings.schedule = LearningRateSchedule(kind)
    }
    let usual =
      (TrainingSetting.all.flatMap { $0.lines(settings) }
      + NewModel().arguments.split(separator: "\n").map(String.init)).map(Self.parts)
    var defaults = Dictionary(usual) { first, _ in first }
    // The values above follow from the training's own choice.
    defaults.merge([
      ("optimizer", OptimizerKind.sgd.rawValue),
      ("schedule", TrainingSettings().schedule.kind.rawValue), ("seed", "\(settings.seed)"),
      ("tokenizer", TokenizerKind.whitespace.rawValue), ("vocabulary", "train"),
      ("adaptive_factor", "\(NewModel().adaptiveFactor)"),
    ]) { $1 }
    return lines.map { Setting(name: $0.0, value: $0.1, usual: defaults[$0.0]) }
  }

  /// Returns name and value of a line of the history.
  private static func parts(_ line: String) -> (String, String) {
    let parts = line.split(separator: "=", maxSplits: 1).map(String.init)
    return parts.count == 2 ? (parts[0], parts[1]) : ("setting", line)
  }

  /// The gradient clipping of the training; `nil` for none.
  public var clip: GradientClip? { optimizer.groups.first?.clip }
}
