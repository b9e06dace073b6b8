// Language models in ONNX: recurrent operations between an embedding and a softmax.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// ONNX graphs; those that Unroll writes include vocabulary and tokenizer.
public enum ONNXFormat: ForeignFormat {
  /// The name in reports.
  public static let name = "onnx"
  /// The extension.
  public static let fileExtensions = ["onnx"]

  /// Returns `true` if a file is a message with the fields of a model and a graph.
  public static func recognizes(_ file: MappedFile) -> Bool { ONNXModel.recognizes(file) }

  /// Converts a language model: an embedding lookup or one-hot vectors, LSTM, GRU or RNN, a linear
  /// output.
  ///
  /// External data may be in other files of the model's folder.
  ///
  /// - Throws: `InterchangeError` if the file is damaged, holds another kind of model, or needs a
  ///   vocabulary that `options` does not give.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    let account = try ONNXAccount(of: ONNXModel(file), ignoring: options.ignored)
    let model = account.model
    let kept = model.metadata[ONNXLayerMetadata.key].map(ONNXLayerMetadata.layers) ?? []
    let graph = try ONNXGraph(model)
    var language = try ONNXLanguageModel(graph, kept: kept)
    let settlement = try account.settled(with: language, in: graph)
    let parameters = try language.parameters()
    let rows = language.architecture.vocabularySize
    var options = options
    if let text = model.metadata[StateMetadata.key] {
      let metadata = try StateMetadata(json: text, rows: rows) {
        model.error($0, expected: $1, found: $2, fix: $3)
      }
      options.take(metadata)
    }
    let vocabulary = try options.vocabulary(
      ofRows: rows, in: "the output layer", error: model.error)
    return Conversion(
      checkpoint: Checkpoint(
        architecture: language.architecture, parameters: parameters, vocabulary: vocabulary,
        tokenizer: options.tokenizer, provenance: []),
      notes: language.notes, settlement: settlement)
  }

  /// Returns notes on everything but weights, tokens and tokenizer.
  ///
  /// - Throws: `InterchangeError` for variants and types that ONNX's operations do not support.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    _ = try ONNXWriter(checkpoint)
    return checkpoint.exportNotesBesideWeights
  }

  /// Writes a checkpoint.
  ///
  /// The graph's inputs are `tokens` `[time, batch]` and the states of the layers; its outputs are
  /// `log_probabilities` `[time, batch, V]` and the new states.
  ///
  /// - Throws: `InterchangeError` for variants and types that ONNX's operations do not support,
  ///   `FileError` if the file cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    try ONNXWriter(checkpoint).write(to: path, progress: progress)
  }
}

/// The properties of an original layer that ONNX does not represent: it always has two biases and
/// f32 attributes.
struct ONNXLayerMetadata {
  /// The metadata key in the file.
  static let key = "unroll.layers"

  let bias: LayerBias
  let gates: GateActivation

  init(_ layer: LayerArchitecture) { (bias, gates) = (layer.bias, layer.gateActivation) }

  /// Parses a layer of `layers(_:)`.
  private init?(_ text: Substring) {
    let parts = text.split(separator: ":")
    guard let bias = parts.first.flatMap({ LayerBias(rawValue: String($0)) }) else { return nil }
    self.bias = bias
    if parts.count == 3, let alpha = Double(parts[1]), let beta = Double(parts[2]) {
      gates = .hardSigmoid(alpha: alpha, beta: beta)
    } else {
      gates = .sigmoid
    }
  }

  /// Parses the layers of a text such as `double,single:0.2:0.5`.
  static func layers(_ text: String) -> [ONNXLayerMetadata] {
    text.split(separator: ",").compactMap(Self.init)
  }

  /// The layer in this notation.
  var text: String {
    guard case .hardSigmoid(let alpha, let beta) = gates else { return bias.rawValue }
    return "\(bias.rawValue):\(alpha):\(beta)"
  }
}
