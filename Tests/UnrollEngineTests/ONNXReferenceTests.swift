// Graphs of ONNX give the log-probabilities of ONNX Runtime.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

@Suite("Log-probabilities of ONNX graphs") struct ONNXReferenceTests {
  @Test("An ONNX graph gives the log-probabilities of ONNX Runtime")
  func numbersOfRuntime() throws {
    let references = try References("onnx")
    #expect(references.logprobs.count == 10)
    let tokens = Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word)
    for name in references.logprobs.keys {
      let checkpoint = try ONNXFormat.read(
        MappedFile(path: Fixtures.path("onnx/\(name).onnx")),
        options: ReadingOptions(vocabulary: tokens)
      ).checkpoint
      // The runtime computes in single precision.
      try references.expect(checkpoint, toBe: name, within: 2e-6)
    }
  }
}
