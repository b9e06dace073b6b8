// Language models in GGUF: tensors under the names of a state_dict, tokens under the standard keys.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// GGUF files with Unroll's own architecture, which ggml's programs can list and edit.
public enum GGUFFormat: NamedFormat {
  /// The name in reports.
  public static let name = "gguf"
  /// The extension.
  public static let fileExtensions = ["gguf"]
  /// The value of `general.architecture`; such names consist of letters and digits.
  static let architecture = "unrolllm"

  /// The keys of the header.
  enum Key {
    static let architecture = "general.architecture"
    static let alignment = "general.alignment"
    static let metadata = GGUFFormat.architecture + ".metadata"
    static let vocabularySize = GGUFFormat.architecture + ".vocab_size"
    static let embeddingSize = GGUFFormat.architecture + ".embedding_length"
    static let layerCount = GGUFFormat.architecture + ".block_count"
    static let tokenizer = "tokenizer.ggml.model"
    static let tokens = "tokenizer.ggml.tokens"
    static let kinds = "tokenizer.ggml.token_type"
    static let scores = "tokenizer.ggml.scores"
    static func id(of role: SpecialToken) -> String { "tokenizer.ggml.\(role.name)_token_id" }
  }

  /// Returns `true` if a file begins with the signature.
  public static func recognizes(_ file: MappedFile) -> Bool { GGUFFile.recognizes(file) }

  static func tensors(of file: MappedFile, options: ReadingOptions) throws -> NamedTensors {
    let container = try GGUFFile(file)
    var named = NamedTensors(file: container, tensors: container.tensors)
    _ = try named.normalize(options)
    return named
  }

  /// Converts a language model: an embedding or one-hot input, recurrent layers, a linear output.
  ///
  /// - Throws: `InterchangeError` if the file is damaged, holds another kind of model, or needs
  ///   information that `options` does not give.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    let container = try GGUFFile(file)
    var named = NamedTensors(file: container, tensors: container.tensors)
    let tokens = try container.tokens
    let kept = try container.header.text(Key.metadata).map {
      try StateMetadata(json: $0, beside: named, tokens: tokens)
    }
    var options = options
    if kept == nil, options.vocabulary == nil, let tokens {
      options.vocabulary = try container.vocabulary(tokens)
    }
    let notes = try named.normalize(options)
    var conversion = try named.conversion(kept, options: options).conversion
    try container.checkSizes(conversion.checkpoint.architecture)
    conversion.notes = notes + conversion.notes
    return conversion
  }

  /// Returns notes on everything but weights, tokens and tokenizer.
  ///
  /// - Throws: `InterchangeError` for tensors that are missing or that the format cannot represent.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    _ = try GGUFWriter(checkpoint)
    return checkpoint.exportNotesOfNamedTensors
  }

  /// Writes a checkpoint as version 3, with tensors aligned to 64 bytes.
  ///
  /// - Throws: `InterchangeError` for tensors that the format cannot represent, `FileError` if the
  ///   file cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    try GGUFWriter(checkpoint).write(to: path, progress: progress)
  }
}

extension GGUFFile {
  /// Returns the tokens with the special ones that the standard keys name, for files without
  /// Unroll's metadata.
  ///
  /// - Throws: `InterchangeError` for a duplicate token, or a special one that does not exist.
  fileprivate func vocabulary(_ tokens: [[UInt8]]) throws -> Vocabulary {
    typealias Key = GGUFFormat.Key
    guard Set(tokens).count == tokens.count else {
      throw error(
        Key.tokens, expected: "each token once", found: "some twice", fix: Self.writeAgain)
    }
    var vocabulary = Vocabulary(tokens: tokens, unit: .word)
    func id(_ key: String) throws -> Int? {
      guard let id = header.int(key) else { return nil }
      guard tokens.indices.contains(id) else {
        throw error(
          key, expected: "the id of one of \(tokens.count) tokens", found: "\(id)",
          fix: Self.writeAgain)
      }
      return id
    }
    for role in SpecialToken.allCases { vocabulary[role] = try id(Key.id(of: role)) }
    return vocabulary
  }

  /// The tokens, one for each row.
  fileprivate var tokens: [[UInt8]]? {
    get throws {
      let key = GGUFFormat.Key.tokens
      guard let value = header.values[key] else { return nil }
      let rows =
        tensors.filter { $0.tensor.span > 0 }.compactMap(
          \.tensor.shape.dimensions.first
        ).max() ?? 0
      guard let count = value.count, count <= rows, let tokens = header.texts(key) else {
        throw error(
          key, expected: "a list of at most \(rows) texts, one for each row",
          found: value.count.map { "\($0) values" } ?? "no list", fix: Self.writeAgain)
      }
      return tokens
    }
  }

  /// Refuses keys whose sizes differ from the tensors'.
  fileprivate func checkSizes(_ architecture: Architecture) throws {
    for (key, size) in [
      (GGUFFormat.Key.vocabularySize, architecture.vocabularySize),
      (GGUFFormat.Key.embeddingSize, architecture.embeddingSize),
      (GGUFFormat.Key.layerCount, architecture.layers.count),
    ] where header.values[key] != nil && header.int(key) != size {
      throw error(
        key, expected: "\(size), as the tensors have",
        found: header.int(key).map { "\($0)" } ?? "another value", fix: Self.writeAgain)
    }
  }
}
