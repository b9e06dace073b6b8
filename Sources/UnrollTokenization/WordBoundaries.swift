// Tokens that show where words begin and end.

/// The marking of word boundaries by the tokens of a vocabulary, and the tokens that end the word before them.
///
/// Pimentel and Meister (2024), "How to Compute the Probability of a Word"; Oh and Schuler (2024), "Leading
/// Whitespaces of Language Models' Subword Vocabulary Pose a Confound for Calculating Word Probabilities".
public struct WordBoundaries: Sendable {
  /// The ways in which tokens show where words begin and end.
  public enum Marking: Sendable {
    /// Each token is a word.
    case words
    /// White space is tokens of its own, as for characters and bytes.
    case separators
    /// The first token of a word begins with white space or a sign for it: GPT-2's `Ġ`, SentencePiece's `▁`.
    case prefixes
    /// Tokens that continue a word are marked: WordPiece's `##`.
    case continuations
    /// The last token of a word is marked, as by `</w>`.
    case suffixes
    /// Tokens do not show it.
    case none
  }

  /// The marking of this vocabulary.
  public let marking: Marking
  /// The tokens that end the word before them, ascending.
  ///
  /// These are tokens that are or begin with white space or a sign for it, or that do not continue a word, and
  /// the end-of-sentence token. The list is empty if no total of them is needed: the last token of a word marks
  /// its end, or no token does.
  public let ids: [Int32]
  private var beginsWord: Set<Int32> = []
  /// The tokens that end with white space after other text.
  private var closesWord: Set<Int32> = []

  /// `true` if a word ends before a token.
  public func endsWord(before id: Int32) -> Bool { beginsWord.contains(id) }

  /// `true` if a token contains the end of its word.
  public func closesWord(_ id: Int32) -> Bool { closesWord.contains(id) }

  /// Finds the boundaries of an encoder's vocabulary.
  fileprivate init(_ encoder: Encoder) {
    let vocabulary = encoder.vocabulary
    guard let signs = encoder.boundarySigns else {
      marking = .words
      ids = []
      return
    }
    var separators: [Int32] = []
    var prefixed: [Int32] = []
    for id in vocabulary.indices where vocabulary.standsForText(id) || signs.bytes.contains(id) {
      let text = signs.text(of: id, vocabulary)
      let spaces = text.withUnsafeBytes { WhitespaceWords.ends(in: $0) }
      if spaces.isAll {
        separators.append(Int32(id))
      } else {
        if spaces.begins { prefixed.append(Int32(id)) }
        if spaces.ends { closesWord.insert(Int32(id)) }
      }
    }
    var found: [Int32] = []
    if !signs.suffix.isEmpty {
      marking = .suffixes
    } else if !signs.continuation.isEmpty {
      marking = .continuations
      found = vocabulary.indices.filter { !vocabulary[$0].starts(with: signs.continuation) }
        .map { Int32($0) }
    } else if !prefixed.isEmpty {
      marking = .prefixes
      found = separators + prefixed
    } else if signs.isDefined && separators.isEmpty && closesWord.isEmpty {
      marking = .none
    } else {
      marking = .separators
      found = separators
    }
    beginsWord = Set(found)
    if let end = vocabulary.endOfSentenceID, marking != .suffixes, marking != .none {
      beginsWord.insert(Int32(end))
    }
    ids = beginsWord.sorted()
  }
}

extension Encoder {
  /// The way in which tokens show where words begin and end.
  public var wordBoundaries: WordBoundaries { WordBoundaries(self) }

  /// The signs of this tokenizer; `nil` where each token is a word.
  fileprivate var boundarySigns: BoundarySigns? {
    var signs = BoundarySigns()
    switch algorithm {
    case .whitespace: return nil
    case .characters: if let space = tokenizer.space { signs.exact = Array(space.utf8) }
    case .bytes, .greedy: break
    case .defined(let defined):
      guard !defined.hasWholeWords else { return nil }
      signs = BoundarySigns(defined)
    }
    return signs
  }
}

/// The signs by which tokens show white space and the parts of words.
private struct BoundarySigns {
  /// `true` if a file of another program defines the tokenizer.
  var isDefined = false
  /// The token that stands for a space, where it is a token of its own.
  var exact: [UInt8] = []
  /// Texts in tokens that stand for a space.
  var spaces: [[UInt8]] = []
  /// `true` if each character of a token is a byte.
  var isByteLevel = false
  /// Tokens such as `<0x20>`, which are bytes.
  var bytes: Set<Int> = []
  /// The text that tokens begin with that continue a word.
  var continuation: [UInt8] = []
  /// The text that tokens end with that end a word.
  var suffix: [UInt8] = []

  init() {}

  init(_ defined: DefinedTokenizer) {
    isDefined = true
    continuation = defined.continuation
    suffix = defined.suffix
    bytes = Set(defined.kinds.filter { $0.value == .byte }.keys.map { Int($0) })
    for case .metaspace(let sign, _, _) in defined.preTokenizers { spaces.append(sign) }
    for case .byteLevel in defined.preTokenizers { isByteLevel = true }
    for decoder in defined.decoders {
      switch decoder {
      case .byteLevel: isByteLevel = true
      case .metaspace(let sign, _): spaces.append(sign)
      case .sentencePiece: spaces.append(SentencePieceModel.sign)
      case .replace(let sign, [0x20]): spaces.append(sign)
      default: break
      }
    }
  }

  /// Returns the text that a token stands for, within a line.
  func text(of id: Int, _ vocabulary: Vocabulary) -> [UInt8] {
    let token = Array(vocabulary[id])
    if !exact.isEmpty && token == exact { return [0x20] }
    if bytes.contains(id), let byte = TokenDecoder.fallbackByte(token) { return [byte] }
    if isByteLevel { return ByteLevel.bytes(of: token) ?? token }
    return spaces.reduce(token) { $0.replacing($1, with: [0x20]) }
  }
}

extension WhitespaceWords {
  /// `true` if some text begins with, ends with, or is white space; each `false` for an empty text.
  fileprivate static func ends(
    in text: UnsafeRawBufferPointer
  ) -> (begins: Bool, ends: Bool, isAll: Bool) {
    let words = ranges(in: text)
    guard let first = words.first, let last = words.last else {
      return (!text.isEmpty, !text.isEmpty, !text.isEmpty)
    }
    return (first.lowerBound > 0, last.upperBound < text.count, false)
  }
}
