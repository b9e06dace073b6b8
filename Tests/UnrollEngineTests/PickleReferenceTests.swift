// Files without an archive around them, as PyTorch and NumPy wrote them: PyTorch's log-probabilities.

import Foundation
import TestSupport
import Testing
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

@testable import UnrollNeural

@Suite struct PickleReferenceTests {
  private struct References: Decodable {
    let ids: [Int]
    let logprobs: [String: [Double]]
  }

  @Test(arguments: [
    ("state.pt", "state"), ("module.pt", "module"), ("training.pt", "training"),
    ("numpy1-protocol-2.pkl", "state"), ("numpy2-protocol-5.pkl", "state"),
  ])
  func logProbabilitiesAreThoseOfTheProducer(name: String, reference: String) throws {
    let references = try JSONDecoder().decode(
      References.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("pickles/references.json"))))
    let file = try MappedFile(path: Fixtures.path("pickles/\(name)"))
    let tokens = Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word)
    let checkpoint = try #require(AllFormats.format(of: file)).read(
      file, options: ReadingOptions(vocabulary: tokens)
    ).checkpoint
    let model = try ReferenceModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    let values = model.logProbabilities(of: references.ids)
    let expected = try #require(references.logprobs[reference])
    #expect(values.count == 16 && expected.count == 16)
    // PyTorch computed in single precision.
    for (value, expected) in zip(values, expected) { #expect(abs(value - expected) < 1e-6) }
  }
}
