// SentencePiece's table of replacements for characters and short sequences of them.

/// A compiled table, `precompiled_charsmap`: a double-array trie of the replaced texts, and their
/// replacements, each ended by NUL.
struct CharacterMap: Sendable {
  private var units: [UInt32] = []
  private var texts: [UInt8] = []

  /// Reads a table.
  ///
  /// - Throws: `DefinitionError` if its sizes do not fit.
  init(_ blob: [UInt8], at place: String) throws {
    func word(_ offset: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(blob[offset + $1]) << (8 * UInt32($1)) }
    }
    guard blob.count >= 4, Int(word(0)) <= blob.count - 4, word(0) % 4 == 0 else {
      throw DefinitionError(
        place, expected: "a table of replacements", found: "\(blob.count) bytes that are none")
    }
    let size = Int(word(0))
    units = stride(from: 4, to: 4 + size, by: 4).map(word)
    texts = Array(blob[(4 + size)...])
  }

  /// Calls a closure with each key with which a text continues, the shortest first.
  ///
  /// The units are those of the library Darts-clone.
  private func forEachKey(
    _ text: UnsafeRawBufferPointer, at start: Int, _ body: (_ value: Int, _ end: Int) -> Void
  ) {
    func offset(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & 0x200) >> 6)) }
    guard let root = units.first else { return }
    var node = offset(root)
    for index in start..<text.count {
      node ^= Int(text[index])
      guard units.indices.contains(node), units[node] & 0x8000_00FF == UInt32(text[index]) else {
        return
      }
      let unit = units[node]
      node ^= offset(unit)
      if unit & 0x100 != 0, units.indices.contains(node) {
        body(Int(units[node] & 0x7FFF_FFFF), index + 1)
      }
    }
  }

  private func replacement(_ value: Int) -> ArraySlice<UInt8> {
    guard value < texts.count else { return [] }
    return texts[value...].prefix { $0 != 0 }
  }

  /// Returns the replacement of the longest key with which a text continues.
  func longestReplacement(
    _ text: UnsafeRawBufferPointer, at start: Int
  ) -> (ArraySlice<UInt8>, end: Int)? {
    var longest: (value: Int, end: Int)?
    forEachKey(text, at: start) { longest = ($0, $1) }
    return longest.map { (replacement($0.value), $0.end) }
  }

  /// Returns the text with each grapheme cluster of less than six bytes, or else each scalar, replaced by the
  /// replacement of the first key that it begins with: the library tokenizers uses the table in this way.
  func normalizedByCharacter(_ text: AlignedText) -> AlignedText {
    var result = AlignedText()
    var index = 0
    for character in String(decoding: text.bytes, as: UTF8.self) {
      let count = character.utf8.count
      let bytes = text.bytes[index..<index + count]
      if count < 6, let replacement = firstReplacement(Array(bytes)) {
        result.append(replacement, end: text.ends[index + count - 1])
      } else {
        var start = index
        for scalar in character.unicodeScalars {
          let scalarBytes = text.bytes[start..<start + UTF8.width(scalar)]
          start += scalarBytes.count
          result.append(
            firstReplacement(Array(scalarBytes)) ?? scalarBytes, end: text.ends[start - 1])
        }
      }
      index += count
    }
    return result
  }

  private func firstReplacement(_ key: [UInt8]) -> ArraySlice<UInt8>? {
    var first: Int?
    key.withUnsafeBytes { forEachKey($0, at: 0) { value, _ in first = first ?? value } }
    return first.map(replacement)
  }
}
