// From token ids back to text.

extension Encoder {
  /// Returns the text that tokens stand for: of ids that `encode` made of a line in its normal form, that line.
  ///
  /// Words are joined by a space. The token that ends lines becomes `\n`. Tokens for other places in a
  /// text and ids outside the vocabulary give nothing, the unknown token gives its own name, or what
  /// the program gives for it whose file defines the tokenizer.
  public func text(of ids: some Sequence<Int32>) -> [UInt8] {
    var text: [UInt8] = []
    var line: [Int] = []
    for id in ids where vocabulary.indices.contains(Int(id)) {
      guard id == endOfSentenceID else {
        line.append(Int(id))
        continue
      }
      text += textOfLine(line) + [UInt8(ascii: "\n")]
      line.removeAll()
    }
    return text + textOfLine(line)
  }

  private func textOfLine(_ ids: [Int]) -> [UInt8] {
    if case .defined(let defined) = algorithm { return defined.text(of: ids, vocabulary) }
    let ids = ids.filter { vocabulary.standsForText($0) || $0 == vocabulary.unknownID }
    switch algorithm {
    case .whitespace: return Array(ids.map { vocabulary[$0] }.joined(separator: [0x20]))
    case .characters:
      return ids.flatMap { id in
        tokenizer.space.map { vocabulary[id].elementsEqual($0.utf8) } == true
          ? [0x20] : vocabulary[id]
      }
    case .bytes, .greedy, .defined: return ids.flatMap { vocabulary[$0] }
    }
  }
}

extension Vocabulary {
  /// The ids.
  public var indices: Range<Int> { 0..<count }
}
