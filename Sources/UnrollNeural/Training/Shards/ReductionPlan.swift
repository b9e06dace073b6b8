// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The order in which the gradients of shards are summed, and the owners of the sums.

import CUnrollKernels

/// The fixed binary tree over the S shards of a step, and how R ranks share its work.
///
/// A node of the tree at level k is a run of 2^k shards that begins at a multiple of 2^k; the last one may be
/// shorter. Each rank owns consecutive shards, and sums them up to the largest nodes that it owns as a whole. The
/// nodes of all ranks, in order, are summed by the same tree: the sum does not depend on R.
public struct ReductionPlan: Sendable, Hashable {
  /// The number of shards, S.
  public let shards: Int
  /// The number of ranks, R, at most S.
  public let ranks: Int

  /// Creates a plan.
  ///
  /// - Parameters:
  ///   - shards: S, at least 1.
  ///   - ranks: R, 1 to S.
  public init(shards: Int, ranks: Int = 1) {
    precondition(ranks >= 1 && ranks <= shards, "each rank needs a shard")
    self.shards = shards
    self.ranks = ranks
  }

  /// Returns the part of `count` things that belongs to one of `parts`: all parts are of one size, or one larger.
  static func part(_ index: Int, of parts: Int, count: Int) -> Range<Int> {
    // The product of two large integers would overflow.
    let (size, rest) = count.quotientAndRemainder(dividingBy: parts)
    func bound(_ index: Int) -> Int { size * index + rest * index / parts }
    return bound(index)..<bound(index + 1)
  }

  /// Returns the shards of a rank.
  public func shards(of rank: Int) -> Range<Int> { Self.part(rank, of: ranks, count: shards) }

  /// Returns the streams of a shard, of a batch of B: B s / S to B (s + 1) / S.
  public func columns(ofShard shard: Int, of B: Int) -> Range<Int> {
    Self.part(shard, of: shards, count: B)
  }

  /// Returns the streams of a rank's shards.
  public func columns(ofRank rank: Int, of B: Int) -> Range<Int> {
    let own = shards(of: rank)
    return columns(ofShard: own.lowerBound, of: B)
      .lowerBound..<columns(ofShard: own.upperBound - 1, of: B).upperBound
  }

  /// Returns the pieces of an array of `count` numbers; each is exchanged at once.
  static func pieces(_ count: Int) -> [Range<Int>] {
    let size = Int(UNROLL_SUM_PIECE)
    return stride(from: 0, to: count, by: size).map { $0..<min($0 + size, count) }
  }

  /// Returns the parts of every piece that a rank owns; sums of squares are taken of each part.
  func parts(of rank: Int) -> Range<Int> {
    Self.part(rank, of: ranks, count: Int(UNROLL_SUM_PARTS))
  }

  /// Returns the numbers of a piece of `count` numbers that a rank owns, counted from its beginning.
  func slice(of rank: Int, count: Int) -> Range<Int> {
    let parts = parts(of: rank)
    return unroll_part_begin(count, parts.lowerBound)..<unroll_part_begin(count, parts.upperBound)
  }

  /// Returns the nodes of a rank: the largest that it owns as a whole, in order.
  public func nodes(of rank: Int) -> [Range<Int>] {
    let own = shards(of: rank)
    var nodes: [Range<Int>] = []
    var first = own.lowerBound
    while first < own.upperBound {
      var node = first..<first + 1
      while let parent = parent(ofLeft: node), parent.upperBound <= own.upperBound { node = parent }
      nodes.append(node)
      first = node.upperBound
    }
    return nodes
  }

  /// Returns the node whose left half is a node; `nil` if there is none.
  private func parent(ofLeft node: Range<Int>) -> Range<Int>? {
    let first = node.lowerBound
    guard first % (2 * node.count) == 0, node.upperBound < shards else { return nil }
    return first..<min(first + 2 * node.count, shards)
  }

  /// Returns `true` if two nodes are the halves of one.
  func areHalves(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
    left.upperBound == right.lowerBound && parent(ofLeft: left)?.upperBound == right.upperBound
  }

  /// The sums of nodes in the order of the tree.
  ///
  /// - Parameter nodes: Nodes that together are all shards, in order.
  /// - Returns: Pairs of indices: the node at the second is added to that at the first; at the end the sum is at 0.
  func sums(of nodes: [Range<Int>]) -> [(Int, Int)] {
    var sums: [(Int, Int)] = []
    var stack: [(index: Int, node: Range<Int>)] = []
    for (index, node) in nodes.enumerated() {
      stack.append((index, node))
      while stack.count > 1 {
        let (left, right) = (stack[stack.count - 2], stack[stack.count - 1])
        guard areHalves(left.node, right.node) else { break }
        sums.append((left.index, right.index))
        stack.removeLast(2)
        stack.append((left.index, left.node.lowerBound..<right.node.upperBound))
      }
    }
    return sums
  }
}
