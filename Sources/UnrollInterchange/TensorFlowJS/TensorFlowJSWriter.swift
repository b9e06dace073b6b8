// Converts a checkpoint to a Sequential model of TensorFlow.js.

import UnrollFormat
import UnrollSerialization
import UnrollTensors

/// The `model.json` and the weights of a model.
struct TensorFlowJSWriter {
  private let model: Checkpoint
  private let layers: [Layer]

  /// A layer with its settings and weights.
  private struct Layer {
    let className: String
    let name: String
    var settings: [(String, String)]
    /// The names of the weights below the layer's, in order.
    let weights: [String]
    let forms: [KerasVariableForm]
  }

  /// Returns the model in the variants that TensorFlow.js computes, in f32.
  ///
  /// - Throws: `InterchangeError` if it has no layers that compute the model.
  static func variant(of checkpoint: Checkpoint) throws -> KerasVariant {
    func refuse(_ place: String, _ found: String, _ fix: String) -> InterchangeError {
      InterchangeError(
        file: "the checkpoint", place: place, expected: "what TensorFlow.js computes",
        found: found, fix: fix)
    }
    for (index, layer) in checkpoint.architecture.layers.enumerated()
    where layer.cell == .gru && layer.reset == .after {
      throw refuse(
        ParameterPath.layerGroup(index),
        "a GRU with the reset gate after the product (reset_after)",
        "keep the checkpoint, or write .keras: TensorFlow.js has no such layer")
    }
    for (path, _) in checkpoint.architecture.parameters {
      guard let dtype = checkpoint.parameters[path]?.dtype, dtype != .float32 else { continue }
      throw refuse(path.description, "\(dtype.rawValue)", "give --dtype f32")
    }
    var checkpoint = checkpoint
    checkpoint.optimizer = nil
    // A ReversibleEmbedding does not exist there: a tied weight is written twice.
    return try KerasVariant(checkpoint, generation: 2)
  }

  /// Creates a writer of a model in such variants.
  init(_ checkpoint: Checkpoint) {
    var model = checkpoint
    if model.architecture.isTied {
      model.parameters[.outputWeight] = model.parameters[.embeddingWeight]
      model.architecture.isTied = false
    }
    self.model = model
    layers = Self.layers(of: model.architecture)
  }

  private static func layers(of architecture: Architecture) -> [Layer] {
    var forms = architecture.kerasLayers[...]
    var layers: [Layer] = []
    func add(
      _ className: String, _ base: String, _ settings: [(String, String)], _ weights: [String]
    ) {
      guard let form = forms.popFirst() else { return }
      let number = layers.count { $0.className == className } + 1
      layers.append(
        Layer(
          className: className, name: "\(base)_\(number)", settings: settings,
          weights: Array(weights.prefix(form.count)), forms: form))
    }
    if architecture.input == .embedding {
      add(
        "Embedding", "embedding",
        [
          ("input_dim", "\(architecture.vocabularySize)"),
          ("output_dim", "\(architecture.embeddingSize)"), ("mask_zero", "false"),
        ], ["embeddings"])
    }
    for layer in architecture.layers {
      let (className, base) = layer.cell.kerasNames
      var settings = [
        ("units", "\(layer.hiddenSize)"), ("activation", quoted(layer.activation.rawValue)),
        ("use_bias", "\(layer.bias != .none)"), ("return_sequences", "true"),
        ("return_state", "false"), ("go_backwards", "false"), ("stateful", "false"),
      ]
      if layer.cell != .rnn {
        settings.append(("recurrent_activation", quoted(layer.gateActivation.name)))
      }
      if layer.cell == .gru { settings.append(("reset_after", "false")) }
      add(className, base, settings, ["kernel", "recurrent_kernel", "bias"])
    }
    func dense(_ units: Int, _ activation: String, hasBias: Bool) {
      add(
        "Dense", "dense",
        [
          ("units", "\(units)"), ("activation", quoted(activation)), ("use_bias", "\(hasBias)"),
        ], ["kernel", "bias"])
    }
    if architecture.hasOutputProjection {
      dense(architecture.embeddingSize, "linear", hasBias: false)
    }
    dense(architecture.vocabularySize, "softmax", hasBias: architecture.hasOutputBias)
    let width =
      architecture.input == .embedding ? "" : ", \(architecture.vocabularySize)"
    if !layers.isEmpty {
      layers[0].settings.append(("batch_input_shape", "[null, null\(width)]"))
    }
    return layers
  }

  /// The name of the file of weights: other weights have another one, so that no model is changed
  /// under its old model.json.
  private var weightsName: String { "weights-\(model.weightsDigest.prefix(16)).bin" }

  /// Writes the weights, one after the other.
  ///
  /// - Throws: `FileError` if the file cannot be written.
  func writeWeights(beside path: String, progress: (Int) -> Void) throws {
    let atomic = try AtomicFile(SplitPath(path).sibling(weightsName), replacing: true)
    do {
      var file = try SequentialFile(emptying: atomic.temporaryPath)
      for layer in layers {
        for form in layer.forms {
          guard let tensor = form.variable(of: model.parameters) else { continue }
          try file.write(tensor, progress: progress)
        }
      }
      try file.close()
      try atomic.commit()
    } catch {
      atomic.discard()
      throw error
    }
  }

  /// Returns the text of `model.json`.
  ///
  /// - Parameter metadata: Tokens and tokenizer, for Unroll.
  /// - Returns: JSON.
  func json(metadata: String) -> String {
    let configurations = layers.map { layer in
      let settings = [("name", quoted(layer.name)), ("dtype", quoted("float32"))] + layer.settings
      let members = settings.map { "\(quoted($0)): \($1)" }.joined(separator: ", ")
      return #"{"class_name": "\#(layer.className)", "config": {\#(members)}}"#
    }
    let weights = layers.flatMap { layer in
      zip(layer.weights, layer.forms).map { name, form in
        #"{"name": "\#(layer.name)/\#(name)", "shape": \#(form.shape), "dtype": "float32"}"#
      }
    }
    return """
      {"format": "layers-model", "generatedBy": "Unroll", "convertedBy": null,
      "userDefinedMetadata": {"\(StateMetadata.key)": \(quoted(metadata))},
      "modelTopology": {"keras_version": "2.2.4", "backend": "tensorflow", "model_config":
      {"class_name": "Sequential", "config": {"name": "language_model", "layers": [
      \(configurations.joined(separator: ",\n"))]}}},
      "weightsManifest": [{"paths": ["\(weightsName)"], "weights": [
      \(weights.joined(separator: ",\n"))]}]}

      """
  }
}
