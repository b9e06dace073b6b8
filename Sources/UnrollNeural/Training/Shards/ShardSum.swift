// The sum of the gradients of shards: on one rank, then over the ranks.

import CUnrollKernels
import UnrollFormat

/// The gradients of the shards of a rank, summed as far as its nodes of the tree.
public struct ShardSum {
  private let plan: ReductionPlan
  private var nodes: [(shards: Range<Int>, gradients: ParameterTree<Gradient>)] = []

  /// Creates an empty sum.
  public init(_ plan: ReductionPlan) { self.plan = plan }

  /// Adds the gradients of the next shard, taken from a model.
  ///
  /// - Parameters:
  ///   - shard: The shard.
  ///   - model: A model after its backward passes. Out: without gradients.
  public mutating func add(shard: Int, of model: TrainableModel) {
    nodes.append((shard..<shard + 1, model.takeGradients()))
    while nodes.count > 1,
      plan.areHalves(nodes[nodes.count - 2].shards, nodes[nodes.count - 1].shards)
    {
      let right = nodes.removeLast()
      let last = nodes.count - 1
      nodes[last].shards = nodes[last].shards.lowerBound..<right.shards.upperBound
      for path in right.gradients.paths {
        guard let gradient = right.gradients[path] else { continue }
        _ = nodes[last].gradients.update(path) { $0.add(gradient) }
      }
    }
  }

  /// Sums the gradients over all ranks and gives them to a model.
  ///
  /// - Parameters:
  ///   - paths: The parameters that are trained; gradients of others stay those of this rank.
  ///   - owned: The parameters of which each rank gets only its own slices of the sums.
  ///   - group: The ranks.
  ///   - model: The model. Out: with the sum over all shards, the same on every rank but for parameters that are owned.
  /// - Throws: An error if the connection fails.
  public mutating func reduce(
    _ paths: [ParameterPath], owned: OwnedParameters?, over group: any RankGroup,
    into model: TrainableModel
  ) throws {
    if group.size > 1 {
      let sums = plan.sums(of: (0..<plan.ranks).flatMap(plan.nodes(of:)))
      for path in paths {
        if case .rows(let rows)? = nodes[0].gradients[path] {
          try reduceRows(path, width: rows.width, sums, over: group)
        } else {
          // No reference to the numbers may stay: they change in place.
          let count = nodes[0].gradients[path]?.numbers.count ?? 0
          try reduceDense(path, count, sums, over: group)
          if owned?.contains(path) != true {
            try nodes[0].gradients.gather(path, plan, over: group)
          }
        }
      }
    }
    model.replaceGradients(by: nodes[0].gradients)
    nodes = []
  }

  /// Sums whole gradients of one parameter: each rank its slice of every piece, where the others keep their own sum.
  private mutating func reduceDense(
    _ path: ParameterPath, _ count: Int, _ sums: [(Int, Int)], over group: any RankGroup
  ) throws {
    let total = (0..<plan.ranks).reduce(0) { $0 + plan.nodes(of: $1).count }
    var scratch: [Float] = []
    for piece in ReductionPlan.pieces(count) {
      let slices = (0..<plan.ranks).map { plan.slice(of: $0, count: piece.count) }
      let own = slices[group.rank]
      try scratch.withScratch(total * own.count) { received in
        try exchange(path, piece, slices, into: received, over: group)
        for (left, right) in sums {
          unroll_add(received + left * own.count, received + right * own.count, own.count)
        }
        _ = nodes[0].gradients.updateNumbers(path) {
          $0.withUnsafeMutableBufferPointer {
            guard let numbers = $0.baseAddress else { return }
            (numbers + piece.lowerBound + own.lowerBound).update(from: received, count: own.count)
          }
        }
      }
    }
  }

  /// Sends slices of a piece to their owners, node by node.
  ///
  /// - Parameters:
  ///   - path: The parameter.
  ///   - piece: The elements of the piece.
  ///   - slices: The slice of each rank, counted from the beginning of the piece.
  ///   - received: `[nodes, slice]` Out: this rank's slice of every node, in the order of the shards.
  ///   - group: The ranks.
  /// - Throws: An error if the connection fails.
  private func exchange(
    _ path: ParameterPath, _ piece: Range<Int>, _ slices: [Range<Int>],
    into received: UnsafeMutablePointer<Float>, over group: any RankGroup
  ) throws {
    let width = MemoryLayout<Float>.size
    let own = slices[group.rank].count
    let counts = (0..<plan.ranks).map { plan.nodes(of: $0).count }
    let rounds = counts.max() ?? 0
    // With one node a rank, parts arrive in their places.
    var arrived = [Float](repeating: 0, count: rounds > 1 ? plan.ranks * own : 0)
    for round in 0..<rounds {
      let isSent = round < nodes.count
      let sentCounts = slices.map { isSent ? $0.count * width : 0 }
      let receivedCounts = counts.map { round < $0 ? own * width : 0 }
      try (isSent ? nodes[round].gradients[path]?.numbers ?? [] : []).withUnsafeBytes { sent in
        let sent =
          isSent
          ? UnsafeRawBufferPointer(
            rebasing: sent[piece.lowerBound * width..<piece.upperBound * width])
          : UnsafeRawBufferPointer(start: nil, count: 0)
        guard rounds > 1 else {
          return try group.exchange(
            sent, counts: sentCounts,
            into: UnsafeMutableRawBufferPointer(start: received, count: plan.ranks * own * width),
            counts: receivedCounts)
        }
        try arrived.withUnsafeMutableBytes {
          try group.exchange(
            sent, counts: sentCounts,
            into: UnsafeMutableRawBufferPointer(rebasing: $0[..<receivedCounts.reduce(0, +)]),
            counts: receivedCounts)
        }
      }
      guard rounds > 1 else { continue }
      var (place, node) = (0, 0)
      for count in counts {
        if round < count {
          arrived.withUnsafeBufferPointer {
            (received + (node + round) * own).update(from: $0.start + place, count: own)
          }
          place += own
        }
        node += count
      }
    }
  }

  /// Sums gradients of rows: the rows of a token at the rank of its number modulo R.
  private mutating func reduceRows(
    _ path: ParameterPath, width: Int, _ sums: [(Int, Int)], over group: any RankGroup
  ) throws {
    let own = nodes.compactMap { node -> RowGradient? in
      guard case .rows(let rows)? = node.gradients[path] else { return nil }
      return rows
    }
    let parts = (0..<group.size).map { owner in
      own.flatMap { $0.selecting { Int($0) % group.size == owner }.encoded }
    }
    var arrived = try group.exchange(parts).flatMap { RowGradient.decoded($0, width: width) }
    for (left, right) in sums { arrived[left].add(arrived[right]) }
    let all = try group.gather(arrived[0].encoded).flatMap {
      RowGradient.decoded($0, width: width)
    }
    var sum = RowGradient(width: width)
    for rows in all { sum.add(rows) }
    nodes[0].gradients[path] = .rows(sum)
  }
}
