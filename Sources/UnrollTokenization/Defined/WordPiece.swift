// WordPiece: the longest token a word begins with, then the longest that continues it.

/// A model that cuts words greedily.
struct WordPiece: Sendable {
  private let beginnings: TokenTrie
  private let continuations: TokenTrie
  private let maximumLength: Int

  /// Creates a model.
  ///
  /// - Parameters:
  ///   - tokens: The tokens with their ids.
  ///   - prefix: The prefix of tokens that continue a word.
  ///   - maximumLength: The most characters of a word that is not unknown as a whole.
  init(tokens: [(token: [UInt8], id: Int32)], prefix: [UInt8], maximumLength: Int) {
    beginnings = TokenTrie(tokens.map { ($0.token[...], $0.id) })
    continuations = TokenTrie(
      tokens.filter { $0.token.starts(with: prefix) }
        .map { ($0.token.dropFirst(prefix.count), $0.id) })
    self.maximumLength = maximumLength
  }

  /// Returns the tokens of a word; it is unknown as a whole if it cannot be cut.
  func encode(_ word: UnsafeRawBufferPointer) -> [Piece] {
    let unknown = [Piece(id: EncodedLine.noToken, end: word.count)]
    // The bytes of UTF-8 that begin a character.
    guard word.count(where: { $0 & 0xC0 != 0x80 }) <= maximumLength else { return unknown }
    var pieces: [Piece] = []
    var index = 0
    while index < word.count {
      let trie = index == 0 ? beginnings : continuations
      guard let (id, end) = trie.longestPrefix(of: word, at: index) else { return unknown }
      pieces.append(Piece(id: id, end: end))
      index = end
    }
    return pieces
  }
}
