// The file tokenizer.json of the library tokenizers.

import Foundation

/// A part of the file.
private struct JSONPart {
  let place: String
  let value: JSONValue

  var type: String { value["type"]?.text ?? "" }

  subscript(key: String) -> JSONPart? {
    value[key].map { JSONPart(place: "\(place).\(key)", value: $0) }
  }

  /// The parts of a list.
  func parts(_ key: String) throws -> [JSONPart] {
    let list = try require(value[key]?.array, key, "a list")
    return list.enumerated().map { JSONPart(place: "\(place).\(key)[\($0)]", value: $1) }
  }

  func require<Value>(
    _ value: Value?, _ key: String, _ expected: String
  ) throws -> Value {
    guard let value else {
      throw DefinitionError("\(place).\(key)", expected: expected, found: "something else")
    }
    return value
  }

  func text(_ key: String) throws -> [UInt8] {
    try require(value[key]?.bytes, key, "a text")
  }

  /// A small number, 0 unless told.
  func count(_ key: String) throws -> Int {
    let count = value[key]?.int ?? 0
    return try require((0...1000).contains(count) ? count : nil, key, "a small number")
  }

  func flag(_ key: String, _ standard: Bool) -> Bool { value[key]?.bool ?? standard }

  var unsupported: DefinitionError {
    DefinitionError(unsupported: type.isEmpty ? "a part without a type" : type, at: place)
  }

  /// A pattern that is a literal or a regular expression.
  func pattern() throws -> TextPattern {
    let pattern = try require(value["pattern"], "pattern", "a pattern")
    if let literal = pattern["String"]?.bytes { return .literal(literal) }
    let regex = try require(pattern["Regex"]?.text, "pattern", "String or Regex")
    do {
      return try TextPattern(regex: regex)
    } catch {
      throw DefinitionError(
        unsupported: "\(error.construct) in the regular expression \(regex)",
        at: "\(place).pattern")
    }
  }

  func behavior() throws -> CutBehavior {
    let name = value["behavior"]?.text ?? CutBehavior.isolated.rawValue
    return try require(CutBehavior(rawValue: name), "behavior", "a behavior of a split")
  }
}

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

  /// Whether the model sees bytes: then that must be the last step of cutting.
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

  /// A merge as a list of two tokens or, in files of old versions, as a text with a space in it.
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

  // MARK: - Steps

  private static func normalizers(_ part: JSONPart) throws -> [Normalizer] {
    if let form = Normalizer.NormalForm(rawValue: part.type) { return [.form(form)] }
    switch part.type {
    case "Sequence":
      var steps: [Normalizer] = []
      for step in try part.parts("normalizers") { steps += try normalizers(step) }
      return steps
    case "Lowercase": return [.lowercase]
    case "StripAccents": return [.removing(.mark)]
    case "Strip":
      return [.strip(left: part.flag("strip_left", true), right: part.flag("strip_right", true))]
    case "Replace": return [.replace(try part.pattern(), try part.text("content"))]
    case "Prepend": return [.prepend(try part.text("prepend"))]
    case "Nmt": return [.nmt]
    case "Precompiled":
      return [
        .characterMap(try CharacterMap(try part.base64("precompiled_charsmap"), at: part.place))
      ]
    case "BertNormalizer":
      let lowercases = part.flag("lowercase", true)
      return (part.flag("clean_text", true) ? [.clean] : [])
        + (part.flag("handle_chinese_chars", true) ? [.isolatingChinese] : [])
        + (part.flag("strip_accents", lowercases) ? [.form(.nfd), .removing(.nonspacingMark)] : [])
        + (lowercases ? [.lowercase] : [])
    default: throw part.unsupported
    }
  }

  private static func preTokenizers(_ part: JSONPart) throws -> [PreTokenizer] {
    switch part.type {
    case "Sequence":
      var steps: [PreTokenizer] = []
      for step in try part.parts("pretokenizers") { steps += try preTokenizers(step) }
      return steps
    case "ByteLevel":
      return [
        .byteLevel(
          addsSpace: part.flag("add_prefix_space", true), cuts: part.flag("use_regex", true))
      ]
    case "Metaspace":
      let (sign, prefix) = try metaspace(part)
      return [.metaspace(sign: sign, prepends: prefix, cuts: part.flag("split", true))]
    case "Whitespace": return [.cut(.words, .removed, inverted: true)]
    case "WhitespaceSplit": return [.cut(.scalar(.space), .removed, inverted: false)]
    case "BertPreTokenizer":
      return [
        .cut(.scalar(.space), .removed, inverted: false),
        .cut(.scalar(.punctuation), .isolated, inverted: false),
      ]
    case "Punctuation":
      return [.cut(.scalar(.punctuation), try part.behavior(), inverted: false)]
    case "Digits":
      let behavior = part.flag("individual_digits", false) ? CutBehavior.isolated : .contiguous
      return [.cut(.scalar(.number), behavior, inverted: false)]
    case "CharDelimiterSplit":
      return [.cut(.literal(try part.text("delimiter")), .removed, inverted: false)]
    case "Split":
      return [.cut(try part.pattern(), try part.behavior(), inverted: part.flag("invert", false))]
    default: throw part.unsupported
    }
  }

  private static func metaspace(
    _ part: JSONPart
  ) throws -> (sign: [UInt8], MetaspacePrefix) {
    // Files of old versions say only whether there is a prefix.
    let old = part.flag("add_prefix_space", true) ? "always" : "never"
    let name = part.value["prepend_scheme"]?.text ?? old
    return (
      try part.text("replacement"),
      try part.require(MetaspacePrefix(rawValue: name), "prepend_scheme", "a scheme")
    )
  }

  private static func decoders(_ part: JSONPart) throws -> [TokenDecoder] {
    switch part.type {
    case "Sequence":
      var steps: [TokenDecoder] = []
      for step in try part.parts("decoders") { steps += try decoders(step) }
      return steps
    case "ByteLevel": return [.byteLevel]
    case "WordPiece":
      return [
        .wordPiece(
          prefix: try part.text("prefix"), cleansUp: part.flag("cleanup", true))
      ]
    case "Metaspace":
      let (sign, prefix) = try metaspace(part)
      return [.metaspace(sign: sign, dropsFirst: prefix != .never)]
    case "BPEDecoder": return [.suffix(try part.text("suffix"))]
    case "ByteFallback": return [.byteFallback]
    case "Fuse": return [.fuse]
    case "Strip":
      return [
        .strip(
          try part.text("content"), start: try part.count("start"), stop: try part.count("stop"))
      ]
    case "Replace":
      guard case .literal(let old) = try part.pattern() else {
        throw DefinitionError(unsupported: "Replace of a regular expression", at: part.place)
      }
      return [.replace(old, try part.text("content"))]
    default: throw part.unsupported
    }
  }
}

extension JSONPart {
  fileprivate func base64(_ key: String) throws -> [UInt8] {
    let text = String(decoding: try text(key), as: UTF8.self)
    return Array(try require(Data(base64Encoded: text), key, "base64"))
  }
}
