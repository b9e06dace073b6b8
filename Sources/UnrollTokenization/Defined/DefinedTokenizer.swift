// A tokenizer as another program's file defines it: normalise, cut, encode, and back.

/// A tokenizer that was read from a definition.
///
/// A text goes through the steps in their order. Added tokens are taken out before normalisation or,
/// those that ask for it, after it; what lies between them is normalised and cut, and the model encodes
/// each part. Special tokens that other programs put around a text are not added: a language model's
/// text has none.
struct DefinedTokenizer: Sendable {
  /// The model that makes tokens of parts of a text.
  enum Model: Sendable {
    case bpe(BytePairEncoding)
    case wordPiece(WordPiece)
    case unigram(Unigram)
    case sentencePiece(SentencePieceModel)
    case lookup(WordLookup)

    func encode(_ piece: UnsafeRawBufferPointer) -> [Piece] {
      switch self {
      case .bpe(let model): model.encode(piece)
      case .wordPiece(let model): model.encode(piece)
      case .unigram(let model): model.encode(piece)
      case .sentencePiece(let model): model.encode(piece)
      case .lookup(let model): model.encode(piece)
      }
    }
  }

  /// The tokens with their ids, those that were added among them.
  var tokens: [(token: [UInt8], id: Int32)] = []
  /// For each token its score, if the model has scores.
  var scores: [Float]?
  /// The uses of tokens that do not stand for text.
  var kinds: [Int32: TokenKind] = [:]
  var unknownID: Int32?
  /// The text of the unknown token when it is decoded, if not its own name; empty if it is
  /// left out.
  var unknownText: [UInt8]?
  var kind: TokenizerKind
  var model: Model
  var addedTokens = AddedTokens([])
  var addedNormalizedTokens = AddedTokens([])
  var normalizers: [Normalizer] = []
  var preTokenizers: [PreTokenizer] = []
  var decoders: [TokenDecoder] = [.spaces]
  /// The beginning of tokens that continue a word; empty if the model has no such sign.
  var continuation: [UInt8] = []
  /// The end of tokens that end a word; empty if the model has no such sign.
  var suffix: [UInt8] = []
  /// `true` if row 0 is no token, but pads texts.
  var hasPaddingRow = false
  /// `true` if each token is a word and the text says where it ends, as white space does.
  var hasWholeWords = false
  private let cache = PieceCache()

  init(kind: TokenizerKind, model: Model) {
    self.kind = kind
    self.model = model
  }

  /// Adds the tokens of a text; bytes that are not UTF-8 are read as U+FFFD.
  func encode(_ text: UnsafeRawBufferPointer, into encoded: inout EncodedLine) {
    if case .sentencePiece(let model) = model {
      let normalized = model.normalized(text)
      add(normalized, parts: [0..<normalized.bytes.count], to: &encoded)
      return
    }
    for part in addedTokens.parts(of: text) {
      if let id = part.id {
        encoded.add(id, end: part.range.upperBound)
        continue
      }
      var normalized = AlignedText(text, part.range)
      for normalizer in normalizers {
        normalized = normalizer.apply(to: normalized)
        if normalized.isExhausted { encoded.isExhausted = true }
      }
      encode(normalized, isFirst: part.range.lowerBound == 0, into: &encoded)
    }
  }

  private func encode(_ text: AlignedText, isFirst: Bool, into encoded: inout EncodedLine) {
    let parts = text.bytes.withUnsafeBytes { addedNormalizedTokens.parts(of: $0) }
    for part in parts {
      if let id = part.id {
        encoded.add(id, end: text.ends[part.range.upperBound - 1])
        continue
      }
      let isWhole = part.range == 0..<text.bytes.count
      var cut = PreTokenizedText(
        isWhole ? text : text.part(part.range), isFirst: isFirst && part.range.lowerBound == 0)
      for preTokenizer in preTokenizers { preTokenizer.apply(to: &cut) }
      if cut.isExhausted { encoded.isExhausted = true }
      add(cut.text, parts: cut.parts, to: &encoded)
    }
  }

  private func add(_ text: AlignedText, parts: [Range<Int>], to encoded: inout EncodedLine) {
    text.bytes.withUnsafeBytes { bytes in
      cache.forEachToken(of: bytes, parts, encode: model.encode) { token, start in
        // A prefix that a step added to a part stands for nothing.
        let end = max(text.ends[start + token.end - 1], encoded.ends.last ?? 0)
        encoded.add(token.id, end: end, begin: text.end(before: start) ?? 0)
      }
    }
  }

  /// Returns the text of tokens, those for places in a text left out.
  func text(of ids: [Int], _ vocabulary: Vocabulary) -> [UInt8] {
    let tokens = ids.compactMap { id -> [UInt8]? in
      if let unknownID, id == Int(unknownID), let unknownText {
        return unknownText.isEmpty ? nil : unknownText
      }
      return kinds[Int32(id)] == .control || kinds[Int32(id)] == .unused
        ? nil : Array(vocabulary[id])
    }
    return decoders.reduce(tokens) { $1.apply(to: $0) }.flatMap { $0 }
  }
}
