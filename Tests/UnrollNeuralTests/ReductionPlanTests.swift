// The order of sums over shards, for any number of ranks.

import Testing

@testable import UnrollNeural

@Suite("Sums over shards") struct ReductionPlanTests {
  @Test("Each shard belongs to one rank, each stream to one shard, and each element to one slice")
  func parts() {
    for shards in 1...17 {
      for ranks in 1...shards {
        let plan = ReductionPlan(shards: shards, ranks: ranks)
        #expect((0..<ranks).flatMap(plan.shards(of:)) == Array(0..<shards))
        #expect((0..<ranks).flatMap(plan.nodes(of:)).flatMap { $0 } == Array(0..<shards))
        #expect((0..<ranks).allSatisfy { !plan.shards(of: $0).isEmpty })
        for B in [shards, shards + 3, 64] {
          #expect((0..<shards).flatMap { plan.columns(ofShard: $0, of: B) } == Array(0..<B))
          #expect((0..<ranks).flatMap { plan.columns(ofRank: $0, of: B) } == Array(0..<B))
          #expect((0..<shards).allSatisfy { !plan.columns(ofShard: $0, of: B).isEmpty })
        }
        for count in [0, 1, 5, 100] {
          #expect((0..<ranks).flatMap { plan.slice(of: $0, count: count) } == Array(0..<count))
        }
      }
    }
    #expect(ReductionPlan(shards: 3).columns(ofShard: 1, of: .max / 2 * 2).count == .max / 3)
  }

  /// Sums texts as the plan sums numbers: `(a+b)`.
  private func sum(_ plan: ReductionPlan) -> String {
    var nodes: [Range<Int>] = []
    var texts: [String] = []
    for rank in 0..<plan.ranks {
      // A rank sums its own shards first, in the order in which they are computed.
      var own: [(node: Range<Int>, text: String)] = []
      for shard in plan.shards(of: rank) {
        own.append((shard..<shard + 1, "\(shard)"))
        while own.count > 1, plan.areHalves(own[own.count - 2].node, own[own.count - 1].node) {
          let right = own.removeLast()
          let left = own.removeLast()
          own.append(
            (left.node.lowerBound..<right.node.upperBound, "(\(left.text)+\(right.text))"))
        }
      }
      #expect(own.map(\.node) == plan.nodes(of: rank))
      nodes += own.map(\.node)
      texts += own.map(\.text)
    }
    for (left, right) in plan.sums(of: nodes) { texts[left] = "(\(texts[left])+\(texts[right]))" }
    return texts[0]
  }

  @Test("The order of the sum depends on the number of shards alone")
  func order() {
    #expect(sum(ReductionPlan(shards: 2)) == "(0+1)")
    #expect(sum(ReductionPlan(shards: 5)) == "(((0+1)+(2+3))+4)")
    #expect(sum(ReductionPlan(shards: 7)) == "(((0+1)+(2+3))+((4+5)+6))")
    for shards in 1...20 {
      let expected = sum(ReductionPlan(shards: shards))
      for ranks in 1...shards {
        #expect(sum(ReductionPlan(shards: shards, ranks: ranks)) == expected)
      }
    }
  }

  @Test("Ranks that are powers of two send one sum each")
  func oneNodeEach() {
    for shards in [1, 2, 4, 8, 16] {
      for ranks in [1, 2, 4, 8, 16] where ranks <= shards {
        let plan = ReductionPlan(shards: shards, ranks: ranks)
        #expect((0..<ranks).allSatisfy { plan.nodes(of: $0).count == 1 })
      }
    }
    #expect(ReductionPlan(shards: 4, ranks: 3).nodes(of: 2).count == 1)
    #expect(ReductionPlan(shards: 6, ranks: 2).nodes(of: 0) == [0..<2, 2..<3])
  }

  @Test("Sums of rows keep each token once, in order")
  func rows() {
    let first = RowGradient(inputs: [3, 1], gradients: [1, 2, 3, 4], width: 2)
    var sum = first
    sum.add(RowGradient(inputs: [0, 3], gradients: [5, 6, 7, 8], width: 2))
    #expect(sum.tokens == [0, 1, 3] && sum.values == [5, 6, 3, 4, 8, 10])
    var empty = RowGradient(width: 2)
    empty.add(first)
    #expect(empty.tokens == [1, 3] && empty.values == [3, 4, 1, 2])
    let coded = RowGradient.decoded(sum.encoded + first.encoded, width: 2)
    #expect(coded.map(\.tokens) == [[0, 1, 3], [1, 3]] && coded[0].values == sum.values)
    #expect(sum.selecting { $0 % 2 == 1 }.values == [3, 4, 8, 10])
  }
}
