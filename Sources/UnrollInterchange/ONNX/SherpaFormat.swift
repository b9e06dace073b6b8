// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Writes recurrent language models as ONNX graphs that sherpa-onnx fuses with a speech recognizer.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// ONNX graphs with the interface of sherpa-onnx's language models for shallow fusion (`OnlineRnnLM`); `ONNXFormat` reads
/// them.
public enum SherpaFormat: ForeignFormat {
  /// The name in reports.
  public static let name = "sherpa-onnx"
  /// The extension that distinguishes it from other ONNX files.
  public static let fileExtensions = ["sherpa.onnx"]
  /// `false`: `ONNXFormat` reads its files.
  public static let isRead = false

  /// Returns `false`: `ONNXFormat` recognizes its files.
  public static func recognizes(_ file: MappedFile) -> Bool { false }

  /// Reads as `ONNXFormat` does.
  ///
  /// - Throws: The errors of `ONNXFormat.read`.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    try ONNXFormat.read(file, options: options)
  }

  /// Returns notes on everything but weights, tokens and tokenizer, and on what sherpa-onnx assumes.
  ///
  /// - Throws: `InterchangeError` for models that sherpa-onnx does not run.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    _ = try ONNXWriter(checkpoint, fusion: FusionInterface(checkpoint))
    let tokens = Note(
      place: Layout.vocabulary,
      message:
        "sherpa-onnx takes the ids of its recognizer's tokens.txt for those of this model: the two lists have to be the same",
      isHarmless: true)
    return checkpoint.exportNotesBesideWeights + [tokens]
  }

  /// Writes a checkpoint.
  ///
  /// - Throws: `InterchangeError` for models that sherpa-onnx does not run; `FileError` if the file cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    try ONNXWriter(checkpoint, fusion: FusionInterface(checkpoint)).write(
      to: path, progress: progress)
  }
}

/// The inputs, results and metadata of a language model of sherpa-onnx, which are those of icefall's export of one with state.
///
/// Inputs are `x` i64 `[N, L]` and the states `h0` and `c0` `[layers, N, H]`; results are `log_softmax` `[N, V]` of the token after
/// the last, and the states after it.
struct FusionInterface {
  /// The id that the model reads before the first token of a line.
  private let start: Int
  /// The id that ends a line.
  private let end: Int

  /// Finds the special tokens of a model.
  ///
  /// - Throws: `InterchangeError` for models that sherpa-onnx does not run: it knows LSTM layers of one width alone, and starts
  ///   each line from a token.
  init(_ checkpoint: Checkpoint) throws {
    func refuse(_ place: String, _ expected: String, _ found: String, _ fix: String) -> Error {
      InterchangeError(
        file: "the checkpoint", place: place, expected: expected, found: found, fix: fix)
    }
    let layers = checkpoint.architecture.layers
    let other = "write another format: `--to onnx` has the states of each layer apart"
    if let found = layers.first(where: { $0.cell != .lstm }) {
      throw refuse(
        Layout.model, "LSTM layers, as sherpa-onnx has them", found.cell.rawValue, other)
    }
    guard Set(layers.map(\.hiddenSize)).count == 1 else {
      throw refuse(
        Layout.model, "layers of one width, whose states are one tensor",
        list(layers.map { "\($0.hiddenSize)" }), other)
    }
    let types = Set(checkpoint.parameters.paths.compactMap { checkpoint.parameters[$0]?.dtype })
    guard types == [.float32] else {
      throw refuse(
        Layout.model, "weights of f32, which sherpa-onnx feeds in",
        list(types.map(\.rawValue).sorted()), "`--dtype f32` rounds them")
    }
    let vocabulary = checkpoint.vocabulary
    let start: Int? =
      switch checkpoint.tokenizer.sentenceStart {
      case .bos: vocabulary.beginningOfSentenceID
      case .eos: vocabulary.endOfSentenceID
      case .none: nil
      }
    guard let start else {
      throw refuse(
        Layout.tokenizer, "a token from which lines start", "none",
        "convert the model again, with `--line-start TOKEN`")
    }
    self.start = start
    end = vocabulary.endOfSentenceID ?? start
  }

  /// Returns `true` if metadata are those of such a graph, which is fed token by token with its states.
  static func isStated(in metadata: [String: String]) -> Bool {
    ["sos_id", "num_layers", "hidden_size"].allSatisfy { metadata[$0] != nil }
  }

  /// The constants of the operations beside those of the layers.
  static let constants = [ONNXWriter.Initializer("last", sizes: [-1], isScalar: true)]

  /// Returns the operations.
  func nodes(of architecture: Architecture) -> [ONNXWriter.Node] {
    typealias Node = ONNXWriter.Node
    let prefix = "layer_"
    let (layers, top) = ONNXWriter.layers(of: architecture, prefix: prefix)
    func states(_ letter: String) -> [String] {
      architecture.layers.indices.map { "\(prefix)\(letter)\($0)" }
    }
    let turned = Node("Transpose", ["x"], ["tokens"], [("perm", .ints([1, 0]))])
    let before = ["h", "c"].map { Node("Split", ["\($0)0"], states($0), [("axis", .int(0))]) }
    let output = [
      Node("Gather", [top, "last"], ["states"], [("axis", .int(0))]),
      ONNXWriter.output(of: architecture, states: "states"),
      Node("LogSoftmax", ["logits"], ["log_softmax"], [("axis", .int(-1))]),
    ]
    let after = ["h", "c"].map { letter in
      Node(
        "Concat", states(letter).map { "\($0)_after" }, ["next_\(letter)0"], [("axis", .int(0))])
    }
    return [turned] + before + layers + output + after
  }

  /// Adds the inputs and results, in the order in which sherpa-onnx takes them.
  func addValues(of architecture: Architecture, _ type: Int, to graph: inout WireWriter) {
    let H = architecture.layers.first?.hiddenSize ?? 0
    let state: [any Sendable] = [architecture.layers.count, "N", H]
    graph.add(11) { ONNXWriter.value("x", 7, ["N", "L"], &$0) }
    for name in ["h0", "c0"] { graph.add(11) { ONNXWriter.value(name, type, state, &$0) } }
    graph.add(12) {
      ONNXWriter.value("log_softmax", type, ["N", architecture.vocabularySize], &$0)
    }
    for name in ["next_h0", "next_c0"] {
      graph.add(12) { ONNXWriter.value(name, type, state, &$0) }
    }
  }

  /// Returns the metadata that sherpa-onnx reads (sizes and the first token), and the others of icefall's export.
  func metadata(of architecture: Architecture) -> [(String, String)] {
    [
      ("model_type", "rnnlm"), ("version", "1"), ("sos_id", "\(start)"), ("eos_id", "\(end)"),
      ("vocab_size", "\(architecture.vocabularySize)"),
      ("num_layers", "\(architecture.layers.count)"),
      ("hidden_size", "\(architecture.layers.first?.hiddenSize ?? 0)"),
      ("embedding_dim", "\(architecture.embeddingSize)"),
    ]
  }
}
