// Estimates of a piece of work from a part of it.

import Testing

@testable import UnrollEngine

@Suite("Estimates of evaluations") struct EstimateTests {
  /// The position in a compressed text runs ahead of the text that was read, by 5 percent here.
  @Test("An estimate extrapolates from differences of the position in the text")
  func extrapolation() throws {
    var probe = EvaluationProbe(length: .zero)
    #expect(throws: EvaluationProbe.Enough.self) {
      for step in 1...3 {
        var perplexity = Perplexity(.stream)
        perplexity.predictions = 1000 * step
        try probe.add(
          EvaluationProgress(perplexity: perplexity, fraction: 0.05 + 0.05 * Double(step)))
      }
    }
    let estimate = try #require(probe.estimate)
    #expect(abs(estimate.predictions - 19_000) < 1e-6)
    #expect(abs(estimate.share - 3.0 / 19) < 1e-9)
  }
}
