// Word lattices: the hypotheses of a recognizer as the paths of a directed graph without cycles.

import UnrollTensors
import UnrollTokenization

/// A word lattice.
///
/// Scores are natural logarithms.
public struct Lattice: Sendable {
  /// A step from one node to another.
  struct Arc: Sendable {
    let from: Int
    let to: Int
    /// The word; `nil` for a mark such as `!NULL` or `<s>`, which no one says.
    let word: String?
    /// The recognizer's score of the sounds.
    let acoustic: Double
    /// The score of the recognizer's language model.
    let language: Double
  }

  /// The path of the file.
  public let path: String
  /// The name of the utterance.
  public let utterance: String
  /// `true` if the file has acoustic scores.
  public let hasAcoustic: Bool
  /// `true` if the file has scores of a language model.
  public let hasLanguage: Bool
  /// The factor of the language model's scores that the file states.
  public let languageScale: Double?
  /// The score of each word that the file states: a penalty if it is below 0.
  public let wordScore: Double?
  /// The first node of all paths.
  let start: Int
  /// The last node of all paths.
  let end: Int
  /// The nodes of all paths from the first to the last, each after those before it.
  let order: [Int]
  /// The steps from each node that are part of such a path.
  let outgoing: [[Arc]]

  /// Reads a lattice in HTK's Standard Lattice Format.
  ///
  /// - Parameter path: A file, a gzip file, or `-` for standard input.
  /// - Throws: `FileError` or `TextError` if it cannot be read, or is no such lattice.
  public init(path: String) throws { try self.init(SLFFile(path: path)) }

  /// Creates a lattice from what a file has.
  ///
  /// - Throws: `TextError` if it has a cycle, or no path from one first node to one last.
  init(_ file: SLFFile) throws(TextError) {
    path = file.path
    utterance = file.utterance
    hasAcoustic = file.hasAcoustic
    hasLanguage = file.hasLanguage
    languageScale = file.languageScale
    wordScore = file.wordScore
    let graph = LatticeGraph(nodeCount: file.words.count, file.arcs)
    start = try graph.only(file.start, from: graph.sources, "start", in: file)
    end = try graph.only(file.end, from: graph.sinks, "end", in: file)
    guard let sorted = graph.order else {
      throw file.refusal(
        expected: "arcs that lead forward", found: "a cycle",
        fix: "write the lattice again without words that come before themselves")
    }
    let used = graph.nodes(between: start, end)
    guard used.contains(start) else {
      throw file.refusal(
        expected: "a path from node \(start) to node \(end)", found: "none",
        fix: "write the lattice again, or name its first and last nodes as start= and end=")
    }
    if case .some(.some(let word)) = file.words[start] {
      throw file.refusal(
        expected: "a first node without a word, such as W=!NULL", found: word,
        fix: "add a node !NULL before it, and an arc to it")
    }
    order = sorted.filter(used.contains)
    var outgoing = [[Arc]](repeating: [], count: file.words.count)
    for arc in file.arcs where used.contains(arc.from) && used.contains(arc.to) {
      outgoing[arc.from].append(arc)
    }
    outgoing[end] = []
    self.outgoing = outgoing
  }

  /// Returns the words of the best path by the recognizer's own scores.
  ///
  /// - Parameters:
  ///   - scale: The factor of its language model.
  ///   - word: The score of each word.
  /// - Returns: The words with spaces between them; of equal paths the first.
  public func firstPass(scale: Double, word: Double) -> String {
    var best: [Int: (score: Double, arc: Arc?)] = [start: (0, nil)]
    for node in order {
      guard let own = best[node] else { continue }
      for arc in outgoing[node] {
        let score =
          own.score + arc.acoustic + scale * arc.language + (arc.word == nil ? 0 : word)
        if let other = best[arc.to], other.score >= score { continue }
        best[arc.to] = (score, arc)
      }
    }
    var words: [String] = []
    var node = end
    while let arc = best[node]?.arc {
      if let word = arc.word { words.append(word) }
      node = arc.from
    }
    return words.reversed().joined(separator: " ")
  }
}

/// The nodes and arcs of a lattice as a graph.
private struct LatticeGraph {
  private let incoming: [[Int]]
  private let outgoing: [[Int]]

  init(nodeCount: Int, _ arcs: [Lattice.Arc]) {
    var incoming = [[Int]](repeating: [], count: nodeCount)
    var outgoing = incoming
    for arc in arcs {
      incoming[arc.to].append(arc.from)
      outgoing[arc.from].append(arc.to)
    }
    self.incoming = incoming
    self.outgoing = outgoing
  }

  /// The nodes to which no arc leads.
  var sources: [Int] { incoming.indices.filter { incoming[$0].isEmpty } }
  /// The nodes from which no arc leads.
  var sinks: [Int] { outgoing.indices.filter { outgoing[$0].isEmpty } }

  /// All nodes, each after those from which arcs lead to it; `nil` if there is a cycle.
  var order: [Int]? {
    var open = incoming.map(\.count)
    var order = sources
    var next = 0
    while next < order.count {
      for node in outgoing[order[next]] {
        open[node] -= 1
        if open[node] == 0 { order.append(node) }
      }
      next += 1
    }
    return order.count == incoming.count ? order : nil
  }

  /// Returns the nodes of all paths between two nodes; none if there is no path.
  func nodes(between start: Int, _ end: Int) -> Set<Int> {
    Self.reached(from: start, outgoing).intersection(Self.reached(from: end, incoming))
  }

  /// Returns the node that a file names, or the only one of some.
  func only(
    _ named: Int?, from found: [Int], _ name: String, in file: SLFFile
  ) throws(TextError) -> Int {
    if let named { return named }
    guard found.count == 1 else {
      let nodes = found.prefix(3).map { "\($0)" }.joined(separator: ", ")
      throw file.refusal(
        expected: "one node at the \(name)",
        found: found.isEmpty ? "none: the arcs make a cycle" : "\(found.count): \(nodes)",
        fix: "name it in the header, as \(name)=0, or write the lattice again")
    }
    return found[0]
  }

  private static func reached(from first: Int, _ next: [[Int]]) -> Set<Int> {
    var reached: Set = [first]
    var open = [first]
    while let node = open.popLast() {
      for other in next[node] where reached.insert(other).inserted { open.append(other) }
    }
    return reached
  }
}
