// Vocabularies from texts.

/// The order in which a trained vocabulary lists its tokens.
public enum VocabularyOrder: String, Sendable, CaseIterable {
  /// As they first appear in the texts.
  case firstSeen = "first-seen"
  /// The most frequent first; those of equal frequency as they first appear.
  case frequency
  /// By their code points, as Python's `sorted` orders texts.
  case sorted
}

/// A way to make a vocabulary of texts.
public struct VocabularyTraining: Sendable {
  /// The way in which the texts are cut into tokens, and whether each line ends with a token.
  public var tokenizer: Tokenizer
  /// The order of the tokens.
  public var order = VocabularyOrder.firstSeen
  /// The token that ends each line, if the tokenizer has one do that.
  public var lineEnd = Vocabulary.endOfSentence
  /// The token that starts each line; `nil` for none of its own.
  public var lineStart: String?
  /// The number of times that a token must be seen to be in the vocabulary.
  public var minimumCount = 1
  /// The most tokens, special ones among them: the most frequent stay.
  public var maximumSize: Int?
  /// `true` if there is the token `<unk>`, for the text that the vocabulary lacks.
  public var hasUnknown = true

  /// Creates a way to make a vocabulary; `tokenizer` is one of `whitespace`, `character` and `byte`.
  public init(tokenizer: Tokenizer = Tokenizer()) { self.tokenizer = tokenizer }
}

extension Vocabulary {
  /// A vocabulary of the tokens of some texts, with their counts.
  ///
  /// In the order of frequency the special tokens come first: `<unk>`, the token that starts lines, and the
  /// one that ends them, `<eos>` unless stated. In the order of first appearance `<unk>` is first, unless a
  /// text has it as a word, and the tokens of lines stand where the first line starts and ends: as in
  /// PyTorch's word_language_model. Those of lines are counted once a line. Neither a minimal count nor a size takes the
  /// special tokens out; the count of `<unk>` is then that of all tokens that were left out.
  ///
  /// - Parameters:
  ///   - paths: The texts, plain or gzip, read in turn.
  ///   - training: The way to make it.
  ///   - progress: Called with the number of bytes read since the last call.
  /// - Throws: `FileError` if a text cannot be opened; `TextError` if one is not UTF-8, but for bytes,
  ///   if there are no tokens, or if tokens of this kind are not made of texts.
  public init(
    trainedOn paths: [String], by training: VocabularyTraining, progress: (Int) -> Void = { _ in }
  ) throws {
    let unit = try training.unit()
    var counter = TokenCounter(training)
    for path in paths {
      var reader = try LineReader(path: path, for: training.tokenizer)
      while let line = try reader.next() {
        if training.tokenizer.kind != .byte { try checkUTF8(line, path: path) }
        counter.add(line)
        progress(line.bytes.count + line.terminatorCount)
      }
    }
    let kept = counter.kept()
    guard !kept.isEmpty, counter.counts.contains(where: { $0 > 0 }) else {
      throw TextError(
        path: paths.last ?? "", line: nil, expected: "a text with tokens", found: "none",
        fix: "give more text, or a lower minimal count")
    }
    self.init(tokens: kept.map { counter.table[$0] }, unit: unit)
    unknownID = counter.unknown.flatMap { kept.firstIndex(of: $0) }
    endOfSentenceID = counter.endOfSentence.flatMap { kept.firstIndex(of: $0) }
    if let start = counter.lineStart { beginningOfSentenceID = kept.firstIndex(of: start) }
    var counts = kept.map { counter.counts[$0] }
    if let unknownID { counts[unknownID] += counter.counts.reduce(0, +) - counts.reduce(0, +) }
    self.counts = counts
  }
}

extension VocabularyTraining {
  fileprivate func unit() throws(TextError) -> TokenUnit {
    switch tokenizer.kind {
    case .whitespace: return .word
    case .character: return .character
    case .byte: return .byte
    case .greedy, .bpe, .wordpiece, .unigram, .wordlevel, .charlevel:
      throw TextError(
        path: tokenizer.kind.rawValue, line: nil,
        expected: "a tokenizer whose tokens are made of texts: whitespace, character or byte",
        found: tokenizer.kind.rawValue, fix: "give a list of tokens, or the tokenizer's own file")
    }
  }
}

/// Counts the tokens of texts.
private struct TokenCounter {
  let training: VocabularyTraining
  var table = TokenTable()
  var counts: [UInt64] = []
  var unknown: Int?
  /// The number of the token that ends lines, once there was a line.
  var endOfSentence: Int?
  /// The number of the token that starts lines, once there was a line.
  var lineStart: Int?

  init(_ training: VocabularyTraining) { self.training = training }

  private mutating func number(_ token: some Sequence<UInt8>) -> Int {
    let number = table.insert(token)
    if number == counts.count { counts.append(0) }
    return number
  }

  private mutating func count(_ token: UnsafeRawBufferPointer) {
    let number = table.insert(token)
    if number == counts.count { counts.append(0) }
    counts[number] += 1
  }

  mutating func add(_ line: TextLine) {
    if let text = training.lineStart {
      let start = lineStart ?? number(text.utf8)
      lineStart = start
      counts[start] += 1
    }
    line.bytes.withUnsafeBytes { bytes in
      switch training.tokenizer.kind {
      case .whitespace:
        WhitespaceWords.forEach(in: bytes) { count(UnsafeRawBufferPointer(rebasing: bytes[$0])) }
      case .character: countCharacters(bytes)
      default:
        for index in bytes.indices {
          count(UnsafeRawBufferPointer(rebasing: bytes[index..<index + 1]))
        }
      }
    }
    guard training.tokenizer.appendsEndOfSentence else { return }
    let end = endOfSentence ?? number(training.lineEnd.utf8)
    endOfSentence = end
    counts[end] += 1
  }

  private mutating func countCharacters(_ bytes: UnsafeRawBufferPointer) {
    let space = training.tokenizer.space.map { Array($0.utf8) }
    var index = 0
    while index < bytes.count {
      let end = index + decodeScalar(bytes, at: index).count
      let character = UnsafeRawBufferPointer(rebasing: bytes[index..<end])
      if let space, bytes[index] == 0x20 {
        space.withUnsafeBytes { count($0) }
      } else if space.map({ !character.elementsEqual($0) }) ?? true {
        count(character)
      }
      index = end
    }
  }

  /// Returns the numbers of the tokens that are in the vocabulary, in its order.
  mutating func kept() -> [Int] {
    let seen = counts.count
    if training.hasUnknown || training.tokenizer.kind == .whitespace {
      let number = number(Vocabulary.unknown.utf8)
      unknown = training.hasUnknown || number < seen ? number : nil
    }
    var special: [Int] = []
    for case let token? in [unknown, lineStart, endOfSentence] where !special.contains(token) {
      special.append(token)
    }
    let all = counts.indices.filter { !special.contains($0) && counts[$0] > 0 }
    let frequent = all.filter { counts[$0] >= training.minimumCount }
    let ordered = frequent.sorted { (counts[$1], $0) < (counts[$0], $1) }
    let limit = max(0, (training.maximumSize ?? .max) - special.count)
    let chosen = ordered.prefix(limit)
    switch training.order {
    case .frequency: return special + chosen
    case .sorted:
      // The bytes of UTF-8 have the order of the code points.
      return (special + chosen).sorted { table[$0].lexicographicallyPrecedes(table[$1]) }
    case .firstSeen: break
    }
    // A token for unknown text that no text has comes first.
    return (special + chosen).sorted { ($0 < seen ? $0 : -1) < ($1 < seen ? $1 : -1) }
  }
}
