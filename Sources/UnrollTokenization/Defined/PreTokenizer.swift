// Cutting of a text before the model sees it: the pre-tokenizers of tokenizer.json.

/// A text and the parts that it is cut into.
struct PreTokenizedText {
  var text: AlignedText
  /// The parts; none is empty.
  var parts: [Range<Int>]
  /// `true` if the text begins at the start of the line.
  let isFirst: Bool
  /// `true` if an expression needed more steps than are allowed: the parts are not the right ones.
  private(set) var isExhausted = false

  init(_ text: AlignedText, isFirst: Bool) {
    self.text = text
    self.isFirst = isFirst
    parts = text.isEmpty ? [] : [0..<text.bytes.count]
  }

  /// Rewrites each part.
  mutating func rewrite(_ body: (AlignedText, _ isFirst: Bool) -> AlignedText) {
    var result = AlignedText()
    parts = parts.compactMap { part in
      let start = result.bytes.count
      let new = body(text.part(part), isFirst && part.lowerBound == 0)
      result.append(new, 0..<new.bytes.count)
      return new.isEmpty ? nil : start..<result.bytes.count
    }
    text = result
  }

  /// Cuts each part where a pattern matches.
  mutating func cut(at pattern: TextPattern, _ behavior: CutBehavior, inverted: Bool = false) {
    var pieces = CutPieces(behavior)
    text.bytes.withUnsafeBytes { bytes in
      for part in parts {
        pieces.beginPart()
        var index = part.lowerBound
        let isComplete = pattern.forEachMatch(in: bytes, part) { match in
          if index < match.lowerBound { pieces.add(index..<match.lowerBound, isMatch: inverted) }
          pieces.add(match, isMatch: !inverted)
          index = match.upperBound
        }
        if !isComplete { isExhausted = true }
        if index < part.upperBound { pieces.add(index..<part.upperBound, isMatch: inverted) }
      }
    }
    parts = pieces.ranges
  }
}

/// The treatment of the matches at which a text is cut.
enum CutBehavior: String, Sendable {
  case removed = "Removed"
  case isolated = "Isolated"
  case mergedWithPrevious = "MergedWithPrevious"
  case mergedWithNext = "MergedWithNext"
  case contiguous = "Contiguous"
}

/// Collects the pieces of parts.
private struct CutPieces {
  private(set) var ranges: [Range<Int>] = []
  private let behavior: CutBehavior
  /// The number of pieces before this part.
  private var start = 0
  /// `true` if the last piece of this part was a match; `nil` before its first piece.
  private var wasMatch: Bool?

  init(_ behavior: CutBehavior) { self.behavior = behavior }

  mutating func beginPart() { (start, wasMatch) = (ranges.count, nil) }

  mutating func add(_ range: Range<Int>, isMatch: Bool) {
    let joins =
      switch behavior {
      case .removed, .isolated: false
      case .contiguous: wasMatch == isMatch
      case .mergedWithPrevious: isMatch && wasMatch == false
      case .mergedWithNext: !isMatch && wasMatch == true
      }
    wasMatch = isMatch
    if behavior == .removed && isMatch { return }
    if joins && ranges.count > start {
      ranges[ranges.count - 1] = ranges[ranges.count - 1].lowerBound..<range.upperBound
    } else {
      ranges.append(range)
    }
  }
}

/// One step of cutting.
enum PreTokenizer: Sendable {
  /// Cuts at a pattern; inverted, at the text between its matches.
  case cut(TextPattern, CutBehavior, inverted: Bool)
  /// A space in front of each part, and GPT-2's pattern; the model then takes each byte as a character.
  case byteLevel(addsSpace: Bool, cuts: Bool)
  /// A sign for each space, and one as a prefix.
  case metaspace(sign: [UInt8], prepends: MetaspacePrefix, cuts: Bool)

  /// Changes and cuts a text.
  func apply(to text: inout PreTokenizedText) {
    switch self {
    case .cut(let pattern, let behavior, let inverted):
      text.cut(at: pattern, behavior, inverted: inverted)
    case .byteLevel(let addsSpace, let cuts):
      if addsSpace {
        text.rewrite { part, _ in part.bytes.first == 0x20 ? part : part.prepending([0x20]) }
      }
      if cuts { text.cut(at: .gpt2, .isolated) }
    case .metaspace(let sign, let prefix, let cuts):
      text.rewrite { part, isFirst in
        let signed = part.replacing(.literal([0x20]), with: sign)
        let isWanted = prefix == .always || (prefix == .first && isFirst)
        return isWanted && !signed.bytes.starts(with: sign) ? signed.prepending(sign) : signed
      }
      if cuts { text.cut(at: .literal(sign), .mergedWithNext) }
    }
  }
}

/// The parts of a text that get a sign for a space as a prefix.
enum MetaspacePrefix: String, Sendable {
  case always
  case first
  case never
}
