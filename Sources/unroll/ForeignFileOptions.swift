// Options that state what a foreign file does not record.

import ArgumentParser
import UnrollEngine
import UnrollFormat

/// The structure of a model, for files that do not record it.
struct ForeignFileOptions: ParsableArguments {
  @Option(
    name: .customLong("map"),
    help: ArgumentHelp(
      "JSON file that states the roles of tensors, and their names on output; see --print-map.",
      valueName: "file"))
  var names: String?

  @Option(
    help: ArgumentHelp(
      "Path of the model in a PyTorch file of several: ema.state_dict.",
      valueName: "path"))
  var root: String?

  @Option(
    name: .customLong("ignore"), parsing: .singleValue,
    help: ArgumentHelp(
      "Tensor, dataset, layer or group to leave out; repeatable.",
      valueName: "name"))
  var ignored: [String] = []

  @Option(
    help: ArgumentHelp(
      "Configuration of Keras weights: the JSON of `model.to_json()`.",
      valueName: "file"))
  var kerasConfig: String?

  @Option(help: "Activation of a vanilla RNN, if the file does not record it.")
  var nonlinearity: Activation?

  @Option(
    help:
      "Gate activation of old Keras weights: sigmoid or hard_sigmoid.",
    transform: Self.gates)
  var gateActivation: GateActivation?

  @Option(
    help: "Constant that TensorFlow 1 adds to forget gates, if there is no .meta file.",
    transform: Self.bias)
  var forgetBias: Double?

  private static func bias(_ text: String) throws -> Double {
    guard let number = Double(text), number.isFinite else {
      throw ValidationError("--forget-bias is a number, such as 1.")
    }
    return number
  }

  private static func gates(_ name: String) throws -> GateActivation {
    switch name {
    case "sigmoid": return .sigmoid
    // The slope depends on the version of Keras.
    case "hard_sigmoid": return .hardSigmoid(alpha: 0.2, beta: 0.5)
    default: throw ValidationError("--gate-activation is sigmoid or hard_sigmoid.")
    }
  }

  /// Sets these options.
  func apply(to options: inout ConversionOptions) {
    options.names = names
    options.root = root
    options.ignored = Set(ignored)
    options.configuration = kerasConfig
    options.nonlinearity = nonlinearity
    options.gateActivation = gateActivation
    options.forgetBias = forgetBias
  }
}

/// Options of verbs that read a model of any format.
struct AnyModelOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp("Tokens of a file that has none, one a line.", valueName: "file"))
  var vocabulary: String?

  @OptionGroup var structure: ForeignFileOptions

  /// The options of reading.
  var conversion: ConversionOptions {
    var options = ConversionOptions(vocabulary: vocabulary.map { .list($0) } ?? .file)
    structure.apply(to: &options)
    return options
  }

  /// The files to read beside the model.
  var paths: [String] { [vocabulary, structure.names, structure.kerasConfig].compactMap { $0 } }
}
