// Files of the gguf package: the log-probabilities of the model that it was given.

import Foundation
import TestSupport
import Testing
import UnrollInterchange
import UnrollTensors

@Suite("Log-probabilities of GGUF files") struct GGUFReferenceTests {
  @Test(
    "A GGUF file gives the log-probabilities of the model that wrote it",
    arguments: ["lstm", "gru-alignment-128"])
  func numbersOfProducer(name: String) throws {
    let references = try References("gguf")
    let checkpoint = try GGUFFormat.read(
      MappedFile(path: Fixtures.path("gguf/\(name).gguf")), options: ReadingOptions()
    ).checkpoint
    // Producers compute in single precision.
    try references.expect(checkpoint, toBe: name, within: 1e-6)
  }
}
