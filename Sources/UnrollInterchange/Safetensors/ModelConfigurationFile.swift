// Writes the `config.json` that programs expect beside weights.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// A model's sizes under the keys of Hugging Face's configurations.
public struct ModelConfigurationFile: Sendable {
  /// The JSON text.
  public let json: String

  /// Describes a model.
  ///
  /// - Parameters:
  ///   - architecture: The model.
  ///   - path: The output file of the configuration, for messages.
  /// - Throws: `InterchangeError` if the layers have several kinds of cells, activations or widths,
  ///   which these keys cannot represent.
  public init(_ architecture: Architecture, path: String) throws {
    let layers = architecture.layers
    guard let first = layers.first,
      layers.allSatisfy({ $0.cell == first.cell && $0.activation == first.activation })
    else {
      throw InterchangeError(
        file: path, place: Layout.layers, expected: "layers of one kind of cell",
        found: "several", fix: "leave the configuration out: the weights' own metadata says all")
    }
    guard architecture.tails.isEmpty else {
      throw InterchangeError(
        file: path, place: Layout.output, expected: "one softmax over all tokens",
        found: architecture.outputKind.rawValue,
        fix:
          "leave the configuration out: it has no place for the cutoffs, which follow from the tensors"
      )
    }
    var members = [#""model_type": \#(quoted(first.cell.rawValue))"#]
    if first.cell == .rnn {
      members.append(#""nonlinearity": \#(quoted(first.activation.rawValue))"#)
    }
    let sizes = layers.map(\.hiddenSize)
    let hidden =
      sizes.allSatisfy { $0 == first.hiddenSize }
      ? "\(first.hiddenSize)" : "[\(sizes.map(String.init).joined(separator: ", "))]"
    members += [
      #""vocab_size": \#(architecture.vocabularySize)"#,
      #""embedding_size": \#(architecture.embeddingSize)"#, #""hidden_size": \#(hidden)"#,
      #""num_hidden_layers": \#(layers.count)"#,
      #""tie_word_embeddings": \#(architecture.isTied)"#,
    ]
    json = "{\n  \(members.joined(separator: ",\n  "))\n}\n"
  }

  /// Writes the text atomically.
  ///
  /// - Parameters:
  ///   - path: The output file.
  ///   - replacing: `true` to replace an existing file; otherwise it is preserved.
  ///   - writeModel: Writes the model after the text is on disk and before it gets its name. If it
  ///     throws, the text is discarded.
  /// - Throws: `FileError` if it cannot be written; the errors of `writeModel`.
  public func write(
    to path: String, replacing: Bool = false, after writeModel: () throws -> Void = {}
  ) throws {
    let atomic = try AtomicFile(path, replacing: replacing)
    do {
      var file = try SequentialFile(emptying: atomic.temporaryPath)
      try Array(json.utf8).withUnsafeBytes { try file.write($0) }
      try file.close()
      try writeModel()
      try atomic.commit()
    } catch {
      atomic.discard()
      throw error
    }
  }
}
