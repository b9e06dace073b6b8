// Writes the `config.json` that programs expect beside weights.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// A model's sizes in the words of Hugging Face's configurations.
public struct ModelConfigurationFile: Sendable {
  /// The JSON text.
  public let json: String

  /// Describes a model.
  ///
  /// - Parameters:
  ///   - architecture: The model.
  ///   - path: The file that the configuration is meant for, for messages.
  /// - Throws: `InterchangeError` if the layers have several kinds of cells, activations or widths, which
  ///   these words cannot say.
  public init(_ architecture: Architecture, path: String) throws {
    let layers = architecture.layers
    guard let first = layers.first,
      layers.allSatisfy({ $0.cell == first.cell && $0.activation == first.activation })
    else {
      throw InterchangeError(
        file: path, place: Layout.layers, expected: "layers of one kind of cell",
        found: "several", fix: "leave the configuration out: the weights' own metadata says all")
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

  /// Writes the text, whole or not at all.
  ///
  /// - Parameters:
  ///   - path: The file to be.
  ///   - replacing: Whether a file that is there is replaced. If not, it stays.
  ///   - writeModel: Writes the model, when the text is on disk and only lacks its name. If it throws,
  ///     there is no text either.
  /// - Throws: `FileError` if it cannot be written; what `writeModel` throws.
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
