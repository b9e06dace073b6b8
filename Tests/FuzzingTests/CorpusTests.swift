// Every input that the fuzzers kept: none traps, and each is refused or accepted as it was.

import Foundation
import TestSupport
import Testing
import UnrollTensors

@testable import UnrollInterchange

@Suite("Fuzzing corpus") struct CorpusTests {
  /// The snapshot counts the inputs by what came of them.
  @Test(
    "Inputs of the fuzzing corpus are refused or accepted as in the snapshot",
    arguments: FuzzTarget.allCases)
  func outcomes(_ target: FuzzTarget) throws {
    let corpus = try ZipArchive(
      MappedFile(path: Fixtures.path("fuzzing/\(target.rawValue).zip")))
    var counts: [String: Int] = [:]
    try withTemporaryFolder { folder in
      for record in corpus.records.values {
        let input = corpus.storage(of: record).withUnsafeBytes { Array($0) }
        let outcome = try target.outcome(of: input, at: "\(folder)/input")
        counts[outcome, default: 0] += 1
      }
    }
    let lines = counts.sorted { $0.key < $1.key }.map { "\($0.value) x \($0.key)\n" }
    expectSnapshot(lines.joined(), "Tests/Snapshots/fuzzing-\(target.rawValue).txt")
  }
}
