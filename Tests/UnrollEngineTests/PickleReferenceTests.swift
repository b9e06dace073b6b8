// Files without an archive around them, as PyTorch and NumPy wrote them: PyTorch's log-probabilities.

import Foundation
import TestSupport
import Testing
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

@Suite("Log-probabilities of pickled models") struct PickleReferenceTests {
  @Test(
    "A pickled model gives the log-probabilities of PyTorch",
    arguments: [
      ("state.pt", "state"), ("module.pt", "module"), ("training.pt", "training"),
      ("numpy1-protocol-2.pkl", "state"), ("numpy2-protocol-5.pkl", "state"),
    ])
  func numbersOfPyTorch(name: String, reference: String) throws {
    let references = try References("pickles")
    let file = try MappedFile(path: Fixtures.path("pickles/\(name)"))
    let tokens = Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word)
    let checkpoint = try #require(AllFormats.format(of: file)).read(
      file, options: ReadingOptions(vocabulary: tokens)
    ).checkpoint
    // Producers compute in single precision.
    try references.expect(checkpoint, toBe: reference, within: 1e-6)
  }
}
