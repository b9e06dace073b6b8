// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The recurrent layers among named tensors: `PREFIX.weight_ih_l0` and its relatives, or a list of
// such modules, `PREFIX.0.weight_ih_l0`, `PREFIX.1.weight_ih_l0`, ...

import UnrollFormat
import UnrollTensors

/// The tensors of an `nn.LSTM`, `nn.GRU` or `nn.RNN`, or of an `nn.ModuleList` of them.
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

  /// The most layers: a checkpoint numbers them with two digits.
  private static let mostLayers = 100

  /// Finds the only stack.
  ///
  /// - Throws: `InterchangeError` if there is none or several, or if it is of a kind not read.
  init(in model: NamedTensors) throws {
    let file = model.file
    let suffix = "weight_ih_l0"
    let starts = model.tensors.map(\.name).filter { $0 == suffix || $0.hasSuffix("." + suffix) }
    // Every module of a list is looked for among all tensors.
    try Self.checkCount(starts.count, file: file)
    let found = starts.map { String($0.dropLast(suffix.count)) }
    guard let prefixes = found.count == 1 ? found : Self.sequence(found) else {
      throw file.error(
        file.place, expected: "one tensor *.\(suffix) of an nn.LSTM, nn.GRU or nn.RNN",
        found: starts.isEmpty ? model.names : list(starts),
        fix: "save the state_dict of one language model with one recurrent module")
    }
    layers = try prefixes.flatMap { try Self.layers(in: model, prefix: $0) }
    try Self.checkCount(layers.count, file: file)
    names = Set(layers.flatMap { $0.tensors.values.map(\.name) })
  }

  private static func checkCount(_ count: Int, file: any TensorContainer) throws {
    guard count <= mostLayers else {
      throw file.error(
        file.place, expected: "at most \(mostLayers) recurrent layers", found: "\(count)",
        fix: "if these are several models, save one: a checkpoint has no more layers")
    }
  }

  /// The modules as the report of a conversion names them.
  var description: String {
    guard let first = layers.first?.module, let last = layers.last?.module, !first.isEmpty else {
      return "recurrent layers"
    }
    return first == last ? first : "\(first) to \(last) one after the other"
  }

  /// The prefixes of a list of modules in its order, or `nil` if they are not those of one list.
  ///
  /// They differ in one component, which counts from 0: `rnns.0.module.`, `rnns.1.module.`, ...
  private static func sequence(_ prefixes: [String]) -> [String]? {
    let paths = prefixes.map { $0.split(separator: ".", omittingEmptySubsequences: false) }
    guard let first = paths.first, paths.allSatisfy({ $0.count == first.count }) else { return nil }
    let places = first.indices.filter { place in paths.contains { $0[place] != first[place] } }
    guard places.count == 1, let place = places.first else { return nil }
    let byNumber = Dictionary(zip(paths.map { $0[place] }, prefixes)) { first, _ in first }
    let inOrder = prefixes.indices.compactMap { byNumber["\($0)"] }
    return inOrder.count == prefixes.count ? inOrder : nil
  }

  /// The layers of one module.
  private static func layers(in model: NamedTensors, prefix: String) throws -> [Layer] {
    let members = model.tensors.filter { tensor in
      tensor.name.hasPrefix(prefix) && !tensor.name.dropFirst(prefix.count).contains(".")
        && tensor.name.contains("_l")
    }
    try refuseReverse(members, file: model.file)
    let layers = try gather(members, prefix: prefix, file: model.file)
    let names = Set(layers.flatMap { $0.values.map(\.name) })
    try refuseGaps(members, names: names, layerCount: layers.count, file: model.file)
    return layers.map { Layer(module: String(prefix.dropLast()), tensors: $0) }
  }

  private static func refuseReverse(
    _ members: [NamedTensor], file: any TensorContainer
  ) throws {
    if let reverse = members.first(where: { $0.name.hasSuffix("_reverse") }) {
      throw file.error(
        reverse.name, expected: "layers of one direction", found: "a bidirectional layer",
        fix: "a language model reads from left to right; bidirectional models are not converted")
    }
  }

  private static func gather(
    _ members: [NamedTensor], prefix: String, file: any TensorContainer
  ) throws -> [[LayerParameter: NamedTensor]] {
    let byName = Dictionary(members.map { ($0.name, $0) }) { first, _ in first }
    var layers: [[LayerParameter: NamedTensor]] = []
    while byName["\(prefix)weight_ih_l\(layers.count)"] != nil {
      var layer: [LayerParameter: NamedTensor] = [:]
      for parameter in LayerParameter.torchNames {
        layer[parameter] = byName["\(prefix)\(parameter.rawValue)_l\(layers.count)"]
      }
      let biases = [layer[.biasIH], layer[.biasHH]].compactMap { $0?.name }
      let isWhole = layer[.bias] == nil ? biases.count != 1 : biases.isEmpty
      guard let weight = layer[.weightHH], isWhole else {
        throw file.error(
          "\(prefix)weight_ih_l\(layers.count)",
          expected: "weight_hh, and both biases or none, beside it",
          found: list(layer.values.map(\.name).sorted()), fix: "save the whole state_dict")
      }
      for matrix in [weight, layer[.weightHR]].compactMap({ $0 })
      where matrix.tensor.shape.rank != 2 {
        throw file.error(
          matrix.name, expected: "a matrix", found: "shape \(matrix.tensor.shape)",
          fix: "save the state_dict of an nn.LSTM, nn.GRU or nn.RNN")
      }
      layers.append(layer)
    }
    return layers
  }

  private static func refuseGaps(
    _ members: [NamedTensor], names: Set<String>, layerCount: Int, file: any TensorContainer
  ) throws {
    guard let stray = members.first(where: { !names.contains($0.name) }) else { return }
    throw file.error(
      stray.name, expected: "layers numbered without gaps, 0 to \(layerCount - 1)",
      found: "a tensor that belongs to none of them", fix: "save the whole state_dict")
  }
}
