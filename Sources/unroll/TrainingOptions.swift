// The settings of a training on the command line.

import ArgumentParser
import UnrollEngine

/// What `finetune` takes; an option that is not given has its default.
///
/// Values are taken as they come, so that a negative number is a wrong number and no unknown option.
struct TrainingOptions: ParsableArguments {
  @Option(
    parsing: .unconditional,
    help: "Training ends after this many epochs (default: 10, or none with --steps).")
  var epochs: Int?

  @Option(parsing: .unconditional, help: "Training ends after this many steps.")
  var steps: Int?

  @Option(
    parsing: .unconditional, help: "The parallel streams that the text is cut into (default: 20).")
  var columns: Int?

  @Option(
    parsing: .unconditional, help: "The time steps of a window of truncated BPTT (default: 35).")
  var window: Int?

  @Option(parsing: .unconditional, help: "The learning rate of SGD (default: 1).")
  var learningRate: Double?

  @Option(
    parsing: .unconditional,
    help: "How much of the velocity stays from step to step, 0 up to 1 (default: 0).")
  var momentum: Double?

  @Option(
    parsing: .unconditional, help: "What of a weight is added to its gradient, L2 (default: 0).")
  var weightDecay: Double?

  @Option(
    parsing: .unconditional,
    help: "The global norm that gradients are clipped to; 0 for none (default: 0.25).")
  var clip: Double?

  @Option(
    parsing: .unconditional,
    help: "What divides the learning rate after a validation that does not improve (default: 4).")
  var plateauFactor: Double?

  func validate() throws {
    let counts = [
      ("--epochs", epochs), ("--steps", steps), ("--columns", columns), ("--window", window),
    ]
    for case (let name, let value?) in counts where !(1...Int(Int32.max)).contains(value) {
      throw ValidationError("\(name) is 1 to \(Int32.max).")
    }
    func check(
      _ name: String, _ value: Double?, _ isFine: (Double) -> Bool, _ domain: String
    ) throws {
      guard let value, !(value.isFinite && isFine(value)) else { return }
      throw ValidationError("\(name) is a number \(domain).")
    }
    try check("--learning-rate", learningRate, { $0 > 0 }, "above 0, not infinite")
    try check("--momentum", momentum, { $0 >= 0 && $0 < 1 }, "from 0 up to but not 1")
    try check("--weight-decay", weightDecay, { $0 >= 0 }, "at least 0, not infinite")
    try check("--clip", clip, { $0 >= 0 }, "at least 0, not infinite")
    try check("--plateau-factor", plateauFactor, { $0 >= 1 }, "at least 1, not infinite")
  }

  /// The names of the given options that a resumed training cannot change.
  var fixedOptions: [String] {
    var names: [String] = []
    if columns != nil { names.append("--columns") }
    if window != nil { names.append("--window") }
    if momentum != nil { names.append("--momentum") }
    if weightDecay != nil { names.append("--weight-decay") }
    if clip != nil { names.append("--clip") }
    if plateauFactor != nil { names.append("--plateau-factor") }
    return names
  }

  /// The settings of a new training.
  var settings: TrainingSettings {
    var settings = TrainingSettings()
    settings.columns = columns ?? settings.columns
    settings.window = window ?? settings.window
    settings.learningRate = learningRate ?? settings.learningRate
    settings.momentum = momentum ?? settings.momentum
    settings.weightDecay = weightDecay ?? settings.weightDecay
    settings.plateauFactor = plateauFactor ?? settings.plateauFactor
    if let clip { settings.clipNorm = clip > 0 ? clip : nil }
    settings.maximumEpochs = epochs ?? (steps == nil ? settings.maximumEpochs : nil)
    settings.maximumSteps = steps
    return settings
  }
}
