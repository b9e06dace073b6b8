// Work on all cores: results in order, the first error.

import Testing
import UnrollTensors

@Suite("Concurrency") struct ConcurrencyTests {
  private struct Failure: Error, Equatable { let index: Int }

  @Test("Concurrent results are in the order of the elements")
  func orderOfResults() {
    #expect(concurrentMap(Array(0..<1000)) { $0 * $0 } == (0..<1000).map { $0 * $0 })
    #expect(concurrentMap([Int]()) { $0 } == [])
  }

  @Test("The error of the lowest index is thrown")
  func lowestError() {
    #expect(throws: Failure(index: 3)) {
      try forEachConcurrently(100) { index throws(Failure) in
        if index >= 3 { throw Failure(index: index) }
      }
    }
  }
}
