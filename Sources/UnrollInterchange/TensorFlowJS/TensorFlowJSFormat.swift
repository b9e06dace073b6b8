// Language models of TensorFlow.js: Keras's layers as JSON, and weights in files beside it.

import UnrollFormat
import UnrollHDF5
import UnrollTensors
import UnrollTokenization

/// The `model.json` of a TensorFlow.js layers-model: one that its converter made of a Keras model, or one
/// that JavaScript saved.
public enum TensorFlowJSFormat: KerasFamily {
  /// The name in reports.
  public static let name = "tensorflowjs"
  /// The extension of `model.json`.
  public static let fileExtensions = ["json"]

  private static let largestManifest = 64 << 20

  /// Returns `true` if a file is a JSON object with a weights manifest.
  public static func recognizes(_ file: MappedFile) -> Bool {
    guard file.count > 2, file.count <= largestManifest else { return false }
    let start = file.copy(0..<64).first { ![0x20, 0x09, 0x0A, 0x0D].contains($0) }
    guard start == UInt8(ascii: "{") else { return false }
    return String(decoding: file.copy(0..<file.count), as: UTF8.self).contains(
      "\"weightsManifest\"")
  }

  /// Converts a language model; see `KerasFormat.read`.
  ///
  /// - Throws: `InterchangeError` if the model is a graph, if files are missing, too short or outside
  ///   the folder, or if it is another kind of model.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    let text = String(decoding: file.copy(0..<file.count), as: UTF8.self)
    let value = try KerasFile.json(text, "", of: file, fix: "give the model.json of a layers-model")
    if value["format"]?.text == "graph-model" {
      throw InterchangeError(
        file: file.path, place: "format", expected: "a layers-model of TensorFlow.js",
        found: "a graph-model, whose layers were made into operations",
        fix: "convert the Keras model that it was made of")
    }
    let topology = value["modelTopology"]
    guard let manifest = value["weightsManifest"],
      let configuration = topology?["model_config"] ?? topology
    else {
      throw InterchangeError(
        file: file.path, place: "modelTopology", expected: "the layers of a model",
        found: "none", fix: "save the whole model: `model.save(...)`")
    }
    let weights = try TensorFlowJSManifest(manifest, of: file).weights
    let opened = KerasFile(
      container: container(weights, name: file.path), configuration: configuration,
      compilation: topology?["training_config"] ?? value["trainingConfig"],
      version: version(topology?["keras_version"]?.text),
      kept: value["userDefinedMetadata"]?[StateMetadata.key]?.text, path: file.path)
    return try opened.conversion(options)
  }

  /// Returns the model with the biases that TensorFlow.js has.
  ///
  /// - Throws: `InterchangeError` if TensorFlow.js has no layers that compute the model.
  public static func held(_ checkpoint: Checkpoint) throws -> Checkpoint {
    try TensorFlowJSWriter.variant(of: checkpoint).checkpoint
  }

  /// Returns notes on everything but weights, tokens and tokenizer, and on variants of layers that
  /// TensorFlow.js replaces.
  ///
  /// - Throws: `InterchangeError` if TensorFlow.js has no layers that compute the model.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    let variant = try TensorFlowJSWriter.variant(of: checkpoint)
    let place = Note(
      place: Layout.model,
      message: "the weights are a second file beside model.json, which names it", isHarmless: true)
    return variant.notes + checkpoint.exportNotesBesideWeights + [place]
  }

  /// Writes `model.json`, and beside it a file of weights, whose name is that of their digest.
  ///
  /// - Throws: `InterchangeError` if TensorFlow.js has no layers that compute the model; `FileError` if
  ///   a file cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    let writer = TensorFlowJSWriter(try TensorFlowJSWriter.variant(of: checkpoint).checkpoint)
    try writer.writeWeights(beside: path, progress: progress)
    let metadata = StateMetadata(besideConfigurationOf: checkpoint).json
    var file = try SequentialFile(emptying: path)
    try Array(writer.json(metadata: metadata).utf8).withUnsafeBytes { try file.write($0) }
    try file.close()
  }

  /// Compares nothing: there is no optimizer.
  public static func check(_ written: Checkpoint, isReadAs read: Checkpoint, path: String) {}

  /// The defaults of layers in JavaScript are those of Keras 2 before 2.3.
  private static func version(_ stated: String?) -> String? {
    guard let stated else { return "2.2.4" }
    return stated.hasPrefix("tfjs") ? "2.2.4" : stated
  }

  /// Returns the weights in the layout of Keras's HDF5 files: a group for each layer, with the names of
  /// its weights in order.
  private static func container(
    _ weights: [TensorFlowJSManifest.Weight], name: String
  ) -> ForeignContainer {
    var layers: [String] = []
    var names: [String: [String]] = [:]
    for weight in weights {
      let layer = String(weight.name.prefix { $0 != "/" })
      if names[layer] == nil { layers.append(layer) }
      names[layer, default: []].append(weight.name)
    }
    var attributes = ["/": ["layer_names": AttributeValue.texts(layers)]]
    for layer in layers { attributes["/\(layer)"] = ["weight_names": .texts(names[layer] ?? [])] }
    return ForeignContainer(
      weights.map { weight in
        ("/\(weight.name.prefix { $0 != "/" })/\(weight.name)", weight.tensor)
      }, attributes: attributes, name: name)
  }
}
