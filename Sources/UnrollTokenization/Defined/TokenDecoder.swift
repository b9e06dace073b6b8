// From tokens back to text: the decoders of tokenizer.json.

/// One step of decoding: tokens in, tokens out; the tokens after the last step are joined.
enum TokenDecoder: Sendable {
  /// Each character is a byte.
  case byteLevel
  /// Tokens that begin with a prefix go on with a word; the others follow a space.
  case wordPiece(prefix: [UInt8], cleansUp: Bool)
  /// A sign for a space, none at the start of a text.
  case metaspace(sign: [UInt8], dropsFirst: Bool)
  /// SentencePiece's sign for a space; one at the start of a text may be left out.
  case sentencePiece(dropsFirst: Bool)
  /// A suffix ends a word.
  case suffix([UInt8])
  /// Tokens such as `<0xE3>` are bytes.
  case byteFallback
  /// All tokens become one.
  case fuse
  /// A character is left out at the start and the end of each token, so often at most.
  case strip([UInt8], start: Int, stop: Int)
  /// A text in each token is replaced.
  case replace([UInt8], [UInt8])
  /// Tokens are joined by spaces.
  case spaces

  /// Decodes tokens.
  func apply(to tokens: [[UInt8]]) -> [[UInt8]] {
    switch self {
    case .byteLevel: [tokens.flatMap { ByteLevel.bytes(of: $0) ?? $0 }]
    case .wordPiece(let prefix, let cleansUp):
      tokens.enumerated().map { index, token in
        var token = token
        if index > 0 {
          token =
            token.starts(with: prefix) ? Array(token.dropFirst(prefix.count)) : [0x20] + token
        }
        return cleansUp ? Self.cleanedUp(token) : token
      }
    case .metaspace(let sign, let dropsFirst):
      tokens.enumerated().map { index, token in
        token.replacing(sign, with: index == 0 && dropsFirst ? [] : [0x20])
      }
    case .sentencePiece(let dropsFirst):
      tokens.enumerated().map { index, token in
        let isDropped = index == 0 && dropsFirst && token.starts(with: SentencePieceModel.sign)
        return (isDropped ? Array(token.dropFirst(3)) : token)
          .replacing(SentencePieceModel.sign, with: [0x20])
      }
    case .suffix(let suffix):
      tokens.enumerated().map { index, token in
        token.replacing(suffix, with: index == tokens.count - 1 ? [] : [0x20])
      }
    case .byteFallback: Self.fallenBack(tokens)
    case .fuse: [tokens.flatMap { $0 }]
    case .strip(let character, let start, let stop):
      tokens.map { token in
        var rest = token[...]
        for _ in 0..<start where rest.starts(with: character) {
          rest = rest.dropFirst(character.count)
        }
        for _ in 0..<stop where rest.suffix(character.count) == character[...] {
          rest = rest.dropLast(character.count)
        }
        return Array(rest)
      }
    case .replace(let old, let new): tokens.map { $0.replacing(old, with: new) }
    case .spaces: [Array(tokens.joined(separator: [0x20]))]
    }
  }

  /// Bytes that together are UTF-8 give that text, others U+FFFD each.
  private static func fallenBack(_ tokens: [[UInt8]]) -> [[UInt8]] {
    var result: [[UInt8]] = []
    var bytes: [UInt8] = []
    func flush() {
      guard !bytes.isEmpty else { return }
      let isText = String(validating: bytes, as: UTF8.self) != nil
      result += isText ? [bytes] : bytes.map { _ in [0xEF, 0xBF, 0xBD] }
      bytes = []
    }
    for token in tokens {
      if let byte = fallbackByte(token) {
        bytes.append(byte)
      } else {
        flush()
        result.append(token)
      }
    }
    flush()
    return result
  }

  /// Returns the byte that a token such as `<0xE3>` stands for.
  static func fallbackByte(_ token: some Collection<UInt8>) -> UInt8? {
    let text = String(decoding: token, as: UTF8.self)
    guard text.utf8.count == 6, text.hasPrefix("<0x"), text.hasSuffix(">") else { return nil }
    return UInt8(text.dropFirst(3).dropLast(), radix: 16)
  }

  /// Without the spaces that a tokenizer put around English punctuation.
  private static func cleanedUp(_ token: [UInt8]) -> [UInt8] {
    let pairs = [
      (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
      (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
    ]
    return pairs.reduce(token) { $0.replacing(Array($1.0.utf8), with: Array($1.1.utf8)) }
  }
}
