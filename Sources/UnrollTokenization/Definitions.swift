// Tokenizers that another program's file defines, by the file's format.

import UnrollSerialization

extension TokenizerDefinition {
  /// The formats, as a file names them.
  enum Format: String, CaseIterable {
    /// The file tokenizer.json of the library tokenizers.
    case tokenizerJSON = "tokenizer.json"
    /// GPT-2's merges.txt; the tokens and their ids are the vocabulary's.
    case merges = "merges.txt"
    /// A SentencePiece model.
    case sentencePiece = "sentencepiece"
    /// The output of `to_json()` of a `Tokenizer` of Keras.
    case keras = "keras"
  }

  /// Returns the format of a file by its content, or `nil` if it is of none.
  private static func format(of bytes: [UInt8]) -> Format? {
    switch bytes.first(where: { $0 > 0x20 }) {
    case UInt8(ascii: "{"):
      (try? JSONValue(bytes)).map(KerasTokenizer.isOne) == true ? .keras : .tokenizerJSON
    case UInt8(ascii: "#"): .merges
    case 0x0A, nil: nil
    default: WireMessage(bytes)?.range(1) == nil ? nil : .sentencePiece
    }
  }

  /// Recognizes a file by its content: a tokenizer.json, a merges.txt with its line `#version`, a SentencePiece
  /// model, or the output of `to_json()` of Keras's `Tokenizer`, also as a JSON string.
  ///
  /// - Throws: `DefinitionError` if it is none of them.
  public init(_ bytes: [UInt8]) throws {
    // `json.dump(tokenizer.to_json(), file)` encodes twice.
    let isText = bytes.first { $0 > 0x20 } == UInt8(ascii: "\"")
    let bytes = isText ? (try? JSONValue(bytes))?.bytes ?? bytes : bytes
    guard let format = Self.format(of: bytes) else {
      throw DefinitionError(
        "file",
        expected: "tokenizer.json, merges.txt, a SentencePiece model or a Tokenizer of Keras",
        found: "something else")
    }
    self.init(format: format.rawValue, bytes: bytes)
  }

  /// Returns the tokenizer that the file defines.
  ///
  /// - Parameter vocabulary: The tokens, for formats that do not have them.
  /// - Returns: The tokenizer.
  /// - Throws: `DefinitionError` if the file cannot be read, or needs a feature that this version lacks.
  func tokenizer(_ vocabulary: Vocabulary?) throws -> DefinedTokenizer {
    switch Format(rawValue: format) {
    case .tokenizerJSON: return try .reading(tokenizerJSON: bytes)
    case .sentencePiece: return try .reading(sentencePiece: bytes)
    case .keras: return try .reading(keras: bytes)
    case .merges:
      guard let vocabulary else {
        throw DefinitionError("merges.txt", expected: "a vocabulary beside it", found: "none")
      }
      return try .reading(merges: bytes, vocabulary)
    case nil: throw DefinitionError(unsupported: format, at: "definition_format")
    }
  }

  /// Returns the kind of the tokenizer and its tokens.
  ///
  /// Tokens get the ids that the file gives them; ids without a token become unused ones.
  ///
  /// - Parameter vocabulary: The tokens, for formats that do not have them.
  /// - Returns: The kind and the tokens.
  /// - Throws: `DefinitionError` if the file cannot be read, or needs a feature that this version lacks.
  public func tokens(
    _ vocabulary: Vocabulary? = nil
  ) throws -> (kind: TokenizerKind, vocabulary: Vocabulary) {
    guard Format(rawValue: format) == .merges, var vocabulary else {
      let defined = try tokenizer(vocabulary)
      // A model has a row for each id: gaps are small.
      let count = (defined.tokens.map { Int($0.id) }.max() ?? -1) + 1
      guard count > 0, count <= 2 * defined.tokens.count + 1000 else {
        throw DefinitionError(
          "vocabulary", expected: "tokens with ids from 0 on",
          found: "\(defined.tokens.count) tokens with ids to \(count - 1)")
      }
      return (defined.kind, Vocabulary(defined))
    }
    // GPT-2's only special token, which its files do not mark.
    vocabulary.endOfSentenceID =
      vocabulary.endOfSentenceID ?? vocabulary.id(of: "<|endoftext|>")
    vocabulary.unit = .subword
    return (try tokenizer(vocabulary).kind, vocabulary)
  }
}

extension Vocabulary {
  /// The tokens of a definition.
  fileprivate init(_ defined: DefinedTokenizer) {
    let count = (defined.tokens.map { Int($0.id) }.max() ?? -1) + 1
    var tokens = [[UInt8]?](repeating: nil, count: count)
    for (token, id) in defined.tokens where tokens[Int(id)] == nil { tokens[Int(id)] = token }
    if defined.hasPaddingRow, tokens.first == .some(nil) {
      let padding = ["<pad>", "<row 0>"].map { Array($0.utf8) }
      tokens[0] = padding.first { name in !defined.tokens.contains { $0.token == name } }
    }
    self.init(
      tokens: tokens.enumerated().map { $1 ?? Array("<unused\($0)>".utf8) },
      unit: defined.kind.unit)
    kinds = tokens.enumerated().map { id, token in
      token == nil ? .unused : defined.kinds[Int32(id)] ?? .normal
    }
    if let unknown = defined.unknownID, Int(unknown) < count {
      unknownID = Int(unknown)
      kinds?[Int(unknown)] = .unknown
    }
    if defined.hasPaddingRow {
      paddingID = 0
      kinds?[0] = .control
    }
    if let scores = defined.scores {
      self.scores = scores + [Float](repeating: 0, count: count - scores.count)
    }
  }
}

extension TokenizerKind {
  /// The unit of the tokens of a definition.
  fileprivate var unit: TokenUnit {
    switch self {
    case .wordlevel: .word
    case .charlevel: .character
    default: .subword
    }
  }
}

extension DefinedTokenizer {
  /// Reads GPT-2's merges.txt, a pair of tokens a line.
  fileprivate static func reading(
    merges bytes: [UInt8], _ vocabulary: Vocabulary
  ) throws -> DefinedTokenizer {
    let lines = bytes.split(separator: 0x0A).map { $0.last == 0x0D ? $0.dropLast() : $0 }
    var merges: [(left: [UInt8], right: [UInt8])] = []
    for (index, line) in lines.enumerated() where !line.isEmpty {
      if index == 0 && line.starts(with: "#version".utf8) { continue }
      let pair = line.split(separator: 0x20).map(Array.init)
      guard pair.count == 2 else {
        throw DefinitionError(
          "merges.txt", expected: "two tokens a line",
          found: "\(pair.count) in line \(index + 1)")
      }
      merges.append((pair[0], pair[1]))
    }
    let tokens = vocabulary.indices.map { (token: Array(vocabulary[$0]), id: Int32($0)) }
    var tokenizer = DefinedTokenizer(
      kind: .bpe,
      model: .bpe(
        try BytePairEncoding(
          symbols: SymbolTable(tokens), merges: merges, isByteLevel: true, options: .init())))
    tokenizer.tokens = tokens
    tokenizer.preTokenizers = [.byteLevel(addsSpace: false, cuts: true)]
    tokenizer.decoders = [.byteLevel]
    let special = tokens.filter { token in
      !vocabulary.standsForText(Int(token.id)) && !token.token.isEmpty
    }
    for token in special { tokenizer.kinds[token.id] = .control }
    tokenizer.addedTokens = AddedTokens(
      special.map { AddedToken(content: $0.token, id: $0.id) })
    return tokenizer
  }
}
