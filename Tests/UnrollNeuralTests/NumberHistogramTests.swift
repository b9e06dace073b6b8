// Histograms of parameters and gradients.

import Testing

@testable import UnrollNeural

@Suite("Histograms of numbers") struct NumberHistogramTests {
  @Test("A histogram counts each number once, also zeros that are not listed")
  func counts() throws {
    let values: [Float] = [-1, -0.5, 0.25, 2, 2]
    let histogram = try #require(NumberHistogram(values, zeros: 3))
    #expect(histogram.range == -1...2)
    #expect(histogram.sum == 2.75 && histogram.sumOfSquares == 9.3125)
    #expect(histogram.counts.count == 30 && histogram.counts.reduce(0, +) == 8)
    // Bins are 0.1 wide from -1 on.
    let found = histogram.counts.enumerated().filter { $0.element > 0 }
    #expect(found.map(\.offset) == [0, 5, 10, 12, 29] && found.map(\.element) == [1, 1, 3, 1, 2])
    let bounds = histogram.upperBounds
    #expect(bounds.count == 30 && bounds.last == 2 && abs(bounds[0] + 0.9) < 1e-12)
  }

  @Test(
    "Equal numbers are in one bin; no numbers, and numbers that are not finite, have no histogram")
  func special() throws {
    let equal = try #require(NumberHistogram([3, 3]))
    #expect(equal.counts[0] == 2 && equal.range == 3...3)
    #expect(NumberHistogram([], zeros: 2)?.sum == 0)
    #expect(NumberHistogram([]) == nil)
    #expect(NumberHistogram([1, .nan]) == nil && NumberHistogram([1, .infinity]) == nil)
  }
}
