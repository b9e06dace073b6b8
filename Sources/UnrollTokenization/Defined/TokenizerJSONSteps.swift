// The steps of a tokenizer.json: normalizers, pre-tokenizers and decoders.

extension DefinedTokenizer {
  /// Returns the steps that change a text.
  ///
  /// - Throws: `DefinitionError` for one that this version does not have.
  static func normalizers(_ part: JSONPart) throws -> [Normalizer] {
    if let form = NormalForm(rawValue: part.type) { return [.form(form)] }
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

  /// Returns the steps that cut a text.
  ///
  /// - Throws: `DefinitionError` for one that this version does not have.
  static func preTokenizers(_ part: JSONPart) throws -> [PreTokenizer] {
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

  /// Returns the steps that make text of tokens.
  ///
  /// - Throws: `DefinitionError` for one that this version does not have.
  static func decoders(_ part: JSONPart) throws -> [TokenDecoder] {
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
