// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The running log-softmax against the textbook's.

import CUnrollKernels
import Foundation
import Testing

@Suite("Softmax") struct SoftmaxTests {
  /// The logarithm of the partition function of one row, taken in panel by panel.
  func logPartition(_ row: [Float], panels: [Range<Int>]) -> Double {
    var (maximum, sum) = (-Float.infinity, 0.0)
    for panel in panels {
      unroll_softmax_add_panel(Array(row[panel]), 1, panel.count, &maximum, &sum)
    }
    unroll_softmax_finish(&maximum, &sum, 1)
    return sum
  }

  @Test(
    "The log partition function equals the textbook formula, panel by panel",
    arguments: [1, 2, 15, 16, 17, 255, 256, 257, 1000, 3000])
  func partitionFunction(N: Int) {
    var generator = SeededGenerator(seed: UInt64(N))
    let row = generator.floats(N, in: -30...30)
    let expected = Naive.logSumExp(row)
    let cut = N / 3
    #expect(abs(logPartition(row, panels: [0..<N]) - expected) < 1e-6)
    #expect(abs(logPartition(row, panels: [0..<cut, cut..<N]) - expected) < 1e-6)
  }

  @Test(
    "The entropy equals the textbook formula, panel by panel",
    arguments: [1, 2, 15, 16, 17, 257, 3000])
  func entropies(N: Int) {
    var generator = SeededGenerator(seed: UInt64(N))
    var row = generator.floats(N, in: -30...30)
    if N > 2 { row[N / 2] = -.infinity }
    let logPartition = Naive.logSumExp(row)
    let expected = row.map { Double($0) - logPartition }.reduce(0) {
      $0 - ($1 == -.infinity ? 0 : exp($1) * $1)
    }
    for panels in [[0..<N], [0..<N / 3, N / 3..<N], [0..<N / 2, N / 2..<N]] {
      var (maximum, sum, entropy) = (-Float.infinity, 0.0, 0.0)
      for panel in panels {
        unroll_softmax_add_panel_with_entropy(
          Array(row[panel]), 1, panel.count, &maximum, &sum, &entropy)
      }
      unroll_softmax_entropy(&sum, &entropy, 1)
      unroll_softmax_finish(&maximum, &sum, 1)
      #expect(abs(entropy - expected) < 1e-6 && sum == self.logPartition(row, panels: panels))
    }
  }

  @Test("Large logits do not overflow")
  func largeLogits() {
    let row: [Float] = [-1e30, 3e38, 3e38, 100]
    // Not 3e38 + log 2: a double of that size cannot hold the difference.
    #expect(logPartition(row, panels: [0..<2, 2..<4]) == Double(Float(3e38)))
    #expect(abs(logPartition([-1000, -1000], panels: [0..<2]) - (log(2) - 1000)) < 1e-9)
  }

  @Test("Logits of minus infinity contribute nothing")
  func impossibleTokens() {
    let row: [Float] = [-.infinity, -.infinity, 1, 2, -.infinity]
    let expected = Naive.logSumExp([1, 2])
    #expect(abs(logPartition(row, panels: [0..<2, 2..<4, 4..<5]) - expected) < 1e-6)
  }

  @Test("NaN, infinity or no possible token gives NaN")
  func nan() {
    // Like PyTorch's log_softmax: -inf - -inf, inf - inf.
    var row: [Float] = [-.infinity, -.infinity]
    unroll_softmax_normalize(&row, 2, logPartition(row, panels: [0..<2]))
    #expect(row.allSatisfy { $0.isNaN })
    #expect(logPartition([1, .infinity], panels: [0..<2]).isNaN)
    for place in [0, 16, 20] {
      var row = [Float](repeating: -.infinity, count: 21)
      row[place] = .nan
      #expect(logPartition(row, panels: [0..<21]).isNaN)
    }
  }

  @Test("Rows of a softmax do not depend on each other")
  func independentRows() {
    var generator = SeededGenerator(seed: 7)
    let (M, N) = (37, 515)
    let rows = generator.floats(M * N, in: -9...9)
    var maxima = [Float](repeating: -.infinity, count: M)
    var sums = [Double](repeating: 0, count: M)
    unroll_softmax_add_panel(rows, M, N, &maxima, &sums)
    unroll_softmax_finish(maxima, &sums, M)
    for m in 0..<M {
      #expect(sums[m] == logPartition(Array(rows[m * N..<(m + 1) * N]), panels: [0..<N]))
    }
  }
}
