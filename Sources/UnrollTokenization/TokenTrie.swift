// Tokens as a tree of bytes: finds those with which a text continues.

/// A tree whose edges are bytes and whose nodes are the beginnings of tokens.
struct TokenTrie: Sendable {
  /// For each node the token that ends there, or -1.
  private var tokens: [Int32] = []
  /// For each node its first edge; the edges of a node lie side by side, in the order of their bytes.
  private var firstEdges: [Int32] = []
  private var edgeBytes: [UInt8] = []
  private var edgeNodes: [Int32] = []
  /// The nodes below the root, by byte: where every search begins.
  private var roots = [Int32](repeating: -1, count: 256)

  /// Makes the tree of some tokens; the first of equal tokens wins, and empty ones are left out.
  init(_ entries: some Sequence<(token: ArraySlice<UInt8>, id: Int32)>) {
    let sorted = entries.filter { !$0.token.isEmpty }.sorted {
      $0.token == $1.token ? $0.id < $1.id : $0.token.lexicographicallyPrecedes($1.token)
    }
    // Nodes in the order of their depth, so that the edges of each are made at once.
    var open = [(range: 0..<sorted.count, depth: 0)]
    var node = 0
    while node < open.count {
      let (range, depth) = open[node]
      var index = range.lowerBound
      firstEdges.append(Int32(edgeBytes.count))
      tokens.append(-1)
      while index < range.upperBound, sorted[index].token.count == depth {
        if tokens[node] < 0 { tokens[node] = sorted[index].id }
        index += 1
      }
      while index < range.upperBound {
        let token = sorted[index].token
        let byte = token[token.startIndex + depth]
        let start = index
        while index < range.upperBound {
          let other = sorted[index].token
          guard other[other.startIndex + depth] == byte else { break }
          index += 1
        }
        edgeBytes.append(byte)
        edgeNodes.append(Int32(open.count))
        if node == 0 { roots[Int(byte)] = Int32(open.count) }
        open.append((start..<index, depth + 1))
      }
      node += 1
    }
    firstEdges.append(Int32(edgeBytes.count))
  }

  /// The tree of the tokens of a vocabulary that stand for text.
  init(_ vocabulary: Vocabulary) {
    self.init(
      (0..<vocabulary.count).lazy.filter { vocabulary.standsForText($0) }
        .map { (token: vocabulary[$0], id: Int32($0)) })
  }

  /// Calls a closure with each token with which a text continues at an index, the shortest first.
  @inline(__always)
  func forEachPrefix(
    of text: UnsafeRawBufferPointer, at start: Int, _ body: (_ id: Int32, _ end: Int) -> Void
  ) {
    guard start < text.count else { return }
    var node = roots[Int(text[start])]
    var index = start + 1
    while node >= 0 {
      let token = tokens[Int(node)]
      if token >= 0 { body(token, index) }
      guard index < text.count else { return }
      node = child(of: node, byte: text[index])
      index += 1
    }
  }

  /// Returns the longest token with which a text continues at an index.
  func longestPrefix(of text: UnsafeRawBufferPointer, at start: Int) -> (id: Int32, end: Int)? {
    var longest: (id: Int32, end: Int)?
    forEachPrefix(of: text, at: start) { longest = ($0, $1) }
    return longest
  }

  @inline(__always)
  private func child(of node: Int32, byte: UInt8) -> Int32 {
    var low = Int(firstEdges[Int(node)])
    var high = Int(firstEdges[Int(node) + 1])
    while low < high {
      let middle = (low + high) / 2
      if edgeBytes[middle] == byte { return edgeNodes[middle] }
      if edgeBytes[middle] < byte { low = middle + 1 } else { high = middle }
    }
    return -1
  }

  /// Adds the longest token with which the text continues, again and again; a scalar with which no token
  /// begins is unknown.
  func encode(_ text: UnsafeRawBufferPointer, into encoded: inout EncodedLine) {
    var index = 0
    while index < text.count {
      if let (id, end) = longestPrefix(of: text, at: index) {
        encoded.add(id, end: end)
        index = end
      } else {
        index += decodeScalar(text, at: index).count
        encoded.add(EncodedLine.noToken, end: index)
      }
    }
  }
}
