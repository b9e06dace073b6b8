// Models in the layout of TheanoLM: log-probabilities by its equations, of ids and of lines of text.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTensors

@testable import UnrollEngine

@Suite("Log-probabilities of TheanoLM files") struct TheanoLMReferenceTests {
  private struct Lines: Decodable {
    let lines: [String]
    let lineLogprobs: [String: [Double]]
  }

  private func checkpoint(_ name: String) throws -> Checkpoint {
    let file = try MappedFile(path: Fixtures.path("theanolm/\(name).h5"))
    return try TheanoLMFormat.read(file, options: ReadingOptions()).checkpoint
  }

  @Test(
    "A TheanoLM file gives the log-probabilities of its equations",
    arguments: ["lstm", "gru", "fixed-words", "classes", "class-outputs"])
  func numbersOfEquations(
    name: String
  ) throws {
    // Both in double precision.
    try References("theanolm").expect(checkpoint(name), toBe: name, within: 1e-12)
  }

  /// Lines begin with <s> and end with </s>; words outside of the shortlist and unknown ones are <unk>.
  @Test(
    "Lines have the log-probabilities that TheanoLM gives them",
    arguments: ["lstm", "gru", "fixed-words", "classes", "class-outputs"])
  func linesOfText(
    name: String
  ) throws {
    let references = try JSONDecoder().decode(
      Lines.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("theanolm/references.json"))))
    let expected = try #require(references.lineLogprobs[name])
    let model = try LanguageModel(checkpoint(name), path: name)
    var found: [Double] = []
    try withTemporaryFolder { folder in
      let path = "\(folder)/text.txt"
      let text = references.lines.map { $0 + "\n" }.joined()
      try Data(text.utf8).write(to: URL(filePath: path))
      try model.score(text: path, ScoreSettings()) { score, _ in
        found.append(score.logProbability ?? 0)
      }
    }
    #expect(found.count == expected.count)
    // The engine computes in single precision.
    for (value, expected) in zip(found, expected) { #expect(abs(value - expected) < 1e-5) }
  }
}
