// Tokens that are found in a text before anything else: the added tokens of tokenizer.json.

/// A token that no model cuts.
struct AddedToken: Sendable {
  var content: [UInt8]
  var id: Int32
  var isSpecial = false
  /// `true` if it is searched for after normalisation.
  var isNormalized = false
  /// `true` if it is only found as a word.
  var isSingleWord = false
  /// `true` if it takes the white space before it.
  var stripsLeft = false
  /// `true` if it takes the white space after it.
  var stripsRight = false
}

/// Added tokens, found all at once.
struct AddedTokens: Sendable {
  private let tokens: [AddedToken]
  private let trie: TokenTrie
  private var firstBytes = [Bool](repeating: false, count: 256)

  /// Creates a set; the trie has each token's index in `tokens`.
  init(_ tokens: [AddedToken]) {
    self.tokens = tokens
    trie = TokenTrie(tokens.enumerated().map { ($1.content[...], Int32($0)) })
    for token in tokens { if let first = token.content.first { firstBytes[Int(first)] = true } }
  }

  /// A part of a text: a token, or what lies between tokens.
  struct Part {
    var range: Range<Int>
    /// The token's id, or `nil` between tokens.
    var id: Int32?
  }

  /// Cuts a text at the tokens: from left to right, of several at one place the longest.
  func parts(of text: UnsafeRawBufferPointer) -> [Part] {
    var parts: [Part] = []
    var start = 0
    var index = 0
    while index < text.count {
      guard firstBytes[Int(text[index])], let match = trie.longestPrefix(of: text, at: index)
      else {
        index += 1
        continue
      }
      let token = tokens[Int(match.id)]
      if !token.isSingleWord || isWord(text, index..<match.end) {
        let tokenStart = token.stripsLeft ? spaceStart(text, before: index, from: start) : index
        let end = token.stripsRight ? spaceEnd(text, after: match.end) : match.end
        if start < tokenStart { parts.append(Part(range: start..<tokenStart)) }
        parts.append(Part(range: tokenStart..<end, id: token.id))
        start = end
        index = max(end, match.end)
      } else {
        index = match.end
      }
    }
    if start < text.count { parts.append(Part(range: start..<text.count)) }
    return parts
  }

  private func isWord(_ text: UnsafeRawBufferPointer, _ range: Range<Int>) -> Bool {
    let before = scalarStart(text, before: range.lowerBound)
    let isInWord = before < range.lowerBound && classes(text, before).contains(.word)
    let goesOn = range.upperBound < text.count && classes(text, range.upperBound).contains(.word)
    return !isInWord && !goesOn
  }

  private func classes(_ text: UnsafeRawBufferPointer, _ index: Int) -> ScalarClasses {
    ScalarClasses(of: decodeScalar(text, at: index).scalar)
  }

  /// Returns the start of the scalar before an index.
  private func scalarStart(_ text: UnsafeRawBufferPointer, before index: Int) -> Int {
    var start = index
    while start > 0 {
      start -= 1
      if text[start] & 0xC0 != 0x80 { break }
    }
    return start
  }

  private func spaceStart(
    _ text: UnsafeRawBufferPointer, before index: Int, from limit: Int
  ) -> Int {
    var index = index
    while index > limit {
      let start = scalarStart(text, before: index)
      guard start >= limit, classes(text, start).contains(.space) else { break }
      index = start
    }
    return index
  }

  private func spaceEnd(_ text: UnsafeRawBufferPointer, after index: Int) -> Int {
    var index = index
    while index < text.count, classes(text, index).contains(.space) {
      index += decodeScalar(text, at: index).count
    }
    return index
  }
}
