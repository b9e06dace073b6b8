// The file tokenizer.json of the library tokenizers.

import UnrollSerialization

extension DefinedTokenizer {
  /// Reads a tokenizer.json.
  ///
  /// - Throws: `DefinitionError` if it is none, or asks for what this version does not have.
  static func reading(tokenizerJSON bytes: [UInt8]) throws -> DefinedTokenizer {
    let root: JSONPart
    do {
      root = JSONPart(place: "tokenizer", value: try JSONValue(bytes))
    } catch let error as JSONError {
      throw DefinitionError(
        "byte \(error.offset)", expected: "JSON", found: "something else")
    }
    guard let model = root["model"] else {
      throw DefinitionError("model", expected: "a model", found: "none")
    }
    let preTokenizers = try root["pre_tokenizer"].map(preTokenizers) ?? []
    var tokenizer = try reading(model, isByteLevel: isByteLevel(preTokenizers))
    tokenizer.normalizers = try root["normalizer"].map(normalizers) ?? []
    tokenizer.preTokenizers = preTokenizers
    tokenizer.decoders = try root["decoder"].map(decoders) ?? [.spaces]
    tokenizer.hasWholeWords = tokenizer.kind == .wordlevel && cutsAtSpacesOnly(preTokenizers)
    try tokenizer.addTokens(of: root)
    return tokenizer
  }

  /// `true` if parts of a text lie between white space and nothing else cuts them.
  private static func cutsAtSpacesOnly(_ steps: [PreTokenizer]) -> Bool {
    !steps.isEmpty
      && steps.allSatisfy {
        if case .cut(.scalar(.space), .removed, inverted: false) = $0 { return true }
        return false
      }
  }

  /// `true` if the model sees bytes: then that must be the last step of cutting.
  private static func isByteLevel(_ steps: [PreTokenizer]) throws -> Bool {
    let places = steps.indices.filter {
      if case .byteLevel = steps[$0] { return true }
      return false
    }
    guard places.allSatisfy({ $0 == steps.count - 1 }) else {
      throw DefinitionError(unsupported: "ByteLevel before other steps", at: "pre_tokenizer")
    }
    return !places.isEmpty
  }

  // MARK: - The model

  private static func reading(
    _ model: JSONPart, isByteLevel: Bool
  ) throws -> DefinedTokenizer {
    // Files of old versions have no type; only BPE has merges.
    let type = model.type.isEmpty && model["merges"] != nil ? "BPE" : model.type
    guard type == "BPE" || !isByteLevel else {
      throw DefinitionError(unsupported: "ByteLevel with the model \(type)", at: "pre_tokenizer")
    }
    switch type {
    case "BPE": return try reading(bpe: model, isByteLevel: isByteLevel)
    case "WordPiece": return try reading(wordPiece: model)
    case "Unigram": return try reading(unigram: model)
    case "WordLevel": return try reading(wordLevel: model)
    default: throw model.unsupported
    }
  }

  private static func vocabulary(
    _ model: JSONPart
  ) throws -> [(token: [UInt8], id: Int32)] {
    let members = try model.require(model.value["vocab"]?.members, "vocab", "tokens with ids")
    var tokens: [(token: [UInt8], id: Int32)] = []
    for (token, id) in members {
      tokens.append((token, try tokenID(id, at: "\(model.place).vocab")))
    }
    return tokens
  }

  private static func tokenID(
    _ value: JSONValue?, at place: String
  ) throws -> Int32 {
    // A model has a row for each id, so no id is much larger than the number of tokens.
    guard let id = value?.int, (0..<1 << 24).contains(id) else {
      throw DefinitionError(place, expected: "ids from 0 to 2^24 - 1", found: "another")
    }
    return Int32(id)
  }

  private static func reading(
    bpe model: JSONPart, isByteLevel: Bool
  ) throws -> DefinedTokenizer {
    guard model["dropout"]?.value.number ?? 0 == 0 else {
      throw DefinitionError(unsupported: "dropout", at: model.place)
    }
    let tokens = try vocabulary(model)
    let symbols = SymbolTable(tokens)
    var options = BytePairEncoding.Options()
    if let unknown = model.value["unk_token"]?.bytes { options.unknownID = symbols.id(of: unknown) }
    options.prefix = model.value["continuing_subword_prefix"]?.bytes ?? []
    options.suffix = model.value["end_of_word_suffix"]?.bytes ?? []
    options.fusesUnknown = model.flag("fuse_unk", false)
    options.fallsBackToBytes = model.flag("byte_fallback", false)
    options.ignoresMerges = model.flag("ignore_merges", false)
    var merges: [(left: [UInt8], right: [UInt8])] = []
    for merge in try model.parts("merges") {
      merges.append(try self.merge(merge))
    }
    var tokenizer = DefinedTokenizer(
      kind: .bpe,
      model: .bpe(
        try BytePairEncoding(
          symbols: symbols, merges: merges, isByteLevel: isByteLevel, options: options)))
    tokenizer.tokens = tokens
    tokenizer.unknownID = options.unknownID
    tokenizer.continuation = options.prefix
    tokenizer.suffix = options.suffix
    if options.fallsBackToBytes { tokenizer.markBytes(symbols.fallbackSymbols ?? []) }
    return tokenizer
  }

  /// Returns a merge as a list of two tokens or, in files of old versions, as a text with a space in it.
  private static func merge(
    _ merge: JSONPart
  ) throws -> (left: [UInt8], right: [UInt8]) {
    let parts =
      merge.value.array?.compactMap(\.bytes)
      ?? merge.value.bytes.map { $0.split(separator: 0x20).map(Array.init) } ?? []
    guard parts.count == 2 else {
      throw DefinitionError(merge.place, expected: "two tokens", found: "\(parts.count)")
    }
    return (parts[0], parts[1])
  }

  private static func reading(
    wordPiece model: JSONPart
  ) throws -> DefinedTokenizer {
    let tokens = try vocabulary(model)
    let prefix = model.value["continuing_subword_prefix"]?.bytes ?? Array("##".utf8)
    var tokenizer = DefinedTokenizer(
      kind: .wordpiece,
      model: .wordPiece(
        WordPiece(
          tokens: tokens, prefix: prefix,
          maximumLength: model.value["max_input_chars_per_word"]?.int ?? 100)))
    tokenizer.tokens = tokens
    tokenizer.continuation = prefix
    tokenizer.unknownID = SymbolTable(tokens).id(
      of: model.value["unk_token"]?.bytes ?? Array("[UNK]".utf8))
    return tokenizer
  }

  private static func reading(wordLevel model: JSONPart) throws -> DefinedTokenizer {
    let tokens = try vocabulary(model)
    var tokenizer = DefinedTokenizer(
      kind: .wordlevel, model: .lookup(WordLookup(tokens, unit: .part)))
    tokenizer.tokens = tokens
    tokenizer.unknownID = SymbolTable(tokens).id(
      of: model.value["unk_token"]?.bytes ?? Array("<unk>".utf8))
    return tokenizer
  }

  private static func reading(unigram model: JSONPart) throws -> DefinedTokenizer {
    var tokens: [(token: [UInt8], id: Int32)] = []
    var scores: [Double] = []
    for entry in try model.parts("vocab") {
      guard let pair = entry.value.array, pair.count == 2, let token = pair[0].bytes,
        let score = pair[1].number
      else {
        throw DefinitionError(entry.place, expected: "a token and its score", found: "another")
      }
      tokens.append((token, Int32(truncatingIfNeeded: scores.count)))
      scores.append(score)
    }
    let fallback =
      model.flag("byte_fallback", false) ? SymbolTable(tokens).fallbackSymbols : nil
    var tokenizer = DefinedTokenizer(
      kind: .unigram,
      model: .unigram(
        Unigram(
          pieces: tokens, scores: scores, unknownScore: (scores.min() ?? 0) - 10,
          fallback: fallback, isSinglePrecision: false)))
    tokenizer.tokens = tokens
    tokenizer.scores = scores.map { Float($0) }
    if let unknown = model.value["unk_id"] {
      tokenizer.unknownID = try tokenID(unknown, at: "\(model.place).unk_id")
    }
    tokenizer.markBytes(fallback ?? [])
    return tokenizer
  }

  private mutating func markBytes(_ ids: [Int32]) { for id in ids { kinds[id] = .byte } }

  // MARK: - Added tokens

  private mutating func addTokens(of root: JSONPart) throws {
    guard root["added_tokens"] != nil else { return }
    var added: [AddedToken] = []
    let known = Set(tokens.map(\.id))
    for part in try root.parts("added_tokens") {
      var token = AddedToken(
        content: try part.text("content"),
        id: try Self.tokenID(part.value["id"], at: part.place))
      token.isSpecial = part.flag("special", false)
      token.isNormalized = part.flag("normalized", !token.isSpecial)
      token.isSingleWord = part.flag("single_word", false)
      token.stripsLeft = part.flag("lstrip", false)
      token.stripsRight = part.flag("rstrip", false)
      if token.isSpecial { kinds[token.id] = .control }
      if token.isSpecial, token.id == unknownID { unknownText = [] }
      if !known.contains(token.id) { tokens.append((token.content, token.id)) }
      added.append(token)
    }
    if let unknownID { kinds[unknownID] = .unknown }
    addedTokens = AddedTokens(added.filter { !$0.isNormalized })
    addedNormalizedTokens = AddedTokens(
      added.filter(\.isNormalized).map { token in
        var token = token
        let text = token.content.withUnsafeBytes { AlignedText($0, 0..<$0.count) }
        token.content = normalizers.reduce(text) { $1.apply(to: $0) }.bytes
        return token
      })
  }
}
