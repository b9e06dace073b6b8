// Writes GGUF version 3: the header, then tensors aligned to 64 bytes.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// The header for a checkpoint, and the tensors after it.
struct GGUFWriter {
  private static let alignment = 64
  /// The maximum length of a tensor's name in ggml, which terminates names with a zero byte.
  private static let longestName = 63

  private let owned: [StateDictionary.Entry]
  /// The bytes before the tensor data, padded.
  private let header: [UInt8]

  /// Lays out the file for a checkpoint.
  ///
  /// - Throws: `InterchangeError` for unsupported features.
  init(_ checkpoint: Checkpoint) throws {
    owned = try StateDictionary(checkpoint, allowsVariants: true).owned
    var keys = GGUFKeys()
    keys.describe(checkpoint)
    var infos: [UInt8] = []
    var offset = 0
    for entry in owned {
      guard let type = GGMLType(entry.tensor.dtype), entry.name.utf8.count <= Self.longestName
      else {
        throw InterchangeError(
          file: "the checkpoint", place: entry.name, expected: "f32, f16 or bf16",
          found: entry.tensor.dtype.rawValue,
          fix: "give --dtype f32: ggml's operations have no larger numbers")
      }
      infos.append(gguf: entry.name.utf8)
      infos.append(littleEndian: UInt32(entry.tensor.shape.rank))
      // The fastest dimension comes first.
      for size in entry.tensor.shape.dimensions.reversed() {
        infos.append(littleEndian: UInt64(size))
      }
      infos.append(littleEndian: UInt32(type.number))
      infos.append(littleEndian: UInt64(offset))
      offset += entry.tensor.storage.count + Self.padding(after: entry.tensor.storage.count)
    }
    var header = GGUFFile.signature
    header.append(littleEndian: 3 as UInt32)
    header.append(littleEndian: UInt64(owned.count))
    header.append(littleEndian: UInt64(keys.count))
    header += keys.bytes + infos
    self.header = header + [UInt8](repeating: 0, count: Self.padding(after: header.count))
  }

  private static func padding(after count: Int) -> Int {
    (alignment - count % alignment) % alignment
  }

  /// Writes the file.
  ///
  /// - Throws: `FileError` if it cannot be written.
  func write(to path: String, progress: (Int) -> Void) throws {
    var file = try SequentialFile(emptying: path)
    try header.withUnsafeBytes { try file.write($0) }
    for entry in owned {
      try file.write(entry.tensor, progress: progress)
      let padding = [UInt8](repeating: 0, count: Self.padding(after: entry.tensor.storage.count))
      try padding.withUnsafeBytes { try file.write($0) }
    }
    try file.close()
  }
}

/// The keys of a header with their values, in writing order.
private struct GGUFKeys {
  private(set) var count = 0
  private(set) var bytes: [UInt8] = []

  /// Adds the description of a model.
  mutating func describe(_ checkpoint: Checkpoint) {
    typealias Key = GGUFFormat.Key
    let (architecture, vocabulary) = (checkpoint.architecture, checkpoint.vocabulary)
    add(Key.architecture, text: GGUFFormat.architecture)
    add(Key.alignment, 64)
    add(Key.vocabularySize, architecture.vocabularySize)
    add(Key.embeddingSize, architecture.embeddingSize)
    add(Key.layerCount, architecture.layers.count)
    // Texts of ggml are UTF-8: if some tokens are not, the metadata lists all tokens.
    let areTexts = vocabulary.indices.allSatisfy {
      String(validating: vocabulary[$0], as: UTF8.self) != nil
    }
    add(Key.metadata, text: StateMetadata(checkpoint).json(listingTokens: !areTexts))
    add(Key.tokenizer, text: "unroll")
    begin(Key.tokens, .array)
    list(.string, vocabulary.count)
    for id in vocabulary.indices { bytes.append(gguf: vocabulary.text(of: id).utf8) }
    if let kinds = vocabulary.kinds {
      begin(Key.kinds, .array)
      list(.int32, kinds.count)
      for kind in kinds { bytes.append(littleEndian: kind.ggufNumber) }
    }
    if let scores = vocabulary.scores {
      begin(Key.scores, .array)
      list(.float32, scores.count)
      for score in scores { bytes.append(littleEndian: score.bitPattern) }
    }
    // In the order that llama.cpp's own converter has.
    let roles: [SpecialToken] = [.beginningOfSentence, .endOfSentence, .unknown, .padding]
    for role in roles {
      if let id = vocabulary[role] { add(Key.id(of: role), id) }
    }
  }

  private mutating func begin(_ key: String, _ type: GGUFValueType) {
    count += 1
    bytes.append(gguf: key.utf8)
    bytes.append(littleEndian: UInt32(type.rawValue))
  }

  private mutating func list(_ type: GGUFValueType, _ count: Int) {
    bytes.append(littleEndian: UInt32(type.rawValue))
    bytes.append(littleEndian: UInt64(count))
  }

  private mutating func add(_ key: String, text: String) {
    begin(key, .string)
    bytes.append(gguf: text.utf8)
  }

  /// Adds a number below 2^32, as all sizes and ids of a checkpoint are.
  private mutating func add(_ key: String, _ number: Int) {
    begin(key, .uint32)
    bytes.append(littleEndian: UInt32(clamping: number))
  }
}

extension [UInt8] {
  /// Appends a text in GGUF's encoding: its length in 64 bits and its bytes.
  fileprivate mutating func append(gguf text: String.UTF8View) {
    append(littleEndian: UInt64(text.count))
    append(contentsOf: text)
  }
}

extension TokenKind {
  /// The number of the GGUF token type.
  fileprivate var ggufNumber: Int32 {
    switch self {
    case .normal: 1
    case .unknown: 2
    case .control: 3
    case .unused: 5
    case .byte: 6
    }
  }
}
