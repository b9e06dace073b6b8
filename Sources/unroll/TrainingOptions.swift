// The settings of a training on the command line.

import ArgumentParser
import UnrollEngine
import UnrollFormat

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

  @Option(
    help: ArgumentHelp(
      "The rule of the steps: \(OptimizerName.allValueStrings.joined(separator: ", ")) (default: sgd).",
      valueName: "rule"))
  var optimizer: OptimizerName?

  @Option(
    parsing: .unconditional,
    help: "The learning rate (default: 1 for sgd; for others PyTorch's own).")
  var learningRate: Double?

  @Option(
    parsing: .unconditional,
    help: "How much of the velocity stays from step to step, 0 up to 1 (default: 0).")
  var momentum: Double?

  @Option(
    parsing: .unconditional,
    help: "What of a weight is taken off: L2, for adamw decoupled (default: 0; adamw: 0.01).")
  var weightDecay: Double?

  @Option(
    name: .customLong("set"), parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "Another number of the rule, by its name in the file: beta1, nesterov, lambd, ...",
      valueName: "name=number"))
  var numbers: [String] = []

  @Option(
    parsing: .unconditional,
    help: "The global norm that gradients are clipped to; 0 for none (default: 0.25).")
  var clip: Double?

  @Option(
    parsing: .unconditional,
    help: "The size that each number of a gradient is clipped to, instead of the norm.")
  var clipValue: Double?

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
    try check("--clip-value", clipValue, { $0 > 0 }, "above 0, not infinite")
    if clip != nil && clipValue != nil {
      throw ValidationError("--clip and --clip-value are two ways to clip; give one.")
    }
    _ = try hyperparameters
    try check("--clip", clip, { $0 >= 0 }, "at least 0, not infinite")
    try check("--plateau-factor", plateauFactor, { $0 >= 1 }, "at least 1, not infinite")
  }

  /// The names of the given options that a resumed training cannot change.
  var fixedOptions: [String] {
    var names: [String] = []
    if columns != nil { names.append("--columns") }
    if window != nil { names.append("--window") }
    if optimizer != nil { names.append("--optimizer") }
    if momentum != nil { names.append("--momentum") }
    if weightDecay != nil { names.append("--weight-decay") }
    if !numbers.isEmpty { names.append("--set") }
    if clip != nil { names.append("--clip") }
    if clipValue != nil { names.append("--clip-value") }
    if plateauFactor != nil { names.append("--plateau-factor") }
    return names
  }

  /// The settings of a new training.
  func settings() throws -> TrainingSettings {
    var settings = TrainingSettings()
    settings.columns = columns ?? settings.columns
    settings.window = window ?? settings.window
    settings.optimizer = (optimizer ?? .sgd).kind
    settings.weightDecayKind = optimizer == .adamw ? .decoupled : .l2
    settings.hyperparameters = try hyperparameters
    settings.plateauFactor = plateauFactor ?? settings.plateauFactor
    if let clip { settings.clip = clip > 0 ? .globalNorm(clip) : nil }
    if let clipValue { settings.clip = .value(clipValue) }
    settings.maximumEpochs = epochs ?? (steps == nil ? settings.maximumEpochs : nil)
    settings.maximumSteps = steps
    return settings
  }

  /// The numbers of the rule that options give, and our own defaults.
  ///
  /// - Throws: `ValidationError` for a number that the rule does not have, or outside its domain.
  private var hyperparameters: [Hyperparameter: Double] {
    get throws {
      let name = optimizer ?? .sgd
      var result: [Hyperparameter: Double] = [:]
      if name == .sgd { result[.learningRate] = 1 }
      if name == .adamw { result[.weightDecay] = 0.01 }
      func set(_ option: String, _ hyperparameter: Hyperparameter, _ value: Double) throws {
        guard name.kind.defaults[hyperparameter] != nil else {
          throw ValidationError("\(option) is not a number of \(name.rawValue).")
        }
        guard hyperparameter.allows(value) else {
          throw ValidationError("\(option) is \(hyperparameter.domain).")
        }
        result[hyperparameter] = value
      }
      if let learningRate { try set("--learning-rate", .learningRate, learningRate) }
      if let momentum { try set("--momentum", .momentum, momentum) }
      if let weightDecay { try set("--weight-decay", .weightDecay, weightDecay) }
      for text in numbers {
        let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, let hyperparameter = Hyperparameter(rawValue: parts[0]),
          let value = Double(parts[1])
        else {
          throw ValidationError("--set takes a name of the file and a number, as beta1=0.95.")
        }
        try set("--set \(parts[0])", hyperparameter, value)
      }
      return result
    }
  }
}

/// The rules by the names of their PyTorch classes.
enum OptimizerName: String, CaseIterable, ExpressibleByArgument {
  case sgd, adam, adamw, rmsprop, adagrad, adadelta, asgd

  var kind: OptimizerKind { self == .adamw ? .adam : OptimizerKind(rawValue: rawValue) ?? .sgd }
}
