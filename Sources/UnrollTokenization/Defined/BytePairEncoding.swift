// Byte-pair encoding: pairs of symbols are merged, the earliest learned first.

/// A model that merges symbols.
struct BytePairEncoding: Sendable {
  /// Options of the model in tokenizer.json.
  struct Options: Sendable {
    var unknownID: Int32?
    var prefix: [UInt8] = []
    var suffix: [UInt8] = []
    var fusesUnknown = false
    var fallsBackToBytes = false
    var ignoresMerges = false
  }

  private let symbols: SymbolTable
  private var merges = PairTable<(rank: Int32, id: Int32)>(empty: (0, 0))
  private let options: Options
  /// The symbols of bytes, where each byte is a character.
  private let byteSymbols: [Int32]?
  private let fallbackSymbols: [Int32]?

  /// Creates a model.
  ///
  /// - Parameters:
  ///   - symbols: The tokens.
  ///   - merges: The pairs, the first learned first.
  ///   - isByteLevel: `true` if the model sees bytes, each as a character.
  ///   - options: The options.
  /// - Throws: `DefinitionError` if a merge is of unknown tokens.
  init(
    symbols: SymbolTable, merges: [(left: [UInt8], right: [UInt8])], isByteLevel: Bool,
    options: Options
  ) throws {
    self.symbols = symbols
    self.options = options
    for (rank, merge) in merges.enumerated() {
      let right =
        merge.right.starts(with: options.prefix)
        ? Array(merge.right.dropFirst(options.prefix.count)) : merge.right
      guard let a = symbols.id(of: merge.left), let b = symbols.id(of: merge.right),
        let merged = symbols.id(of: merge.left + right)
      else {
        throw DefinitionError(
          "merges", expected: "pairs of tokens that together are a token",
          found: "\"\(String(decoding: merge.left + [0x20] + merge.right, as: UTF8.self))\""
            + " at \(rank)")
      }
      self.merges.set(SymbolPair(a, b), to: (Int32(rank), merged))
    }
    byteSymbols =
      isByteLevel
      ? ByteLevel.characters.map { symbols.id(of: Array(String($0).utf8)) ?? EncodedLine.noToken }
      : nil
    let fallback = options.fallsBackToBytes ? symbols.fallbackSymbols : nil
    fallbackSymbols = fallback
  }

  /// Returns the tokens of a piece of text.
  func encode(_ piece: UnsafeRawBufferPointer) -> [Piece] {
    if options.ignoresMerges, let id = whole(piece) { return [Piece(id: id, end: piece.count)] }
    var word = MergingWord(
      byteSymbols.map { symbols in
        piece.enumerated().map { Piece(id: symbols[Int($1)], end: $0 + 1) }
      } ?? characters(of: piece))
    word.merge { a, b in a >= 0 && b >= 0 ? merges[SymbolPair(a, b)] : nil }
    return word.pieces
  }

  private func whole(_ piece: UnsafeRawBufferPointer) -> Int32? {
    guard byteSymbols != nil else { return symbols.id(of: piece) }
    return symbols.id(of: piece.flatMap { Array(String(ByteLevel.characters[Int($0)]).utf8) })
  }

  /// Returns the symbols that a piece begins with: its characters.
  private func characters(of piece: UnsafeRawBufferPointer) -> [Piece] {
    var result: [Piece] = []
    var index = 0
    while index < piece.count {
      let end = index + decodeScalar(piece, at: index).count
      let character = Array(piece[index..<end])
      var symbol = index > 0 ? options.prefix + character : character
      if end == piece.count { symbol += options.suffix }
      if let id = symbols.id(of: symbol) {
        result.append(Piece(id: id, end: end))
      } else if let bytes = fallbackSymbols {
        for offset in index..<end {
          result.append(Piece(id: bytes[Int(piece[offset])], end: offset + 1))
        }
      } else if options.fusesUnknown, let last = result.last, last.id == EncodedLine.noToken {
        result[result.count - 1].end = end
      } else {
        result.append(Piece(id: EncodedLine.noToken, end: end))
      }
      index = end
    }
    return result
  }
}

/// Tokens by their bytes.
struct SymbolTable: Sendable {
  private var table = TokenTable()
  private var ids: [Int32] = []

  /// Creates a table; of equal tokens the last wins, as in a dictionary of Python.
  init(_ tokens: some Sequence<(token: [UInt8], id: Int32)>) {
    for (token, id) in tokens {
      let index = table.insert(token)
      if index == ids.count { ids.append(id) } else { ids[index] = id }
    }
  }

  func id(of token: UnsafeRawBufferPointer) -> Int32? { table.index(of: token).map { ids[$0] } }

  func id(of token: [UInt8]) -> Int32? { token.withUnsafeBytes { id(of: $0) } }

  /// The tokens `<0x00>` to `<0xFF>`, if all are there.
  var fallbackSymbols: [Int32]? {
    let symbols = (UInt8.min...UInt8.max).compactMap { byte in
      let digits = String(byte, radix: 16, uppercase: true)
      return id(of: Array("<0x\(byte < 16 ? "0" : "")\(digits)>".utf8))
    }
    return symbols.count == 256 ? symbols : nil
  }
}
