// Training options of the command line.

import ArgumentParser
import UnrollEngine
import UnrollFormat

/// Options of `train` and `finetune`; absent options have their defaults.
///
/// Values are parsed unconditionally, so that a negative number is an invalid value rather than an
/// unknown option.
struct TrainingOptions: ParsableArguments {
  @Option(
    parsing: .unconditional, help: "Epochs to train (default: 10, or none with --steps).")
  var epochs: Int?

  @Option(parsing: .unconditional, help: "Optimizer steps to train.")
  var steps: Int?

  @Option(
    parsing: .unconditional, help: "Streams of the text side by side in a batch (default: 20).")
  var batchSize: Int?

  @Option(
    parsing: .unconditional, help: "Time steps of truncated backpropagation (default: 35).")
  var bptt: Int?

  @Option(
    parsing: .unconditional, help: "Batches whose gradients make one step (default: 1).")
  var gradientAccumulation: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Parts of a step that are summed in a fixed order; each machine takes some (default: the "
        + "number of machines).",
      valueName: "shards"))
  var shards: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Approximate the loss: a softmax over the target and N drawn tokens of a vocabulary by frequency. "
        + "Evaluations are exact.",
      valueName: "n"))
  var sampledSoftmax: Int?

  @Option(
    help: ArgumentHelp(
      "Optimizer: \(Self.optimizers), with optional hyperparameters, as adam,beta1=0.8 "
        + "(default: sgd).",
      valueName: "optimizer"))
  var optimizer: NamedNumbers?

  @Option(
    parsing: .unconditional,
    help: "Learning rate (default: 1 for sgd, else PyTorch's own).")
  var learningRate: Double?

  @Option(
    parsing: .unconditional, help: "Momentum of sgd and rmsprop, from 0 to below 1 (default: 0).")
  var momentum: Double?

  @Option(
    parsing: .unconditional,
    help: "Weight decay: L2, for adamw decoupled (default: 0; adamw: 0.01).")
  var weightDecay: Double?

  @Option(
    parsing: .unconditional,
    help: "Largest global norm of a gradient; 0 for no clipping (default: 0.25).")
  var clip: Double?

  @Option(
    parsing: .unconditional,
    help: "Largest absolute value of a gradient's element, instead of --clip.")
  var clipValue: Double?

  @Option(
    help: ArgumentHelp(
      "Learning rate schedule: \(Self.schedules), with optional numbers, as "
        + "cosine,warm_up=100,final=0.1 (default: divide_on_plateau,factor=4).",
      valueName: "schedule"))
  var schedule: NamedNumbers?

  @Option(
    parsing: .unconditional,
    help: "Divisor of the learning rate from each layer to the one below (default: 1).")
  var layerDecay: Double?

  @Option(
    help: ArgumentHelp("Parts that are not trained, as embedding,layers/00.", valueName: "parts"))
  var freeze: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Train the output first, and one more part below it after every N epochs.",
      valueName: "epochs"))
  var unfreezeEvery: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Dropout of embeddings, between layers, and before the output (default: 0).",
      valueName: "rate"))
  var dropout: Double?

  @Option(
    name: .customLong("regularize"),
    help: ArgumentHelp(
      "Regularization terms site:kind=rate instead of --dropout: embedding:row|element|locked, "
        + "between:element|locked, output:element|locked|activation|temporal, weight_hh:weight.",
      valueName: "terms"))
  var terms: String?

  @Flag(help: "Draw BPTT lengths around --bptt, and scale the learning rate with them (AWD-LSTM).")
  var randomBptt = false

  @Flag(
    help: ArgumentHelp(
      "Train each line from a zero state; --gradient-accumulation lines make a step, and --bptt "
        + "(default: 512) cuts longer ones."))
  var sentences = false

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Switch to averaged SGD when validation loss has not improved for N evaluations (AWD-LSTM: 5).",
      valueName: "n"))
  var averageAfter: Int?

  @Option(parsing: .unconditional, help: "Random seed (default: 1).")
  var seed: UInt32?

  @Option(
    name: .customLong("precision"), help: "Compute precision (default: f32).")
  private var trainingPrecision: TrainingPrecision?

  /// The compute precision, if it is given.
  var precision: Precision? { trainingPrecision?.precision }

  static let optimizers = OptimizerKind.allCases
    .flatMap { $0 == .adam ? ["adam", "adamw"] : [$0.rawValue] }.joined(separator: ", ")
  private static let schedules = ScheduleKind.allCases.map(\.rawValue).joined(separator: ", ")

  func validate() throws {
    if let precision, !Precision.ofTraining.contains(precision) {
      throw ValidationError("--precision is f32 or bf16: int8 is for evaluations.")
    }
    let counts = [
      ("--epochs", epochs), ("--steps", steps), ("--batch-size", batchSize), ("--bptt", bptt),
      ("--gradient-accumulation", gradientAccumulation), ("--unfreeze-every", unfreezeEvery),
      ("--shards", shards), ("--sampled-softmax", sampledSoftmax),
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
    try check("--clip", clip, { $0 >= 0 }, "at least 0, not infinite")
    try check("--clip-value", clipValue, { $0 > 0 }, "above 0, not infinite")
    try check("--layer-decay", layerDecay, { $0 >= 1 }, "of at least 1, not infinite")
    if clip != nil && clipValue != nil {
      throw ValidationError("--clip and --clip-value cannot be combined.")
    }
    try check("--dropout", dropout, { $0 >= 0 && $0 < 1 }, "of at least 0 and below 1")
    if dropout != nil && terms != nil {
      throw ValidationError(
        "--dropout and --regularize cannot be combined: --dropout is three of its terms.")
    }
    if let averageAfter, averageAfter < 0 {
      throw ValidationError("--average-after is at least 0.")
    }
    if averageAfter != nil, let optimizer, optimizer.name != "sgd" {
      throw ValidationError("--average-after needs the optimizer sgd, not \(optimizer.name).")
    }
    if sentences && (randomBptt || batchSize ?? 1 != 1) {
      throw ValidationError("--sentences cannot be combined with --batch-size or --random-bptt.")
    }
    if freeze != nil && unfreezeEvery != nil {
      throw ValidationError(
        "--unfreeze-every and --freeze cannot be combined.")
    }
    _ = try settings()
  }

  /// The names of the given options that define a new optimizer.
  var optimizerOptions: [String] {
    let options: [(String, Bool)] = [
      ("--optimizer", optimizer != nil), ("--momentum", momentum != nil),
      ("--weight-decay", weightDecay != nil), ("--layer-decay", layerDecay != nil),
      ("--freeze", freeze != nil), ("--unfreeze-every", unfreezeEvery != nil),
      ("--average-after", averageAfter != nil),
    ]
    return options.filter(\.1).map(\.0)
  }

  /// Returns the settings that options give.
  ///
  /// - Throws: `ValidationError` for unknown names and numbers outside their domain.
  private func given() throws -> TrainingChanges {
    var given = TrainingChanges()
    if let batchSize { given.columns = batchSize }
    if let bptt { given.window = bptt }
    if sentences { given.windowKind = .sentence } else if randomBptt { given.windowKind = .random }
    if let gradientAccumulation { given.accumulation = gradientAccumulation }
    if let shards { given.shards = shards }
    if let sampledSoftmax { given.sampledSoftmax = sampledSoftmax }
    if let schedule { given.schedule = try self.schedule(schedule) }
    if dropout != nil || terms != nil { given.regularization = try regularization }
    if let averageAfter { given.averageAfter = averageAfter }
    if let seed { given.seed = seed }
    if let precision { given.precision = precision }
    if let epochs { given.maximumEpochs = epochs }
    if let steps { given.maximumSteps = steps }
    return given
  }

  /// The settings of a new training.
  ///
  /// - Throws: `ValidationError` for unknown names and numbers outside their domain.
  func settings() throws -> TrainingSettings {
    var settings = try given().settings
    if sentences { (settings.columns, settings.window) = (1, bptt ?? 512) }
    if epochs == nil && steps != nil { settings.maximumEpochs = nil }
    if shards == nil { settings.shards = Launcher.size ?? 1 }
    try setOptimizer(of: &settings)
    if let clip { settings.clip = clip > 0 ? .globalNorm(clip) : nil }
    if let clipValue { settings.clip = .value(clipValue) }
    settings.layerDecay = layerDecay ?? settings.layerDecay
    settings.frozen = Set((freeze ?? "").split(separator: ",").map(String.init))
    settings.unfreezeEvery = unfreezeEvery
    return settings
  }

  /// The length of a resumed training, if it is given, and no other change.
  var length: TrainingChanges {
    var changes = TrainingChanges()
    if let epochs { changes.maximumEpochs = epochs }
    if let steps { changes.maximumSteps = steps }
    changes.allowsOtherSettings = false
    return changes
  }

  /// Returns the changed settings of a resumed training: the options that are given.
  ///
  /// - Throws: `ValidationError` for numbers outside their domain.
  func changes() throws -> TrainingChanges {
    var changes = try given()
    let settings = try settings()
    changes.learningRate = learningRate
    if let momentum { changes.hyperparameters[.momentum] = momentum }
    if let weightDecay { changes.hyperparameters[.weightDecay] = weightDecay }
    if clip != nil || clipValue != nil { changes.clip = .some(settings.clip) }
    changes.rule = rule(settings)
    return changes
  }

  /// Returns the given options that can never change in a resumed training.
  private func rule(_ settings: TrainingSettings) -> TrainingRule {
    var rule = TrainingRule()
    if let optimizer {
      (rule.optimizer, rule.weightDecayKind) = (settings.optimizer, settings.weightDecayKind)
      let names = optimizer.numbers.compactMap { Hyperparameter(rawValue: $0.name) }
      rule.hyperparameters = settings.hyperparameters.filter {
        names.contains($0.key) && $0.key != .learningRate
      }
    }
    (rule.layerDecay, rule.unfreezeEvery) = (layerDecay, unfreezeEvery)
    if freeze != nil { rule.frozen = settings.frozen }
    return rule
  }
}

/// A compute precision whose help lists those of training only.
private struct TrainingPrecision: ExpressibleByArgument {
  let precision: Precision

  init?(argument: String) {
    guard let precision = Precision(rawValue: argument) else { return nil }
    self.precision = precision
  }

  static let allValueStrings = Precision.ofTraining.map(\.rawValue)
}
