// Byte-level BPE learned from texts: the same tokens and merges as the trainer of the library
// tokenizers gives.

import UnrollTensors

/// The settings of learning byte-level BPE from texts.
///
/// As the library tokenizers does with `BpeTrainer` and `ByteLevel(add_prefix_space=False)`: a text is
/// read line by line and cut by GPT-2's pattern, and again and again the pair of neighbouring symbols
/// that is there most often becomes a token; of equally frequent ones the pair whose first symbol, then
/// whose second has the least id.
public struct BytePairTraining: Sendable {
  /// The most tokens; the 256 bytes and the special token are among them.
  public var maximumSize: Int
  /// The number of times that a pair must be there to become a token.
  public var minimumCount = 1
  /// `true` if each line ends with the special token `<eos>`, which is then the first; without it the end
  /// of a line is text.
  public var appendsEndOfSentence = false

  /// Creates a way to learn.
  public init(maximumSize: Int) { self.maximumSize = maximumSize }

  /// The stage of the work.
  public enum Stage: Sendable {
    /// A text is read: its share that was read, where it is known.
    case reading(Double?)
    /// Pairs are merged: the number of tokens so far.
    case merging(Int)
  }
}

extension TokenizerDefinition {
  /// Learns byte-level BPE from some texts; the result is a tokenizer.json.
  ///
  /// - Parameters:
  ///   - paths: The texts, plain or gzip, read in turn.
  ///   - training: The settings.
  ///   - progress: Called periodically.
  /// - Throws: `FileError` if a text cannot be opened; `TextError` if one is not UTF-8, or if there is
  ///   no text.
  public init(
    trainedOn paths: [String], by training: BytePairTraining,
    progress: (BytePairTraining.Stage) -> Void = { _ in }
  ) throws {
    let special = training.appendsEndOfSentence ? [Vocabulary.endOfSentence] : []
    let lineEnds: LineEnds = training.appendsEndOfSentence ? .lineFeed : .kept
    var counter = PieceCounter()
    for path in paths {
      var reader = try LineReader(path: path, lineEnds: lineEnds)
      while let line = try reader.next() {
        try checkUTF8(line, path: path)
        counter.add(line)
        if line.number % 1000 == 0 { progress(.reading(reader.fraction)) }
      }
    }
    guard counter.pieces.count > 0 else {
      throw TextError(
        path: paths.last ?? "", line: nil, expected: "a text", found: "an empty one",
        fix: "give a text to learn the tokens from")
    }
    var learned = LearnedPairs(special: special)
    var pieces = MergedPieces(counter.pieces, counts: counter.counts, bytes: learned.byteIDs)
    while learned.tokens.count < training.maximumSize,
      let best = pieces.mostFrequent(atLeast: max(1, training.minimumCount))
    {
      pieces.merge(best, into: learned.add(best.pair))
      if learned.merges.count % 100 == 0 { progress(.merging(learned.tokens.count)) }
    }
    self.init(
      format: Format.tokenizerJSON.rawValue, bytes: learned.tokenizerJSON(special: special))
  }
}

/// Counts the pieces that GPT-2's pattern cuts texts into.
private struct PieceCounter {
  var pieces = TokenTable()
  var counts: [Int] = []

  mutating func add(_ line: TextLine) {
    _ = line.bytes.withUnsafeBytes { bytes in
      TextPattern.gpt2.forEachMatch(in: bytes, 0..<bytes.count) { range in
        let number = pieces.insert(UnsafeRawBufferPointer(rebasing: bytes[range]))
        if number == counts.count { counts.append(0) }
        counts[number] += 1
      }
    }
  }
}

/// The tokens and merges learned so far.
struct LearnedPairs {
  /// The tokens, each byte as GPT-2's character for it.
  private(set) var tokens = TokenTable()
  private(set) var merges: [SymbolPair] = []
  /// The tokens of the bytes.
  let byteIDs: [Int32]

  /// Begins with special tokens, then the characters of the bytes in their order in Unicode.
  init(special: [String]) {
    for token in special { _ = tokens.insert(token.utf8) }
    for character in ByteLevel.characters.sorted() { _ = tokens.insert(String(character).utf8) }
    var tokens = tokens
    byteIDs = ByteLevel.characters.map { Int32(tokens.insert(String($0).utf8)) }
  }

  /// Adds a merge and its token.
  ///
  /// - Returns: The token's id.
  mutating func add(_ pair: SymbolPair) -> Int32 {
    merges.append(pair)
    return Int32(tokens.insert(tokens[Int(pair.left)] + tokens[Int(pair.right)]))
  }
}

/// The distinct pieces of the texts as symbols, and how often each pair of neighbours is there.
///
/// Counts are kept up to date, not taken anew: a merge visits only the pieces that have its pair. A pair
/// comes up once, with the newer of its two symbols: a symbol is made wherever its text is, at one time,
/// since what is merged inside a text does not depend on what is around it.
struct MergedPieces {
  /// A pair that may become a token.
  struct Candidate: Comparable {
    let pair: SymbolPair
    /// The pair's place in `pairs`.
    fileprivate let number: Int
    /// The count of the pair when this was noted.
    fileprivate var count: Int

    static func < (a: Candidate, b: Candidate) -> Bool {
      (b.count, a.pair) < (a.count, b.pair)
    }
  }

  /// The symbols of all pieces, one after the other.
  private var symbols: [Int32] = []
  /// The places of the symbols of each piece; merges make them fewer.
  private var ranges: [Range<Int>] = []
  private let counts: [Int]
  /// The numbers of the pairs.
  private var numbers = PairTable<Int32>(empty: 0)
  private var pairs: [SymbolPair] = []
  /// For each pair how often it is there.
  private var pairCounts: [Int] = []
  /// For each pair the pieces that it came up in.
  private var places: [[Int32]] = []
  private var candidates = Heap<Candidate>()
  private var candidateCount = 0

  /// Counts the pairs of pieces.
  ///
  /// - Parameters:
  ///   - pieces: The pieces.
  ///   - counts: The number of times that each is in the texts.
  ///   - bytes: The symbols of the bytes.
  init(_ pieces: TokenTable, counts: [Int], bytes: [Int32]) {
    self.counts = counts
    symbols = pieces.bytes.map { bytes[Int($0)] }
    ranges = (0..<pieces.count).map { pieces.offsets[$0]..<pieces.offsets[$0 + 1] }
    for (piece, range) in ranges.enumerated() {
      for index in range.dropFirst() {
        count(SymbolPair(symbols[index - 1], symbols[index]), counts[piece], piece: Int32(piece))
      }
    }
    queueNewPairs()
  }

  /// Returns the pair that is there most often, if it is so often.
  mutating func mostFrequent(atLeast minimum: Int) -> Candidate? {
    while var best = candidates.removeFirst() {
      let count = pairCounts[best.number]
      if best.count == count { return count >= minimum ? best : nil }
      best.count = count
      candidates.insert(best)
    }
    return nil
  }

  /// Makes one symbol of a pair wherever it is.
  mutating func merge(_ candidate: Candidate, into symbol: Int32) {
    let pieces = places[candidate.number]
    places[candidate.number] = []
    for piece in pieces { merge(candidate.pair, into: symbol, piece: piece) }
    queueNewPairs()
  }

  private mutating func merge(_ pair: SymbolPair, into symbol: Int32, piece: Int32) {
    let (left, right) = (pair.left, pair.right)
    let (range, times) = (ranges[Int(piece)], counts[Int(piece)])
    var (read, write) = (range.lowerBound, range.lowerBound)
    while read < range.upperBound {
      guard read + 1 < range.upperBound, symbols[read] == left, symbols[read + 1] == right else {
        symbols[write] = symbols[read]
        (read, write) = (read + 1, write + 1)
        continue
      }
      if write > range.lowerBound {
        let before = symbols[write - 1]
        count(SymbolPair(before, left), -times, piece: piece)
        count(SymbolPair(before, symbol), times, piece: piece)
      }
      if read + 2 < range.upperBound {
        let after = symbols[read + 2]
        count(SymbolPair(right, after), -times, piece: piece)
        count(SymbolPair(symbol, after), times, piece: piece)
      }
      symbols[write] = symbol
      (read, write) = (read + 2, write + 1)
    }
    ranges[Int(piece)] = range.lowerBound..<write
  }

  /// Counts a pair of a piece as many times as the piece is there, negative where it goes.
  private mutating func count(_ pair: SymbolPair, _ times: Int, piece: Int32) {
    let number = number(of: pair)
    pairCounts[number] += times
    if times > 0, places[number].last != piece { places[number].append(piece) }
  }

  private mutating func number(of pair: SymbolPair) -> Int {
    if let number = numbers[pair] { return Int(number) }
    numbers.set(pair, to: Int32(pairs.count))
    pairs.append(pair)
    pairCounts.append(0)
    places.append([])
    return pairs.count - 1
  }

  private mutating func queueNewPairs() {
    for number in candidateCount..<pairs.count {
      candidates.insert(
        Candidate(pair: pairs[number], number: number, count: pairCounts[number]))
    }
    candidateCount = pairs.count
  }
}
