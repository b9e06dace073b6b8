// A word while its symbols are merged, the best pair first.

/// A list of symbols in which neighbours are merged.
struct MergingWord {
  private var symbols: [Piece]
  private var previous: [Int]
  private var next: [Int]
  private var candidates = Heap<Candidate>()

  /// A pair that may be merged, if its symbols are still those that it was found with.
  private struct Candidate: Comparable {
    let rank: Int32
    let left: Int
    let pair: (Int32, Int32)
    let merged: Int32

    static func < (a: Candidate, b: Candidate) -> Bool { (a.rank, a.left) < (b.rank, b.left) }

    static func == (a: Candidate, b: Candidate) -> Bool { (a.rank, a.left) == (b.rank, b.left) }
  }

  init(_ symbols: [Piece]) {
    self.symbols = symbols
    previous = Array(-1..<symbols.count - 1)
    next = Array(1..<symbols.count + 1)
  }

  /// The symbols that are left.
  var pieces: [Piece] {
    var result: [Piece] = []
    var index = 0
    while index < symbols.count {
      result.append(symbols[index])
      index = next[index]
    }
    return result
  }

  /// Merges pairs, the one of the lowest rank first and of equal ones the leftmost, until none is left.
  ///
  /// - Parameter merge: The rank and the symbol of a pair, if it can be merged.
  mutating func merge(_ merge: (Int32, Int32) -> (rank: Int32, id: Int32)?) {
    for index in symbols.indices { consider(index, merge) }
    while let best = candidates.removeFirst() {
      let (left, right) = (best.left, next[best.left])
      guard right < symbols.count, symbols[left].id == best.pair.0,
        symbols[right].id == best.pair.1
      else { continue }
      symbols[left] = Piece(id: best.merged, end: symbols[right].end)
      symbols[right].id = Self.gone
      next[left] = next[right]
      if next[right] < symbols.count { previous[next[right]] = left }
      if previous[left] >= 0 { consider(previous[left], merge) }
      consider(left, merge)
    }
  }

  /// The id of a symbol that is part of another.
  private static let gone: Int32 = -2

  private mutating func consider(
    _ left: Int, _ merge: (Int32, Int32) -> (rank: Int32, id: Int32)?
  ) {
    guard next[left] < symbols.count else { return }
    let pair = (symbols[left].id, symbols[next[left]].id)
    guard let (rank, merged) = merge(pair.0, pair.1) else { return }
    candidates.insert(Candidate(rank: rank, left: left, pair: pair, merged: merged))
  }
}
