// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Finds the recurrent layers among named tensors: `PREFIX.weight_ih_l0` and so on, cells without a
// layer number, `PREFIX.weight_ih`, and sequences of either, `lstm1.weight_ih_l0`,
// `lstm2.weight_ih_l0`, ...

import UnrollFormat
import UnrollTensors

/// The tensors of an `nn.LSTM`, `nn.GRU` or `nn.RNN`, of a cell, or of a sequence of these.
struct RecurrentStack {
  /// A recurrent layer.
  struct Layer {
    /// The path of its module, such as `rnn`; empty if the tensors' names have no prefix.
    let module: String
    /// Its tensors.
    let tensors: [LayerParameter: NamedTensor]
  }

  /// The layers, in order.
  let layers: [Layer]
  /// The names of all its tensors.
  let names: Set<String>

  /// The maximum number of layers: a checkpoint numbers them with two digits.
  private static let mostLayers = 100

  /// Finds the only stack.
  ///
  /// - Throws: `InterchangeError` if there is none or several, or if its kind is unsupported.
  init(in model: NamedTensors) throws {
    let file = model.file
    let starts = RecurrentModule.all(in: model)
    // Bounded, since each module of a list is looked up among all tensors.
    try Self.checkCount(starts.count, file: file)
    if starts.isEmpty, let network = model.otherNetwork {
      throw file.error(
        network.place, expected: "a recurrent language model (RNN, GRU or LSTM)",
        found: network.kind,
        fix: "give a recurrent model; other networks are not converted")
    }
    guard let modules = starts.count == 1 ? starts : Self.sequence(starts) else {
      throw starts.isEmpty
        ? model.roleError(
          expected:
            "recurrent tensors *.weight_ih_l0 of an nn.LSTM, nn.GRU or nn.RNN, or *.weight_ih of cells",
          found: model.names,
          advice: "if it is a recurrent language model, say which tensor is which"
        )
        : model.roleError(
          expected: "one recurrent module, or a sequence that its numbers order",
          found: list(starts.map(\.start)),
          advice: "if these are the layers of one model, one after the other, say their order")
    }
    layers = try modules.flatMap { try $0.layers(in: model) }
    try Self.checkCount(layers.count, file: file)
    names = Set(layers.flatMap { $0.tensors.values.map(\.name) })
  }

  /// Returns the recurrent parameters by name; `nil` if the names do not determine the order of
  /// layers.
  static func parameters(among names: Set<String>) -> [String: ParameterPath]? {
    let starts = RecurrentModule.all(of: names.sorted())
    guard !starts.isEmpty, let modules = starts.count == 1 ? starts : sequence(starts) else {
      return nil
    }
    let layers = modules.flatMap { $0.layers(among: names) }
    let paths = layers.enumerated().flatMap { index, layer in
      layer.map { ($0.key, ParameterPath.layer(index, $0.value)) }
    }
    return Dictionary(paths) { first, _ in first }
  }

  private static func checkCount(_ count: Int, file: any TensorContainer) throws {
    guard count <= mostLayers else {
      throw file.error(
        file.place, expected: "at most \(mostLayers) recurrent layers", found: "\(count)",
        fix: "if these are several models, save one: a checkpoint has no more layers")
    }
  }

  /// The modules in the notes of a conversion.
  var description: String {
    guard let first = layers.first?.module, let last = layers.last?.module, !first.isEmpty else {
      return "recurrent layers"
    }
    return first == last ? first : "\(first) to \(last) one after the other"
  }

  /// Returns the modules of a sequence in order, or `nil` if their names are not numbered
  /// consecutively.
  ///
  /// The names differ in one component that ends in a number counted from 0 or 1: `rnns.0.module.`,
  /// `rnns.1.module.`, ... or `lstm1.`, `lstm2.`, ...
  private static func sequence(_ modules: [RecurrentModule]) -> [RecurrentModule]? {
    let paths = modules.map { $0.prefix.split(separator: ".", omittingEmptySubsequences: false) }
    guard let first = paths.first, paths.allSatisfy({ $0.count == first.count }) else { return nil }
    let places = first.indices.filter { place in paths.contains { $0[place] != first[place] } }
    guard places.count == 1, let place = places.first else { return nil }
    let numbers = paths.map { path -> (stem: Substring, number: Int)? in
      let digits = path[place].reversed().prefix { $0.isASCII && $0.isNumber }
      return Int(String(digits.reversed())).map { (path[place].dropLast(digits.count), $0) }
    }
    let stems = Set(numbers.map { $0?.stem })
    guard stems.count == 1, stems.first != .some(nil) else { return nil }
    let byNumber = Dictionary(zip(numbers.map { $0?.number }, modules)) { first, _ in first }
    for start in 0...1 {
      let inOrder = modules.indices.compactMap { byNumber[$0 + start] }
      if inOrder.count == modules.count { return inOrder }
    }
    return nil
  }
}

/// A recurrent module, identified by the names of its tensors.
struct RecurrentModule {
  /// The prefix of its parameters' names: its path with a dot, or empty.
  let prefix: String
  /// `true` if it is a cell, whose names have no layer number.
  let isCell: Bool

  /// The name of a tensor that every such module has.
  var start: String { prefix + "weight_ih" + (isCell ? "" : "_l0") }

  /// Returns the modules of a model, in the order of the file.
  static func all(in model: NamedTensors) -> [RecurrentModule] {
    all(of: model.tensors.map(\.name))
  }

  /// Returns the modules of some names, in the order of the names.
  static func all(of names: [String]) -> [RecurrentModule] {
    names.compactMap { name in
      let start = name.lastIndex(of: ".").map(name.index(after:))
      let last = name[(start ?? name.startIndex)...]
      guard last == "weight_ih_l0" || last == "weight_ih" else { return nil }
      return RecurrentModule(
        prefix: String(name.dropLast(last.count)), isCell: last == "weight_ih")
    }
  }

  /// Returns the parameters of the module's layers by name, layer by layer.
  fileprivate func layers(among names: Set<String>) -> [[String: LayerParameter]] {
    var layers: [[String: LayerParameter]] = []
    while names.contains(name(.weightIH, layer: layers.count)) {
      let named = LayerParameter.torchNames.map { (name($0, layer: layers.count), $0) }
      layers.append(Dictionary(named.filter { names.contains($0.0) }) { first, _ in first })
      if isCell { break }
    }
    return layers
  }

  private func name(_ parameter: LayerParameter, layer: Int) -> String {
    prefix + parameter.rawValue + (isCell ? "" : "_l\(layer)")
  }

  /// Returns the layers of the module.
  ///
  /// - Throws: `InterchangeError` for other tensors of the module, and for bidirectional ones.
  func layers(in model: NamedTensors) throws -> [RecurrentStack.Layer] {
    let members = model.tensors.filter { tensor in
      tensor.name.hasPrefix(prefix) && !tensor.name.dropFirst(prefix.count).contains(".")
        && (isCell || tensor.name.contains("_l"))
    }
    try refuseReverse(members, file: model.file)
    let layers = try gather(members, in: model)
    let names = Set(layers.flatMap { $0.values.map(\.name) })
    if !isCell { try refuseGaps(members, names: names, layerCount: layers.count, file: model.file) }
    return layers.map { RecurrentStack.Layer(module: String(prefix.dropLast()), tensors: $0) }
  }

  private func refuseReverse(_ members: [NamedTensor], file: any TensorContainer) throws {
    if let reverse = members.first(where: { $0.name.hasSuffix("_reverse") }) {
      throw file.error(
        reverse.name, expected: "layers of one direction", found: "a bidirectional layer",
        fix: "a language model reads from left to right; bidirectional models are not converted")
    }
  }

  private func gather(
    _ members: [NamedTensor], in model: NamedTensors
  ) throws -> [[LayerParameter: NamedTensor]] {
    let file = model.file
    let byName = Dictionary(members.map { ($0.name, $0) }) { first, _ in first }
    var layers: [[LayerParameter: NamedTensor]] = []
    while byName[name(.weightIH, layer: layers.count)] != nil {
      var layer: [LayerParameter: NamedTensor] = [:]
      for parameter in LayerParameter.torchNames {
        layer[parameter] = byName[name(parameter, layer: layers.count)]
      }
      let biases = [layer[.biasIH], layer[.biasHH]].compactMap { $0?.name }
      let isWhole = layer[.bias] == nil ? biases.count != 1 : biases.isEmpty
      let isQRNN = model.qrnnModules.contains(prefix)
      guard isWhole, isQRNN || layer[.weightHH] != nil else {
        throw file.error(
          name(.weightIH, layer: layers.count),
          expected: "weight_hh, and both biases or none, beside it",
          found: list(layer.values.map(\.name).sorted()), fix: "save the whole state_dict")
      }
      for matrix in [layer[.weightHH], layer[.weightHR]].compactMap({ $0 })
      where matrix.tensor.shape.rank != 2 {
        throw file.error(
          matrix.name, expected: "a matrix", found: "shape \(matrix.tensor.shape)",
          fix: "save the state_dict of an nn.LSTM, nn.GRU or nn.RNN")
      }
      layers.append(layer)
      if isCell { break }
    }
    return layers
  }

  private func refuseGaps(
    _ members: [NamedTensor], names: Set<String>, layerCount: Int, file: any TensorContainer
  ) throws {
    guard let stray = members.first(where: { !names.contains($0.name) }) else { return }
    throw file.error(
      stray.name, expected: "layers numbered without gaps, 0 to \(layerCount - 1)",
      found: "a tensor that belongs to none of them", fix: "save the whole state_dict")
  }
}

extension NamedTensors {
  /// The kind of a network without recurrent layers, and a tensor that shows the kind.
  fileprivate var otherNetwork: (kind: String, place: String)? {
    if let tensor = tensors.first(where: { $0.tensor.shape.rank == 4 }) {
      return ("a convolutional network", tensor.fileName)
    }
    let words = ["attn", "attention", "q_proj", "c_attn", "self_attn"]
    if let tensor = tensors.first(where: { tensor in
      words.contains { tensor.name.lowercased().contains($0) }
    }) {
      return ("a Transformer or another network with attention", tensor.fileName)
    }
    return nil
  }
}
