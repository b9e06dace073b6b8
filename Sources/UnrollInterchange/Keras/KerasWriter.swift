// Converts a checkpoint to a configuration and variables of Keras 3.

import UnrollFormat
import UnrollSerialization
import UnrollTensors

/// The content of a Keras file for a model.
struct KerasWriter {
  /// The configuration for `config.json`.
  let configuration: String
  /// The datasets of the container with their paths, in order.
  let datasets: [(path: String, tensor: Tensor)]

  /// The metadata, with the oldest version that writes files of this kind.
  static let metadata =
    #"{"keras_version": "3.0.0", "date_saved": "1980-01-01@00:00:00"}"#

  /// Converts a checkpoint.
  ///
  /// - Throws: `InterchangeError` if Keras has no layers that compute the model.
  init(_ checkpoint: Checkpoint) throws {
    let model = try KerasVariant(checkpoint).checkpoint
    let architecture = model.architecture
    let layers = KerasWriter.layers(of: model)
    var datasets: [(String, Tensor)] = []
    for (layer, forms) in zip(layers, architecture.kerasLayers) {
      for (index, form) in forms.enumerated() {
        guard let tensor = form.variable(of: model.parameters) else { continue }
        datasets.append(("/layers/\(layer.group)/\(index)", tensor))
      }
    }
    if let optimizer = model.optimizer {
      let variables = KerasOptimizer.variables(optimizer, of: architecture, stepType: .int32)
      datasets += variables.enumerated().map { ("/optimizer/vars/\($0)", $1.tensor) }
    }
    self.datasets = datasets
    configuration = Self.configuration(model, layers)
  }

  /// A layer of the configuration.
  struct Layer {
    let className: String
    let name: String
    /// The group of its variables below the group of all layers.
    let group: String
    let settings: [(String, String)]
    /// The width of the input; `nil` for ids.
    let inputWidth: Int?
  }

  static func layers(of model: Checkpoint) -> [Layer] {
    let architecture = model.architecture
    func type(_ path: ParameterPath) -> (String, String) {
      ("dtype", quoted(model.parameters[path]?.dtype.kerasName ?? "float32"))
    }
    var layers: [Layer] = []
    if architecture.input == .embedding {
      layers.append(
        Layer(
          className: architecture.isReversible ? "ReversibleEmbedding" : "Embedding",
          name: architecture.isReversible ? "reversible_embedding" : "embedding",
          group: architecture.isReversible ? "reversible_embedding/vars" : "embedding/vars",
          settings: [
            type(.embeddingWeight), ("input_dim", "\(architecture.vocabularySize)"),
            ("output_dim", "\(architecture.embeddingSize)"),
          ], inputWidth: nil))
    }
    var counts: [Cell: Int] = [:]
    for (index, layer) in architecture.layers.enumerated() {
      let (className, base) = layer.cell.kerasNames
      let count = counts[layer.cell, default: 0]
      counts[layer.cell] = count + 1
      let name = count == 0 ? base : "\(base)_\(count)"
      var settings = [
        type(.layer(index, .weightIH)), ("units", "\(layer.hiddenSize)"),
        ("activation", quoted(layer.activation.rawValue)),
        ("use_bias", "\(layer.bias != .none)"), ("return_sequences", "true"),
      ]
      if layer.cell != .rnn {
        settings.append(("recurrent_activation", quoted(layer.gateActivation.name)))
      }
      if model.parameters[.layer(index, .weightHH)]?.dtype.size == 2 {
        // Keras's default, orthogonal matrices, is computed on loading and unavailable for 16-bit
        // types on a CPU.
        settings.append(("recurrent_initializer", quoted("glorot_uniform")))
      }
      if layer.cell == .gru { settings.append(("reset_after", "\(layer.reset == .after)")) }
      layers.append(
        Layer(
          className: className, name: name, group: "\(name)/cell/vars", settings: settings,
          inputWidth: layer.inputSize))
    }
    func dense(
      _ path: ParameterPath, units: Int, activation: String, hasBias: Bool, inputWidth: Int
    ) {
      let count = layers.count { $0.className == "Dense" }
      let name = count == 0 ? "dense" : "dense_\(count)"
      layers.append(
        Layer(
          className: "Dense", name: name, group: "\(name)/vars",
          settings: [
            type(path), ("units", "\(units)"), ("activation", quoted(activation)),
            ("use_bias", "\(hasBias)"),
          ], inputWidth: inputWidth))
    }
    if architecture.hasOutputProjection {
      dense(
        .outputProjection, units: architecture.embeddingSize, activation: "linear", hasBias: false,
        inputWidth: architecture.topSize)
    }
    if architecture.isReversible { return layers }
    dense(
      architecture.isTied ? .embeddingWeight : .outputWeight, units: architecture.vocabularySize,
      activation: "softmax", hasBias: architecture.hasOutputBias,
      inputWidth: architecture.outputInputSize)
    return layers
  }

  private static func configuration(_ model: Checkpoint, _ layers: [Layer]) -> String {
    let isEmbedding = model.architecture.input == .embedding
    let shape = shape(isEmbedding ? nil : model.architecture.vocabularySize)
    let input =
      #"{"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": \#(shape), "#
      + #""dtype": "\#(isEmbedding ? "int32" : "float32")", "name": "tokens"}, "registered_name": null}"#
    if model.architecture.isReversible { return functional(model, layers, input) }
    let items = layers.map { item($0) }
    var members = [
      #""module": "keras", "class_name": "Sequential""#,
      #""config": {"name": "language_model", "layers": [\#(([input] + items).joined(separator: ", "))], "#
        + #""build_input_shape": \#(shape)}"#,
      #""registered_name": null, "build_config": {"input_shape": \#(shape)}"#,
    ]
    members += compilation(of: model)
    return "{\(members.joined(separator: ", "))}"
  }

  /// Returns the compilation settings of a model, if it has an optimizer.
  private static func compilation(of model: Checkpoint) -> [String] {
    guard let optimizer = model.optimizer else { return [] }
    return [
      #""compile_config": {"optimizer": \#(KerasOptimizer.configuration(optimizer)), "#
        + #""loss": "sparse_categorical_crossentropy"}"#
    ]
  }

  /// Returns a layer as an item of a list, with additional members.
  private static func item(_ layer: Layer, _ more: String = "") -> String {
    let settings = [("name", quoted(layer.name))] + layer.settings
    let members = settings.map { "\(quoted($0)): \($1)" }.joined(separator: ", ")
    return
      #"{"module": "keras.layers", "class_name": "\#(layer.className)", "config": {\#(members)}, "#
      + #""registered_name": null, "build_config": {"input_shape": \#(shape(layer.inputWidth))}\#(more)}"#
  }

  /// Returns a functional model, in which the embedding comes first and, reversed, last before a
  /// softmax.
  private static func functional(_ model: Checkpoint, _ layers: [Layer], _ input: String) -> String
  {
    func node(_ source: String, _ number: Int, width: Int?, _ keywords: String = "{}") -> String {
      #"{"args": [{"class_name": "__keras_tensor__", "config": {"shape": \#(shape(width)), "dtype": "#
        + #""float32", "keras_history": [\#(quoted(source)), \#(number), 0]}}], "kwargs": \#(keywords)}"#
    }
    let softmax = Layer(
      className: "Softmax", name: "softmax", group: "softmax/vars", settings: [("axis", "-1")],
      inputWidth: model.architecture.vocabularySize)
    let sources = ["tokens"] + layers.map(\.name)
    var items = [input.dropLast() + #", "name": "tokens", "inbound_nodes": []}"#].map(String.init)
    for (layer, source) in zip(layers, sources) {
      var nodes = [node(source, 0, width: layer.inputWidth)]
      if layer.className == "ReversibleEmbedding" {
        nodes.append(
          node(
            sources.last ?? "", 0, width: model.architecture.embeddingSize, #"{"reverse": true}"#))
      }
      items.append(
        item(
          layer,
          #", "name": \#(quoted(layer.name)), "inbound_nodes": [\#(nodes.joined(separator: ", "))]"#
        ))
    }
    let last = node("reversible_embedding", 1, width: model.architecture.vocabularySize)
    items.append(item(softmax, #", "name": "softmax", "inbound_nodes": [\#(last)]"#))
    let members = [
      #""module": "keras.src.models.functional", "class_name": "Functional""#,
      #""config": {"name": "language_model", "layers": [\#(items.joined(separator: ", "))], "#
        + #""input_layers": ["tokens", 0, 0], "output_layers": ["softmax", 0, 0]}"#,
      #""registered_name": "Functional", "build_config": {"input_shape": null}"#,
    ]
    return "{\((members + compilation(of: model)).joined(separator: ", "))}"
  }

  /// Returns an input shape with any batch size and number of time steps.
  private static func shape(_ width: Int?) -> String {
    width.map { "[null, null, \($0)]" } ?? "[null, null]"
  }
}

extension Cell {
  /// The Keras class of the cell and its name in snake case.
  var kerasNames: (className: String, base: String) {
    switch self {
    case .lstm: ("LSTM", "lstm")
    case .gru: ("GRU", "gru")
    default: ("SimpleRNN", "simple_rnn")
    }
  }
}
