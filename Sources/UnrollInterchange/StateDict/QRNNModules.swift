// swift-format-ignore-file: AlwaysUseLowerCamelCase
// QRNN layers of salesforce's pytorch-qrnn and of fastai, whose weights are those of a linear layer.

import UnrollFormat
import UnrollTensors

/// The linear layer of a QRNN layer, by the names of its tensors.
///
/// AWD-QRNN names them `rnns.0.linear.weight`, `rnns.0.linear.bias`; with weight dropout
/// `rnns.0.linear.module.weight_raw`; fastai `rnns.0.layers.0.linear.weight_raw`.
private struct LinearName {
  /// The path of the QRNN layer, with a dot.
  let prefix: String
  /// `weight`, `weight_raw` or `bias`.
  let parameter: Substring

  /// Creates the parts of a name; `nil` for other names.
  init?(_ name: String) {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard let linear = parts.lastIndex(of: "linear"), let last = parts.last,
      ["weight", "weight_raw", "bias"].contains(last),
      [[last], ["module", last]].contains(Array(parts[(linear + 1)...])),
      parts[..<linear].contains(where: { $0.lowercased().contains("rnn") })
    else { return nil }
    prefix = parts[..<linear].joined(separator: ".") + "."
    parameter = last
  }
}

extension NamedTensors {
  /// Renames the linear layers of QRNN layers, `rnns.0.linear.weight` to `rnns.0.weight_ih`, where a model has no
  /// recurrent layers of other names and the shapes are those of QRNNs.
  ///
  /// - Returns: Notes on the assumption and on weights that are not preserved.
  mutating func takeQRNNs() -> [Note] {
    guard RecurrentModule.all(in: self).isEmpty else { return [] }
    var layers: [String: [Substring: Int]] = [:]
    for (index, tensor) in tensors.enumerated() {
      guard let name = LinearName(tensor.name) else { continue }
      layers[name.prefix, default: [:]][name.parameter] = index
    }
    let weights = layers.compactMapValues { $0["weight_raw"] ?? $0["weight"] }
    let areShaped = weights.values.allSatisfy { index in
      let sizes = tensors[index].tensor.shape.dimensions
      return sizes.count == 2 && sizes[0].isMultiple(of: 3) && !sizes.contains(0)
    }
    guard !weights.isEmpty, weights.count == layers.count, areShaped else { return [] }
    var copies: [Int] = []
    var notes: [Note] = []
    for (prefix, parts) in layers.sorted(by: { $0.key < $1.key }) {
      if let raw = parts["weight_raw"], let copy = parts["weight"] {
        copies.append(copy)
        notes.append(
          Note(
            place: tensors[copy].fileName,
            message: "not preserved: \(tensors[raw].fileName) has the weight without dropout"))
      }
      if let weight = weights[prefix] { tensors[weight].name = prefix + "weight_ih" }
      if let bias = parts["bias"] { tensors[bias].name = prefix + LayerParameter.bias.rawValue }
      qrnnModules.insert(prefix)
    }
    pass(copies: copies)
    notes.append(
      Note(
        place: file.place,
        message:
          "assumed from names and shapes: QRNN layers as AWD-QRNN computes them, with the gate blocks "
          + "z, f, o, where f weighs the candidate"))
    return notes
  }

  /// Returns the number of inputs that the gates of a QRNN layer see.
  ///
  /// - Parameters:
  ///   - weight: `[3H, window*D]`
  ///   - width: The width D of the layer's input; `nil` for the first layer, whose input is the embedding.
  /// - Returns: The window, 1 or 2.
  /// - Throws: `InterchangeError` if there is none that fits, or two do.
  func qrnnWindow(of weight: NamedTensor, width: Int?) throws -> Int {
    let columns = weight.tensor.shape.dimensions[1]
    var widths = [width].compactMap { $0 }
    if width == nil {
      let matrices = tensors.filter { $0.tensor.shape.rank == 2 && !$0.name.hasSuffix("weight_ih") }
      let named = matrices.filter { $0.name.contains("encoder") || $0.name.contains("emb") }
      widths = (named.isEmpty ? matrices : named).map { $0.tensor.shape.dimensions[1] }
    }
    let windows = Set([1, 2].filter { window in widths.contains { $0 * window == columns } })
    guard let window = windows.first, windows.count == 1 else {
      throw file.error(
        weight.fileName,
        expected: "one or two inputs of the layer below, \(Set(widths).sorted()), in a row",
        found: "\(columns) numbers", fix: "save the whole state_dict of one language model")
    }
    return window
  }
}
