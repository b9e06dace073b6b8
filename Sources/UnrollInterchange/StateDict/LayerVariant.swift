// Variants of layers that neither the names nor the shapes of tensors determine.

import Foundation
import UnrollFormat
import UnrollSerialization
import UnrollTokenization

/// The variant of one layer.
struct LayerVariant: Equatable {
  private let activation: Activation?
  private let gates: GateActivation
  private let reset: GRUReset
  private let forgetBias: Double

  /// Creates the variant of a layer.
  init(_ layer: LayerArchitecture) {
    activation = layer.cell == .rnn ? layer.activation : nil
    (gates, reset, forgetBias) = (layer.gateActivation, layer.reset, layer.forgetBias)
  }

  /// `true` if PyTorch's modules compute such a layer.
  var isUsual: Bool { gates == .sigmoid && reset == .after && forgetBias == 0 }

  /// The activation of a vanilla RNN; `nil` for other cells.
  var plainActivation: Activation? { activation }

  /// The JSON object of the variant; it omits PyTorch's defaults.
  var json: String {
    var members: [String] = []
    if let activation { members.append(#""activation":\#(quoted(activation.rawValue))"#) }
    if case .hardSigmoid(let alpha, let beta) = gates {
      members.append(
        #""gate_activation":\#(quoted(gates.name)),"gate_alpha":\#(alpha),"gate_beta":\#(beta)"#)
    }
    if reset != .after { members.append(#""reset":\#(quoted(reset.rawValue))"#) }
    if forgetBias != 0 { members.append(#""forget_bias":\#(forgetBias)"#) }
    return "{\(members.joined(separator: ","))}"
  }

  /// Reads the JSON object; `nil` for other values.
  init?(_ value: JSONValue) {
    guard value.members != nil else { return nil }
    var isWhole = true
    func member<Value>(_ name: String, _ read: (JSONValue) -> Value?) -> Value? {
      guard let member = value[name] else { return nil }
      let read = read(member)
      isWhole = isWhole && read != nil
      return read
    }
    activation = member("activation") { $0.text.flatMap(Activation.init(ofRNN:)) }
    reset = member("reset") { $0.text.flatMap(GRUReset.init) } ?? .after
    forgetBias = member("forget_bias", \.number) ?? 0
    let (alpha, beta) = (member("gate_alpha", \.number), member("gate_beta", \.number))
    switch (member("gate_activation", \.text), alpha, beta) {
    case (nil, nil, nil), ("sigmoid", nil, nil): gates = .sigmoid
    case ("hard_sigmoid", let alpha?, let beta?): gates = .hardSigmoid(alpha: alpha, beta: beta)
    default: return nil
    }
    let numbers = [forgetBias, alpha ?? 0, beta ?? 0]
    guard isWhole, numbers.allSatisfy(\.isFinite) else { return nil }
  }

  /// Applies the variant to a layer.
  ///
  /// - Parameters:
  ///   - layer: The layer; its activation is known.
  ///   - error: Creates an error from an expectation and a finding.
  /// - Throws: The error of `error`, if the cell does not support the variant.
  func apply(
    to layer: inout LayerArchitecture, error: (_ expected: String, _ found: String) -> Error
  ) throws {
    for (isThere, variant, cells) in [
      (activation != nil, "an activation", [Cell.rnn]),
      (gates != .sigmoid, "a gate activation", [.lstm, .gru]),
      (reset != .after, "a reset gate", [.gru]), (forgetBias != 0, "a forget bias", [.lstm]),
    ] where isThere && !cells.contains(layer.cell) {
      throw error("variants that a layer of \(layer.cell.rawValue) has", variant)
    }
    (layer.gateActivation, layer.reset, layer.forgetBias) = (gates, reset, forgetBias)
  }
}

extension StateMetadata {
  /// The location of errors about the metadata.
  static let place = "metadata \"\(key)\""
  /// The advice for damaged metadata.
  static let fix = "save the model again, or give its tokens with --vocabulary"

  /// Returns the activation of a vanilla RNN layer, if stated.
  func activation(ofLayer index: Int) -> Activation? {
    layers.map { $0[index].plainActivation } ?? activation
  }

  /// Refuses a list whose length differs from the number of layers.
  ///
  /// - Throws: `InterchangeError` if the numbers differ.
  func check(layerCount: Int, file: any TensorContainer) throws {
    guard let layers, layers.count != layerCount else { return }
    throw file.error(
      Self.place, expected: "a layer for each of the \(layerCount) that the tensors make",
      found: "\(layers.count)", fix: Self.fix)
  }
}
