// Language models in safetensors: weights under the names of a state_dict, other properties as
// metadata.

import Foundation
import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// Safetensors files; those that Unroll writes include vocabulary and tokenizer.
public enum SafetensorsFormat: NameWritingFormat {
  /// The name in reports.
  public static let name = "safetensors"
  /// A linear layer, or the head and the tails of an adaptive softmax.
  public static let outputs = OutputKind.allCases
  /// The extension.
  public static let fileExtensions = ["safetensors"]

  /// Returns `true` if a file begins with the length of a header and a JSON object of that length.
  public static func recognizes(_ file: MappedFile) -> Bool { SafetensorsFile.recognizes(file) }

  static func tensors(of file: MappedFile, options: ReadingOptions) throws -> NamedTensors {
    let container = try SafetensorsFile(file)
    var named = NamedTensors(file: container, tensors: container.tensors)
    named.add(aliases: container.metadata)
    _ = try named.normalize(options)
    return named
  }

  /// Converts a language model: an embedding, recurrent layers, a linear output.
  ///
  /// A configuration in `options` applies if the file has no metadata of Unroll.
  ///
  /// - Throws: `InterchangeError` if the file is damaged, contradicts itself or the configuration,
  ///   or needs information that `options` does not give.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    let container = try SafetensorsFile(file)
    var named = NamedTensors(file: container, tensors: container.tensors)
    let kept = try container.metadata[StateMetadata.key].map {
      try StateMetadata(json: $0, beside: named)
    }
    named.add(aliases: container.metadata)
    var notes = try named.normalizeWithMLX(options)
    let given = kept == nil ? try options.configuration.map { try ModelConfiguration($0) } : nil
    if let given { notes.append(given.note) }
    var conversion = try named.conversion(kept, configuration: given, options: options).conversion
    conversion.notes = notes + conversion.notes
    return conversion
  }

  /// Returns `true` if a file has metadata of Unroll, and therefore tokens.
  ///
  /// - Throws: `InterchangeError` if the header is damaged.
  public static func holdsTokens(_ file: MappedFile) throws -> Bool {
    try SafetensorsFile(file).metadata[StateMetadata.key] != nil
  }

  /// Returns notes on everything but weights, tokens and tokenizer.
  ///
  /// - Throws: `InterchangeError` for tensors that are missing or that a state_dict cannot
  ///   represent.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    _ = try StateDictionary(checkpoint, allowsVariants: true)
    return checkpoint.exportNotesOfNamedTensors
  }

  static func exportNotes(for checkpoint: Checkpoint, naming: StateNaming) throws -> [Note] {
    _ = try state(of: checkpoint, naming: naming)
    return checkpoint.variantsInMetadata + checkpoint.exportNotesBesideWeights
  }

  private static func state(
    of checkpoint: Checkpoint, naming: StateNaming
  ) throws -> StateDictionary {
    let state = try StateDictionary(checkpoint, allowsVariants: true, naming: naming)
    let reserved = [metadataKey, "format", StateMetadata.key]
    if let entry = state.entries.first(where: { reserved.contains($0.name) }) {
      throw InterchangeError(
        file: "the checkpoint", place: entry.name, expected: "a name that the format leaves free",
        found: "that of a text", fix: "give the tensor another name in the map")
    }
    return state
  }

  /// The key of the metadata in a header.
  private static let metadataKey = "__metadata__"

  /// Writes a checkpoint.
  ///
  /// Tensors are sorted as by the library, by the size of their elements and by name.
  ///
  /// - Throws: `InterchangeError` for tensors that a state_dict cannot represent, `FileError` if
  ///   the file cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    try write(checkpoint, naming: .wordLanguageModel, to: path, progress: progress)
  }

  static func write(
    _ checkpoint: Checkpoint, naming: StateNaming, to path: String, progress: (Int) -> Void
  ) throws {
    let state = try state(of: checkpoint, naming: naming)
    try write(
      state.owned.map { ($0.name, $0.tensor) },
      metadata: metadata(of: checkpoint, state, gates: naming.mapped?.gates), to: path,
      progress: progress)
  }

  /// Writes tensors.
  ///
  /// - Parameters:
  ///   - tensors: The tensors with their names, in any order.
  ///   - metadata: The texts of the header, by key.
  ///   - path: An existing file, which is overwritten.
  ///   - progress: Called with the number of bytes of tensors written since the last call.
  /// - Throws: `InterchangeError` if the header has no room for the tokens; `FileError` if the file
  ///   cannot be written.
  static func write(
    _ tensors: [(name: String, tensor: Tensor)], metadata: [(key: String, text: String)],
    to path: String, progress: (Int) -> Void
  ) throws {
    let tensors = tensors.sorted { first, second in
      let sizes = (first.tensor.dtype.size, second.tensor.dtype.size)
      return sizes.0 != sizes.1
        ? sizes.0 > sizes.1 : first.name.utf8.lexicographicallyPrecedes(second.name.utf8)
    }
    let texts = metadata.map { "\(quoted($0)):\(quoted($1))" }
    var members = [#""\#(metadataKey)":{\#(texts.joined(separator: ","))}"#]
    var offset = 0
    for (name, tensor) in tensors {
      let count = tensor.storage.count
      let shape = tensor.shape.dimensions.map(String.init).joined(separator: ",")
      members.append(
        #"\#(quoted(name)):{"dtype":"\#(tensor.dtype.safetensorsName)","shape":[\#(shape)],"#
          + #""data_offsets":[\#(offset),\#(offset + count)]}"#)
      offset += count
    }
    var header = Array("{\(members.joined(separator: ","))}".utf8)
    header += [UInt8](repeating: 0x20, count: (8 - header.count % 8) % 8)
    guard header.count <= SafetensorsFile.largestHeader else {
      throw InterchangeError(
        file: "the checkpoint", place: Layout.vocabulary,
        expected: "tokens that a header of 100 MB can hold", found: "\(header.count) bytes",
        fix: "keep the checkpoint, or export it to PyTorch with --write-vocabulary")
    }
    var file = try SequentialFile(emptying: path)
    try withUnsafeBytes(of: UInt64(header.count).littleEndian) { try file.write($0) }
    try header.withUnsafeBytes { try file.write($0) }
    for (_, tensor) in tensors { try file.write(tensor, progress: progress) }
    try file.close()
  }
}

extension SafetensorsFormat {
  /// Returns the metadata of a file, by key.
  ///
  /// The entry of a tie is that of `save_model`.
  private static func metadata(
    of checkpoint: Checkpoint, _ state: StateDictionary, gates: GateOrder?
  ) -> [(key: String, text: String)] {
    var texts = [
      ("format", "pt"), (StateMetadata.key, StateMetadata(checkpoint, gates: gates).json),
    ]
    let owners = state.owned
    for entry in state.entries {
      guard let owner = owners.first(where: { $0.storage == entry.storage }),
        owner.name != entry.name
      else { continue }
      texts.insert((entry.name, owner.name), at: 0)
    }
    return texts
  }
}

extension DType {
  /// The name of the type in a safetensors header.
  fileprivate var safetensorsName: String { rawValue.uppercased() }
}
