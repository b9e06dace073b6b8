// The tokens of a line and the parts of the line that they stand for.

/// The tokens of one line.
public struct EncodedLine: Sendable {
  /// The ids, the end-of-sentence token included.
  public var ids: [Int32] = []
  /// For each token where the bytes end that it stands for, from the end of the token before; together
  /// they are all bytes of the line, its end included.
  public var ends: [Int] = []
  /// For each token where its own text begins: behind the end of the token before and what the tokenizer removes
  /// between them, such as Keras's filters.
  public var begins: [Int] {
    ends.indices.map { index in
      max(
        index < ownBegins.count ? ownBegins[index] : 0, index == 0 ? 0 : ends[index - 1])
    }
  }
  private var ownBegins: [Int] = []
  /// Which tokens stand for text that the vocabulary lacks: places in `ids`.
  public var unknown: [Int] = []
  /// The bytes of words or characters that the vocabulary lacks and that were left out, in order.
  public private(set) var leftOut: [Range<Int>] = []
  /// `true` if the tokenizer's regular expressions needed more steps than are allowed.
  var isExhausted = false

  /// Creates a line without tokens.
  public init() {}

  /// The number of tokens that stand for text that the vocabulary lacks.
  public var unknownCount: Int { unknown.count }

  /// For each token the number of bytes that it stands for, without what was left out.
  public var byteCounts: [Int] {
    ends.indices.map { index in
      let range = (index == 0 ? 0 : ends[index - 1])..<ends[index]
      return range.count - leftOut.reduce(0) { $0 + $1.clamped(to: range).count }
    }
  }

  /// Returns the part of some ranges of the line, in order, that each token is of: it begins in it, or before
  /// it and behind the one before.
  ///
  /// - Parameter ranges: The ranges, such as those of words.
  /// - Returns: For each token the place of a range; `nil` behind the last.
  public func owners(among ranges: [Range<Int>]) -> [Int?] {
    var place = 0
    return begins.map { begin in
      while place < ranges.count, begin >= ranges[place].upperBound { place += 1 }
      return place < ranges.count ? place : nil
    }
  }

  /// Adds a token; its id is `noToken` for text without one.
  ///
  /// - Parameters:
  ///   - id: The id.
  ///   - end: The end of the bytes that it stands for.
  ///   - begin: The offset at which its own text begins, if that may be behind the end of the token before.
  @inline(__always)
  mutating func add(_ id: Int32, end: Int, begin: Int = 0) {
    if id < 0 { unknown.append(ids.count) }
    ownBegins.append(begin)
    ids.append(id)
    ends.append(end)
  }

  /// Leaves out the tokens for text that the vocabulary lacks, as Keras does.
  ///
  /// - Parameter bytes: The line.
  mutating func leaveOutUnknown(of bytes: [UInt8]) {
    let begins = begins
    for index in unknown {
      let range = begins[index]..<ends[index]
      let words = bytes[range].withUnsafeBytes { WhitespaceWords.ranges(in: $0) }
      // White space before a word is no part of it.
      leftOut.append(range.lowerBound + (words.first?.lowerBound ?? 0)..<range.upperBound)
    }
    let gone = Set(unknown)
    let kept = ids.indices.filter { !gone.contains($0) }
    ids = kept.map { ids[$0] }
    ends = kept.map { ends[$0] }
    ownBegins = kept.map { begins[$0] }
    unknown = []
  }

  /// The id of text that no token stands for, until the unknown token takes its place.
  static let noToken: Int32 = -1
}
