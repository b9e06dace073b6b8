// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The networks of torch-rnn: a sequence of modules, with recurrent classes of the program's own.

import UnrollFormat
import UnrollTensors

/// A network of torch-rnn, `nn.LanguageModel`.
///
/// A layer has one matrix, `[D+H, 4H]` or `[D+H, H]`, the input's rows first, and one bias. The gates
/// of an LSTM are i, f, o, g.
struct TorchRNNModel {
  private(set) var architecture = Architecture(
    vocabularySize: 0, embeddingSize: 0, layers: [], isTied: false)
  private(set) var parameters = ParameterTree<Tensor>()
  /// The rates of dropout.
  private(set) var dropouts: Set<Double> = []

  private let file: Torch7File
  private var room: Int
  private var hasOutput = false

  private static let fix =
    "models of torch-rnn's LanguageModel.lua without batch normalization are converted; nothing else"

  /// Extracts the model.
  ///
  /// - Parameters:
  ///   - model: The `nn.LanguageModel`.
  ///   - place: Its location in the file.
  ///   - file: The file.
  /// - Throws: `InterchangeError` naming a module that cannot be converted, or a tensor that does not
  ///   fit.
  init(_ model: Torch7Value, _ place: String, in file: Torch7File) throws {
    self.file = file
    room = file.roomForTensors
    let net = file.field("net", of: model)
    let modules = file.list(file.field("modules", of: net))
    guard file.className(net) == "nn.Sequential", modules.count <= 400 else {
      throw file.error(
        "\(place).net", expected: "an nn.Sequential of at most 400 modules",
        found: file.className(net) ?? "none", fix: Self.fix)
    }
    for (index, module) in modules.enumerated() {
      try add(module, "\(place).net.modules.\(index + 1)")
    }
    guard !architecture.layers.isEmpty, hasOutput else {
      throw file.error(
        "\(place).net", expected: "an nn.LookupTable, recurrent modules and an nn.Linear",
        found: UnrollInterchange.list(modules.map { file.className($0) ?? "a value" }),
        fix: Self.fix)
    }
  }

  private mutating func add(_ module: Torch7Value, _ place: String) throws {
    let name = file.className(module) ?? "a value that is no module"
    let hasEmbedding = parameters[.embeddingWeight] != nil
    switch name {
    case "nn.LookupTable" where !hasEmbedding: try addEmbedding(module, place)
    case "nn.LSTM" where hasEmbedding && !hasOutput: try add(.lstm, module, place)
    case "nn.VanillaRNN" where hasEmbedding && !hasOutput: try add(.rnn, module, place)
    case "nn.Linear" where !architecture.layers.isEmpty && !hasOutput:
      try addOutput(module, place)
    case "nn.Dropout":
      if let rate = try file.dropout(of: module, place) { dropouts.insert(rate) }
    // The shapes that batches have for the linear layer.
    case "nn.View": break
    default:
      throw file.error(
        place, expected: "an nn.LookupTable, nn.LSTM or nn.VanillaRNN, and an nn.Linear",
        found: name, fix: Self.fix)
    }
  }

  private mutating func tensor(
    _ module: Torch7Value, _ name: String, _ place: String, rank: Int
  ) throws -> Tensor {
    try file.tensor(file.field(name, of: module), "\(place).\(name)", rank: rank, room: &room)
  }

  private mutating func bias(
    _ module: Torch7Value, _ place: String, count: Int
  ) throws -> Tensor {
    let bias = try tensor(module, "bias", place, rank: 1)
    guard bias.shape == [count] else {
      throw file.error("\(place).bias", expected: "shape [\(count)]", found: "\(bias.shape)")
    }
    return bias
  }

  private mutating func addEmbedding(_ module: Torch7Value, _ place: String) throws {
    if case .number? = file.field("maxNorm", of: module) {
      throw file.error(
        place, expected: "an nn.LookupTable that leaves its rows as they are",
        found: "one with maxNorm, which scales them", fix: Self.fix)
    }
    let weight = try tensor(module, "weight", place, rank: 2)
    parameters[.embeddingWeight] = weight
    architecture.vocabularySize = weight.shape.dimensions[0]
    architecture.embeddingSize = weight.shape.dimensions[1]
  }

  private mutating func add(_ cell: Cell, _ module: Torch7Value, _ place: String) throws {
    let (D, G) = (architecture.topSize, cell.gateCount)
    let weight = try tensor(module, "weight", place, rank: 2)
    let (rows, columns) = (weight.shape.dimensions[0], weight.shape.dimensions[1])
    let H = columns / G
    guard columns == G * H, H > 0, rows - H == D else {
      throw file.error(
        "\(place).weight",
        expected: "[D+H, \(G == 1 ? "" : "\(G)")H] for D = \(D) columns of its input",
        found: "shape \(weight.shape)", fix: Self.fix)
    }
    let bias = try bias(module, place, count: columns)
    let index = architecture.layers.count
    for (parameter, range) in [(LayerParameter.weightIH, 0..<D), (.weightHH, D..<rows)] {
      parameters[.layer(index, parameter)] = weight.rows(range).transposed().gates(
        from: cell == .lstm ? .torch7 : nil)
    }
    parameters[.layer(index, .bias)] = bias.gates(from: cell == .lstm ? .torch7 : nil)
    architecture.layers.append(
      LayerArchitecture(cell: cell, inputSize: D, hiddenSize: H, bias: .single))
  }

  private mutating func addOutput(_ module: Torch7Value, _ place: String) throws {
    let V = architecture.vocabularySize
    let weight = try tensor(module, "weight", place, rank: 2)
    guard weight.shape == [V, architecture.topSize] else {
      throw file.error(
        "\(place).weight", expected: "shape [\(V), \(architecture.topSize)]",
        found: "\(weight.shape)", fix: Self.fix)
    }
    parameters[.outputWeight] = weight
    parameters[.outputBias] = try bias(module, place, count: V)
    hasOutput = true
  }
}
