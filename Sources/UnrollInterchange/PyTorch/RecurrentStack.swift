// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The recurrent layers among named tensors: `PREFIX.weight_ih_l0` and its relatives.

import UnrollFormat
import UnrollTensors

/// The tensors of `nn.LSTM`, `nn.GRU` or `nn.RNN`.
struct RecurrentStack {
  /// The path of the module, such as `rnn`; empty if the tensors' names have no prefix.
  let path: String
  /// The tensors of each layer.
  let layers: [[LayerParameter: NamedTensor]]
  /// The names of all its tensors.
  let names: Set<String>

  /// Finds the only stack.
  ///
  /// - Throws: `InterchangeError` if there is none or several, or if it is of a kind not read.
  init(in model: TorchModel) throws {
    let file = model.file
    if let raw = model.tensors.first(where: { $0.name.hasSuffix("_l0_raw") }) {
      throw file.error(
        raw.name, expected: "recurrent weights under PyTorch's names",
        found: "a weight of AWD-LSTM's WeightDrop",
        fix: "AWD-LSTM models are not read yet; store the dropped weights under plain names")
    }
    let suffix = "weight_ih_l0"
    let starts = model.tensors.map(\.name).filter { $0 == suffix || $0.hasSuffix("." + suffix) }
    guard starts.count == 1, let start = starts.first else {
      throw file.error(
        file.pickleRecord, expected: "one tensor *.\(suffix) of an nn.LSTM, nn.GRU or nn.RNN",
        found: starts.isEmpty ? model.names : list(starts),
        fix: "save the state_dict of one language model with one recurrent module")
    }
    let prefix = String(start.dropLast(suffix.count))
    let members = model.tensors.filter { tensor in
      tensor.name.hasPrefix(prefix) && !tensor.name.dropFirst(prefix.count).contains(".")
        && tensor.name.contains("_l")
    }
    try Self.refuseVariants(members, prefix: prefix, file: file)
    path = prefix.isEmpty ? "" : String(prefix.dropLast())
    layers = try Self.gather(members, prefix: prefix, file: file)
    names = Set(layers.flatMap { $0.values.map(\.name) })
    try Self.refuseGaps(members, names: names, layerCount: layers.count, file: file)
  }

  private static func refuseVariants(
    _ members: [NamedTensor], prefix: String, file: TorchFile
  ) throws {
    if let reverse = members.first(where: { $0.name.hasSuffix("_reverse") }) {
      throw file.error(
        reverse.name, expected: "layers of one direction", found: "a bidirectional layer",
        fix: "a language model reads from left to right; bidirectional models are not converted")
    }
    let projection = members.first { $0.name.dropFirst(prefix.count).hasPrefix("weight_hr_l") }
    if let projection {
      throw file.error(
        projection.name, expected: "layers without projection", found: "an LSTM with proj_size",
        fix: "projections are not read yet; train with proj_size=0")
    }
  }

  private static func gather(
    _ members: [NamedTensor], prefix: String, file: TorchFile
  ) throws -> [[LayerParameter: NamedTensor]] {
    let byName = Dictionary(members.map { ($0.name, $0) }) { first, _ in first }
    var layers: [[LayerParameter: NamedTensor]] = []
    while byName["\(prefix)weight_ih_l\(layers.count)"] != nil {
      var layer: [LayerParameter: NamedTensor] = [:]
      for parameter in LayerParameter.allCases {
        layer[parameter] = byName["\(prefix)\(parameter.rawValue)_l\(layers.count)"]
      }
      let biases = [layer[.biasIH], layer[.biasHH]].compactMap { $0?.name }
      guard let weight = layer[.weightHH], biases.count != 1 else {
        throw file.error(
          "\(prefix)weight_ih_l\(layers.count)",
          expected: "weight_hh, and both biases or none, beside it",
          found: list(layer.values.map(\.name).sorted()), fix: "save the whole state_dict")
      }
      guard weight.tensor.shape.rank == 2 else {
        throw file.error(
          weight.name, expected: "a matrix", found: "shape \(weight.tensor.shape)",
          fix: "save the state_dict of an nn.LSTM, nn.GRU or nn.RNN")
      }
      layers.append(layer)
    }
    return layers
  }

  private static func refuseGaps(
    _ members: [NamedTensor], names: Set<String>, layerCount: Int, file: TorchFile
  ) throws {
    guard let stray = members.first(where: { !names.contains($0.name) }) else { return }
    throw file.error(
      stray.name, expected: "layers numbered without gaps, 0 to \(layerCount - 1)",
      found: "a tensor that belongs to none of them", fix: "save the whole state_dict")
  }
}
