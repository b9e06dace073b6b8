// Files of the gguf package: the log-probabilities of the model that it was given.

import Foundation
import TestSupport
import Testing
import UnrollInterchange
import UnrollTensors

@testable import UnrollNeural

@Suite struct GGUFReferenceTests {
  private struct References: Decodable {
    let ids: [Int]
    let logprobs: [String: [Double]]
  }

  @Test(arguments: ["lstm", "gru-alignment-128"])
  func logProbabilitiesAreThoseOfTheProducer(name: String) throws {
    let references = try JSONDecoder().decode(
      References.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("gguf/references.json"))))
    let checkpoint = try GGUFFormat.read(
      MappedFile(path: Fixtures.path("gguf/\(name).gguf")), options: ReadingOptions()
    ).checkpoint
    let model = try ReferenceModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters)
    let values = model.logProbabilities(of: references.ids)
    let expected = try #require(references.logprobs[name])
    #expect(values.count == 16 && expected.count == 16)
    // PyTorch computed in single precision.
    for (value, expected) in zip(values, expected) { #expect(abs(value - expected) < 1e-6) }
  }
}
