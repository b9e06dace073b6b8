// SentencePiece: its own normalisation, then Unigram or byte-pair encoding of a whole line.

import UnrollSerialization

/// A SentencePiece model: the normalization of a line and its encoding.
struct SentencePieceModel: Sendable {
  /// The normalization of lines.
  struct Normalization: Sendable {
    var characterMap: CharacterMap?
    var addsDummyPrefix = true
    var removesExtraSpaces = true
    var escapesSpaces = true
    /// `true` if the sign for a space follows a word.
    var isSpaceSuffix = false
  }

  /// The kinds of models.
  enum Algorithm: Sendable {
    case unigram(Unigram)
    /// The pieces and, for each id, its rank by score.
    case bpe(SymbolTable, tokens: [[UInt8]], ranks: [Int32], fallback: [Int32]?)
    /// Each word, with the sign in front, is a piece.
    case words(SymbolTable, fallback: [Int32]?)
    /// Each character is a piece.
    case characters(SymbolTable, fallback: [Int32]?)
  }

  /// U+2581, the sign for a space.
  static let sign: [UInt8] = [0xE2, 0x96, 0x81]

  let algorithm: Algorithm
  let normalization: Normalization
  /// The pieces that nothing changes or cuts.
  let userDefined: TokenTrie

  // MARK: - Normalisation

  /// Returns a line as its pieces spell it.
  func normalized(_ line: UnsafeRawBufferPointer) -> AlignedText {
    var result = AlignedText()
    var index = 0
    let space: [UInt8] = [0x20]
    if normalization.removesExtraSpaces {
      while index < line.count, let (text, end) = normalizedPrefix(of: line, at: index),
        text.elementsEqual(space)
      {
        index = end
      }
    }
    guard index < line.count else { return result }
    let sign = normalization.escapesSpaces ? Self.sign : space
    if normalization.addsDummyPrefix && !normalization.isSpaceSuffix {
      result.append(sign, end: index)
    }
    var isAfterSpace = normalization.removesExtraSpaces
    while index < line.count, let (prefix, end) = normalizedPrefix(of: line, at: index) {
      let text = isAfterSpace ? prefix.drop { $0 == 0x20 } : prefix
      for byte in text {
        if byte == 0x20 {
          result.append(sign, end: end)
        } else {
          result.append(CollectionOfOne(byte), end: end)
        }
      }
      if let last = text.last { isAfterSpace = last == 0x20 }
      if !normalization.removesExtraSpaces { isAfterSpace = false }
      index = end
    }
    if normalization.removesExtraSpaces {
      while result.bytes.suffix(sign.count).elementsEqual(sign) {
        result = result.part(0..<result.bytes.count - sign.count)
      }
    }
    if normalization.addsDummyPrefix && normalization.isSpaceSuffix {
      result.append(sign, end: line.count)
    }
    return result
  }

  /// Returns the normal form of the next characters: a piece that stays, a replacement, or one scalar.
  private func normalizedPrefix(
    of line: UnsafeRawBufferPointer, at index: Int
  ) -> (ArraySlice<UInt8>, end: Int)? {
    if let (_, end) = userDefined.longestPrefix(of: line, at: index) {
      return (Array(line[index..<end])[...], end)
    }
    if let replaced = normalization.characterMap?.longestReplacement(line, at: index) {
      return replaced
    }
    let (scalar, count) = decodeScalar(line, at: index)
    // Each byte that is not UTF-8 becomes one U+FFFD.
    guard scalar != 0xFFFD || count == 3 && line[index] == 0xEF else {
      return ([0xEF, 0xBF, 0xBD], index + 1)
    }
    return (Array(line[index..<index + count])[...], index + count)
  }

  // MARK: - Encoding

  /// Returns the tokens of a normalised line.
  func encode(_ text: UnsafeRawBufferPointer) -> [Piece] {
    switch algorithm {
    case .unigram(let unigram): return unigram.encode(text)
    case .bpe(let symbols, let tokens, let ranks, let fallback):
      var word = MergingWord(characters(of: text, symbols))
      word.merge { a, b in
        guard a >= 0, b >= 0, !isUserDefined(tokens[Int(a)]), !isUserDefined(tokens[Int(b)]),
          let id = symbols.id(of: tokens[Int(a)] + tokens[Int(b)])
        else { return nil }
        return (ranks[Int(id)], id)
      }
      return withoutUnknown(word.pieces, text, fallback)
    case .words(let symbols, let fallback):
      return withoutUnknown(words(of: text, symbols), text, fallback)
    case .characters(let symbols, let fallback):
      return withoutUnknown(characters(of: text, symbols), text, fallback)
    }
  }

  /// Returns the words of a text: each begins with the sign for a space, but for the first.
  private func words(of text: UnsafeRawBufferPointer, _ symbols: SymbolTable) -> [Piece] {
    var result: [Piece] = []
    var start = 0
    while start < text.count {
      var end = start + decodeScalar(text, at: start).count
      while end < text.count, !text[end...].starts(with: Self.sign) {
        end += decodeScalar(text, at: end).count
      }
      let id = symbols.id(of: UnsafeRawBufferPointer(rebasing: text[start..<end]))
      result.append(Piece(id: id ?? EncodedLine.noToken, end: end))
      start = end
    }
    return result
  }

  private func isUserDefined(_ token: [UInt8]) -> Bool {
    token.withUnsafeBytes { userDefined.longestPrefix(of: $0, at: 0)?.end == $0.count }
  }

  /// Returns the pieces that a text begins with: those that stay whole, and characters.
  private func characters(of text: UnsafeRawBufferPointer, _ symbols: SymbolTable) -> [Piece] {
    var result: [Piece] = []
    var index = 0
    while index < text.count {
      if let (id, end) = userDefined.longestPrefix(of: text, at: index) {
        result.append(Piece(id: id, end: end))
        index = end
      } else {
        let end = index + decodeScalar(text, at: index).count
        let id = symbols.id(of: UnsafeRawBufferPointer(rebasing: text[index..<end]))
        result.append(Piece(id: id ?? EncodedLine.noToken, end: end))
        index = end
      }
    }
    return result
  }

  /// Unknown characters as bytes, or neighbours as one.
  private func withoutUnknown(
    _ pieces: [Piece], _ text: UnsafeRawBufferPointer, _ fallback: [Int32]?
  ) -> [Piece] {
    var result: [Piece] = []
    var start = 0
    for piece in pieces {
      if piece.id >= 0 {
        result.append(piece)
      } else if let fallback {
        for offset in start..<piece.end {
          result.append(Piece(id: fallback[Int(text[offset])], end: offset + 1))
        }
      } else if let last = result.last, last.id == EncodedLine.noToken {
        result[result.count - 1].end = piece.end
      } else {
        result.append(piece)
      }
      start = piece.end
    }
    return result
  }
}

// MARK: - The file

extension DefinedTokenizer {
  /// The types of pieces, as the file has them.
  private enum PieceType: Int {
    case normal = 1
    case unknown = 2
    case control = 3
    case userDefined = 4
    case unused = 5
    case byte = 6

    var tokenKind: TokenKind? {
      switch self {
      case .normal, .userDefined: nil
      case .unknown: .unknown
      case .control: .control
      case .unused: .unused
      case .byte: .byte
      }
    }
  }

  /// Reads a SentencePiece model, `sentencepiece_model.proto`.
  ///
  /// - Throws: `DefinitionError` if it is none, or needs a feature that this version lacks.
  static func reading(sentencePiece bytes: [UInt8]) throws -> DefinedTokenizer {
    guard let root = WireMessage(bytes) else {
      throw DefinitionError("model", expected: "a SentencePiece model", found: "other bytes")
    }
    var tokens: [(token: [UInt8], id: Int32)] = []
    var scores: [Float] = []
    var types: [PieceType] = []
    for range in root.ranges(1) {
      guard let piece = root.message(range),
        let type = PieceType(rawValue: piece.int(3) ?? 1), tokens.count < 1 << 24
      else {
        throw DefinitionError("pieces", expected: "a piece", found: "other bytes")
      }
      tokens.append((piece.bytes(1) ?? [], Int32(tokens.count)))
      scores.append(piece.float(2) ?? 0)
      types.append(type)
    }
    guard !tokens.isEmpty, scores.allSatisfy(\.isFinite) else {
      throw DefinitionError("pieces", expected: "pieces with finite scores", found: "others")
    }
    let trainer = try message(root, 2, "trainer_spec")
    let model = try model(trainer, tokens, scores, types, root)
    var tokenizer = DefinedTokenizer(
      kind: try kind(trainer?.int(3) ?? 1), model: .sentencePiece(model))
    tokenizer.tokens = tokens
    tokenizer.scores = scores
    for (id, type) in types.enumerated() { tokenizer.kinds[Int32(id)] = type.tokenKind }
    tokenizer.unknownID = types.firstIndex(of: .unknown).map { Int32($0) }
    tokenizer.unknownText = trainer?.bytes(44) ?? [0x20, 0xE2, 0x81, 0x87, 0x20]
    let dropsFirst = model.normalization.addsDummyPrefix && !model.normalization.isSpaceSuffix
    tokenizer.decoders = [
      .byteFallback, .fuse,
      .sentencePiece(dropsFirst: dropsFirst || model.normalization.removesExtraSpaces),
    ]
    return tokenizer
  }

  /// Returns the kind of tokenizer of a `model_type`.
  private static func kind(_ type: Int) throws -> TokenizerKind {
    switch type {
    case 1: return .unigram
    case 2: return .bpe
    case 3: return .wordlevel
    case 4: return .charlevel
    default: throw DefinitionError(unsupported: "the number \(type)", at: "model_type")
    }
  }

  private static func message(
    _ root: WireMessage, _ number: Int, _ name: String
  ) throws -> WireMessage? {
    guard let range = root.range(number) else { return nil }
    guard let message = root.message(range) else {
      throw DefinitionError(name, expected: "a message", found: "other bytes")
    }
    return message
  }

  private static func model(
    _ trainer: WireMessage?, _ tokens: [(token: [UInt8], id: Int32)], _ scores: [Float],
    _ types: [PieceType], _ root: WireMessage
  ) throws -> SentencePieceModel {
    var normalization = SentencePieceModel.Normalization()
    if let spec = try message(root, 3, "normalizer_spec") {
      if let map = spec.bytes(2), !map.isEmpty {
        normalization.characterMap = try CharacterMap(map, at: "precompiled_charsmap")
      }
      normalization.addsDummyPrefix = spec.bool(3) ?? true
      normalization.removesExtraSpaces = spec.bool(4) ?? true
      normalization.escapesSpaces = spec.bool(5) ?? true
    }
    normalization.isSpaceSuffix = trainer?.bool(24) ?? false
    let fallback = trainer?.bool(35) == true ? SymbolTable(tokens).fallbackSymbols : nil
    func pieces(_ wanted: Set<PieceType>) -> [(token: [UInt8], id: Int32)] {
      tokens.filter { wanted.contains(types[Int($0.id)]) }
    }
    let algorithm: SentencePieceModel.Algorithm
    switch trainer?.int(3) ?? 1 {
    case 1:
      let normal = types.indices.filter { types[$0] == .normal }.map { scores[$0] }
      let (least, greatest) = (normal.min() ?? 0, normal.max() ?? 0)
      let weights = types.indices.map { id in
        // Longer user-defined pieces win against all ways to cut them.
        types[id] == .userDefined
          ? Double(Float(tokens[id].token.count) * greatest) - 0.1 : Double(scores[id])
      }
      algorithm = .unigram(
        Unigram(
          pieces: pieces([.normal, .userDefined]), scores: weights,
          unknownScore: Double(least - 10), fallback: fallback, isSinglePrecision: true))
    case 2:
      guard !types.contains(.unused) else {
        throw DefinitionError(unsupported: "unused pieces of BPE", at: "pieces")
      }
      let ordered = Set(scores).sorted(by: >)
      let rankOf = Dictionary(uniqueKeysWithValues: ordered.enumerated().map { ($1, Int32($0)) })
      algorithm = .bpe(
        SymbolTable(pieces([.normal, .userDefined])), tokens: tokens.map(\.token),
        ranks: scores.map { rankOf[$0] ?? 0 }, fallback: fallback)
    case 3: algorithm = .words(SymbolTable(tokens), fallback: fallback)
    default: algorithm = .characters(SymbolTable(tokens), fallback: fallback)
    }
    return SentencePieceModel(
      algorithm: algorithm, normalization: normalization,
      userDefined: TokenTrie(pieces([.userDefined]).map { ($0.token[...], $0.id) }))
  }
}
