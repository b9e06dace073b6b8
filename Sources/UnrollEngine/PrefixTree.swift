// The distinct prefixes of sentences: shared prefixes are computed once.

/// A prefix tree of sentences: a node for each distinct prefix, whose tokens are those on the path
/// from the root.
///
/// Hypotheses of one utterance and minimal pairs differ in few tokens, and equal lines in none. The
/// model reads a node once, which gives the probabilities of all tokens that follow it in any
/// sentence. Nodes are numbered by depth, then by the first sentence that reaches them.
struct PrefixTree {
  /// A prefix of sentences.
  struct Node {
    /// The node without the last token; `nil` for the first token of a sentence.
    let parent: Int?
    /// The last token.
    let token: Int32
    /// The nodes with one more token, ascending.
    var children: Range<Int> = 0..<0
    /// `true` if a sentence ends here.
    var isEnd = false
  }

  /// All nodes, by depth.
  private(set) var nodes: [Node] = []
  /// The nodes of each depth.
  private(set) var levels: [Range<Int>] = []
  /// The node at which each sentence ends; `nil` for an empty sentence.
  let ends: [Int?]

  /// Creates the tree of the given sentences.
  init(of sentences: [[Int32]]) {
    var ends = [Int?](repeating: nil, count: sentences.count)
    var open = sentences.indices.filter { !sentences[$0].isEmpty }
    var depth = 0
    while !open.isEmpty {
      let first = nodes.count
      // Sentences of one parent are neighbours, so the children of a node are contiguous.
      open.sort { (ends[$0] ?? 0, $0) < (ends[$1] ?? 0, $1) }
      var parent: Int?
      var known: [Int32: Int] = [:]
      for sentence in open {
        if ends[sentence] != parent { known.removeAll(keepingCapacity: true) }
        parent = ends[sentence]
        let token = sentences[sentence][depth]
        let node = known[token] ?? nodes.count
        if node == nodes.count {
          known[token] = node
          nodes.append(Node(parent: parent, token: token))
          if let parent {
            let start = nodes[parent].children.isEmpty ? node : nodes[parent].children.lowerBound
            nodes[parent].children = start..<node + 1
          }
        }
        ends[sentence] = node
        if sentences[sentence].count == depth + 1 { nodes[node].isEnd = true }
      }
      levels.append(first..<nodes.count)
      depth += 1
      open.removeAll { sentences[$0].count == depth }
    }
    self.ends = ends
  }

  /// Returns the nodes on the path from the root to a node, first token first.
  func path(to end: Int?) -> [Int] {
    var path: [Int] = []
    var next = end
    while let node = next {
      path.append(node)
      next = nodes[node].parent
    }
    return path.reversed()
  }
}
