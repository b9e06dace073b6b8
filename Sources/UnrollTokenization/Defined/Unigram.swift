// Unigram: the most probable of all ways to cut a text into pieces.

/// A model that looks for the best path through a text: Viterbi's algorithm over the pieces that begin
/// at each character.
struct Unigram: Sendable {
  private let trie: TokenTrie
  /// For each id its score.
  private let scores: [Double]
  private let unknownScore: Double
  /// The tokens of bytes, where unknown characters become bytes.
  private let fallback: [Int32]?
  /// `true` if sums of scores are rounded to 32 bits, as in SentencePiece.
  private let isSinglePrecision: Bool

  /// Creates a model.
  ///
  /// - Parameters:
  ///   - pieces: The pieces that text can become.
  ///   - scores: For each id its score.
  ///   - unknownScore: The score of a character that is no piece.
  ///   - fallback: For each byte its token, if unknown characters become bytes.
  ///   - isSinglePrecision: `true` to round sums of scores to 32 bits.
  init(
    pieces: [(token: [UInt8], id: Int32)], scores: [Double], unknownScore: Double,
    fallback: [Int32]?, isSinglePrecision: Bool
  ) {
    trie = TokenTrie(pieces.map { ($0.token[...], $0.id) })
    self.scores = scores
    self.unknownScore = unknownScore
    self.fallback = fallback
    self.isSinglePrecision = isSinglePrecision
  }

  /// The end of the best path so far.
  private struct Node {
    var start = -1
    var id = EncodedLine.noToken
    var score = 0.0
  }

  /// Returns the tokens of a text; neighbouring unknown characters are one.
  func encode(_ text: UnsafeRawBufferPointer) -> [Piece] {
    var nodes = [Node](repeating: Node(), count: text.count + 1)
    var index = 0
    while index < text.count {
      let score = nodes[index].score
      let next = index + decodeScalar(text, at: index).count
      var hasCharacter = false
      trie.forEachPrefix(of: text, at: index) { id, end in
        improve(&nodes[end], score + scores[Int(id)], id: id, start: index)
        if end == next { hasCharacter = true }
      }
      if !hasCharacter {
        improve(&nodes[next], score + unknownScore, id: EncodedLine.noToken, start: index)
      }
      index = next
    }
    return path(nodes, text)
  }

  @inline(__always)
  private func improve(_ node: inout Node, _ score: Double, id: Int32, start: Int) {
    let score = isSinglePrecision ? Double(Float(score)) : score
    guard node.start < 0 || score > node.score else { return }
    node = Node(start: start, id: id, score: score)
  }

  /// Returns the pieces of the best path, from its end to its start.
  private func path(_ nodes: [Node], _ text: UnsafeRawBufferPointer) -> [Piece] {
    var pieces: [Piece] = []
    var end = text.count
    while end > 0 {
      let node = nodes[end]
      if node.id >= 0 {
        pieces.append(Piece(id: node.id, end: end))
      } else if let fallback {
        for offset in (node.start..<end).reversed() {
          pieces.append(Piece(id: fallback[Int(text[offset])], end: offset + 1))
        }
      } else if pieces.last.map({ $0.id >= 0 }) ?? true {
        pieces.append(Piece(id: EncodedLine.noToken, end: end))
      }
      end = node.start
    }
    return pieces.reversed()
  }
}
