// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The layers of a TensorFlow 2 checkpoint with what a configuration, or the names of variables, say of them.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

extension ObjectModel {
  /// Returns the configuration of the whole model: the caller's, or that which Keras noted in a SavedModel.
  func wholeConfiguration() throws -> JSONValue? {
    if let given = source.given { return given }
    let models = (saved?.layers ?? [:]).filter { $0.value.hasLayers }
    guard let first = models.min(by: { ($0.key.count, $0.key) < ($1.key.count, $1.key) }) else {
      return nil
    }
    // A model inside one whose code is unknown has to have every layer.
    let path = first.key.split(separator: ".").dropFirst().map(String.init)
    return layers.allSatisfy { $0.path.starts(with: path) } ? first.value : nil
  }

  /// Returns a Sequential model of the layers that Keras noted one by one; `nil` if one is missing.
  func configuration(of layers: [ObjectLayer]) -> JSONValue? {
    guard let saved, let graph else { return nil }
    var byNode: [Int: JSONValue] = [:]
    for (path, value) in saved.layers {
      let parts = path.split(separator: ".").dropFirst().map(String.init)
      if let node = graph.node(at: parts) { byNode[node] = value }
    }
    let values = layers.compactMap { layer in graph.node(at: layer.path).flatMap { byNode[$0] } }
    guard values.count == layers.count, !values.isEmpty else { return nil }
    func text(_ text: String) -> JSONValue { .string(Array(text.utf8)) }
    let list = JSONValue.object([(Array("layers".utf8), .array(values))])
    return .object([
      (Array("class_name".utf8), text("Sequential")), (Array("config".utf8), list),
    ])
  }

  /// Returns the layers as a configuration declares them.
  ///
  /// - Throws: `InterchangeError` if it is of other layers.
  func parts(
    _ chain: [KerasRoles.Candidate], _ configuration: KerasConfiguration
  ) throws -> [KerasPart] {
    var rest = chain[...]
    let parts = try configuration.layers.map { layer -> KerasPart in
      if case .reversed(true) = layer.computes {
        // The chain has the embedding at both ends.
        if rest.first?.module.place == chain.first?.module.place { rest = rest.dropFirst() }
        return KerasPart(computes: layer.computes, name: layer.name, variables: [])
      }
      guard let candidate = rest.popFirst(), candidate.kind.canBe(layer.computes) else {
        throw source.error(
          source.placeOfConfiguration, expected: "the layers \(list(chain.map(\.module.place)))",
          found: list(configuration.layers.map(\.name)), fix: source.fixOfConfiguration)
      }
      return KerasPart(
        computes: layer.computes, name: layer.name, variables: candidate.variables,
        declaration: layer.declaration)
    }
    guard rest.isEmpty else {
      throw source.error(
        rest.first?.module.place ?? "", expected: "a layer of the configuration",
        found: "none that it can be", fix: source.fixOfConfiguration)
    }
    return parts
  }

  /// Returns the layers without a configuration, with Keras's defaults for what nothing shows.
  ///
  /// - Throws: `InterchangeError` if the caller has to give an activation.
  func partsAlone(
    _ chain: [KerasRoles.Candidate], _ layers: [ObjectLayer]
  ) throws -> (parts: [KerasPart], note: Note) {
    var cells: [String] = []
    let stated = try zip(chain, layers).map { candidate, layer -> KerasRoles.Candidate in
      guard case .recurrent(var cell) = candidate.kind else { return candidate }
      try state(&cell, of: layer, hasBias: candidate.variables.count == 3)
      cells.append("\(layer.layerName ?? layer.place) (\(cell.description))")
      return KerasRoles.Candidate(
        module: candidate.module, variables: candidate.variables, kind: .recurrent(cell))
    }
    let note = Note(
      place: "/",
      message:
        "assumed, since the checkpoint has weights alone: \(list(cells)), softmax; one after the other"
    )
    return (KerasRoles.parts(of: stated), note)
  }

  /// Sets the activations of a cell.
  private func state(_ cell: inout KerasCell, of layer: ObjectLayer, hasBias: Bool) throws {
    if cell.cell == .rnn {
      guard let nonlinearity = options.nonlinearity else {
        throw source.error(
          layer.place, expected: "the activation of a SimpleRNN", found: "weights alone",
          fix: "give --nonlinearity tanh, Keras's default, or relu")
      }
      cell.activation = nonlinearity
      return
    }
    // cuDNN supports only sigmoid gates.
    guard !cell.isCuDNN else { return }
    if let gates = options.gateActivation {
      cell.gates = gates == .sigmoid ? gates : .hardSigmoid(ofKeras: source.generation)
      return
    }
    // From TensorFlow 2.2 on the names of variables tell; before, the default changed without a trace, but for GRUs,
    // which had two rows of biases from TensorFlow 2 on.
    let isNewer =
      layer.hasCellName || source.generation >= 3
      || (cell.cell == .gru && cell.reset == .after && hasBias)
    guard isNewer else {
      throw source.error(
        layer.place, expected: "the function of the gates",
        found: "weights alone, of a version that had either",
        fix:
          "give --gate-activation sigmoid, the default of TensorFlow 2, or hard_sigmoid, that of TensorFlow 1; "
          + "or --keras-config")
    }
  }
}

extension KerasRoles.Kind {
  /// `true` if a layer of the configuration can have the variables of this kind.
  fileprivate func canBe(_ layer: KerasLayer) -> Bool {
    switch (self, layer) {
    case (.matrix, .embedding), (.matrix, .dense), (.dense, .dense), (.reversible, .embedding):
      true
    case (.recurrent(let cell), .recurrent(let declared)): cell.cell == declared.cell
    default: false
    }
  }
}

/// A checkpoint of TensorFlow 2 as a source of Keras's layers.
struct ObjectSource: KerasSource {
  let bundle: TensorBundle
  /// The configuration that the caller gave.
  let given: JSONValue?
  let pathOfGiven: String?
  /// `true` if the objects are those of Keras 3.
  var isOfKeras3 = false

  var generation: Int {
    given?["keras_version"]?.text?.first?.wholeNumberValue ?? (isOfKeras3 ? 3 : 2)
  }
  var assets: [String: String] { [:] }
  var placeOfConfiguration: String { pathOfGiven ?? "keras_metadata.pb" }
  var fixOfConfiguration: String {
    pathOfGiven == nil
      ? saveAgain
      : "give with --keras-config what `model.to_json()` says of the model that has these weights"
  }
  var saveAgain: String { "save the checkpoint again, or copy all of its files again" }
  var byteCount: Int { bundle.byteCount }

  func error(
    _ place: String, expected: String, found: String, fix: String
  ) -> InterchangeError {
    bundle.error(place, expected: expected, found: found, fix: fix)
  }
}
