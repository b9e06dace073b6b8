// Language models in checkpoints of TensorFlow and in SavedModels.

import Foundation
import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// Checkpoints of TensorFlow 1 and 2 (`NAME.index` with `NAME.data-00000-of-00001`), and SavedModels.
///
/// Graphs are read as data: none is ever run. Checkpoints of TensorFlow 2 are written.
public enum TensorFlowFormat: KerasFamily {
  /// The name in reports.
  public static let name = "tensorflow"
  /// The extension of the index of a checkpoint.
  public static let fileExtensions = ["index"]
  /// `false`: the names of tensors are those of objects.
  public static let hasNames = false

  /// The tensors that Unroll adds to a checkpoint; no object of a program has them.
  enum KeptTensor {
    /// Tokens and tokenizer.
    static let metadata = "unroll"
    /// The configuration of the model, as Keras's `to_json()` has it.
    static let configuration = "unroll_config"
  }

  /// Returns `true` if a file is the index of a checkpoint, or the graph of a SavedModel.
  public static func recognizes(_ file: MappedFile) -> Bool {
    TensorBundle.recognizes(file) || SavedModel.recognizes(file)
  }

  /// Converts a language model.
  ///
  /// - Throws: `InterchangeError` if a file is damaged or missing, holds another kind of model, or needs
  ///   information that `options` does not give.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    if TensorBundle.recognizes(file) {
      return try conversion(of: TensorBundle(file), graph: graph(beside: file), nil, options)
    }
    let saved = try SavedModel(file)
    let bundle = try TensorBundle(MappedFile(path: saved.index))
    return try conversion(of: bundle, graph: saved.graph, saved, options)
  }

  /// Converts an opened checkpoint.
  static func conversion(
    of bundle: TensorBundle, graph: OperationGraph?, _ saved: SavedModel?, _ options: ReadingOptions
  ) throws -> Conversion {
    SessionModel.recognizes(bundle)
      ? try session(bundle, graph, options)
      : try ObjectModel(bundle, saved, options).conversion(options)
  }

  /// Returns the files beside a file of which its model consists.
  ///
  /// - Throws: `InterchangeError` if one is missing or damaged.
  public static func companions(of file: MappedFile) throws -> [String] {
    if TensorBundle.recognizes(file) {
      let shards = try TensorBundle(file, isVerified: false).shardPaths
      return shards + (metaGraph(beside: file).map { [$0] } ?? [])
    }
    let index = try SavedModel(file).index
    return try [index] + TensorBundle(MappedFile(path: index), isVerified: false).shardPaths
      + SavedModel.metadata(beside: file.path)
  }

  // MARK: - Writing

  /// Returns the path of the shard.
  public static func writtenBeside(_ path: String) -> [String] {
    [TensorBundle.shard(ofIndex: path)]
  }

  /// Returns notes on what Keras does not preserve or replaces.
  ///
  /// - Throws: `InterchangeError` if Keras has no layers that compute the model.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    let place = Note(
      place: Layout.model,
      message:
        "the numbers are a second file beside the index: tf.train.Checkpoint(model).restore takes "
        + "the name without .index", isHarmless: true)
    return try KerasFormat.exportNotes(for: checkpoint) + [place]
  }

  /// Writes a checkpoint for `tf.train.Checkpoint(model).restore`: an index, and a shard beside it.
  ///
  /// Configuration, tokens and tokenizer are in tensors of their own, which TensorFlow ignores.
  ///
  /// - Throws: `InterchangeError` if Keras has no layers that compute the model; `FileError` if a file cannot be
  ///   written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    let model = try KerasVariant(checkpoint).checkpoint
    let graph = ObjectGraphWriter(model)
    var writer = try TensorBundleWriter(besideIndex: path)
    for (key, tensor) in graph.tensors { try writer.add(key, tensor, progress: progress) }
    try writer.add(TrackableGraph.tensorName, text: graph.bytes)
    try writer.add(
      KeptTensor.configuration, text: Array(try KerasWriter(checkpoint).configuration.utf8))
    try writer.add(
      KeptTensor.metadata, text: Array(StateMetadata(besideConfigurationOf: checkpoint).json.utf8))
    try writer.finish(index: path)
  }

  // MARK: - TensorFlow 1

  private static func session(
    _ bundle: TensorBundle, _ graph: OperationGraph?, _ options: ReadingOptions
  ) throws -> Conversion {
    let model = try SessionModel(bundle, graph, options)
    let settlement = try model.settled()
    let vocabulary = try options.vocabulary(
      ofRows: model.architecture.vocabularySize, in: "the softmax"
    ) { bundle.error($0, expected: $1, found: $2, fix: $3) }
    return Conversion(
      checkpoint: Checkpoint(
        architecture: model.architecture, parameters: model.parameters, vocabulary: vocabulary,
        tokenizer: options.tokenizer, provenance: [], optimizer: model.optimizer),
      notes: model.notes, settlement: settlement)
  }

  /// Returns the path of the graph beside an index: `NAME.meta`.
  private static func metaGraph(beside index: MappedFile) -> String? {
    guard index.path.hasSuffix(".index") else { return nil }
    let path = String(index.path.dropLast(".index".count)) + ".meta"
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }

  /// Returns the graph of the program that saved a checkpoint, if it lies beside it.
  private static func graph(beside index: MappedFile) throws -> OperationGraph? {
    guard let path = metaGraph(beside: index) else { return nil }
    let file = try MappedFile(path: path)
    let message = WireMessage(0..<file.count, of: .mapped(file, 0..<file.count))
    guard let graph = message.flatMap(OperationGraph.init(ofMetaGraph:)) else {
      throw InterchangeError(
        file: path, place: "", expected: "the graph of the checkpoint beside it",
        found: "other bytes", fix: "copy the file again, or move it away and give --forget-bias")
    }
    return graph
  }
}
