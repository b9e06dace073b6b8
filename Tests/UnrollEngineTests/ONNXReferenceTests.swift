// Graphs of ONNX give the log-probabilities of ONNX Runtime.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

@testable import UnrollNeural

@Suite struct ONNXReferenceTests {
  private struct References: Decodable {
    let ids: [Int]
    let logprobs: [String: [Double]]
  }

  @Test func logProbabilitiesAreThoseOfTheRuntime() throws {
    let references = try JSONDecoder().decode(
      References.self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("onnx/references.json"))))
    #expect(references.logprobs.count == 10)
    let tokens = Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word)
    for (name, expected) in references.logprobs {
      let checkpoint = try ONNXFormat.read(
        MappedFile(path: Fixtures.path("onnx/\(name).onnx")),
        options: ReadingOptions(vocabulary: tokens)
      ).checkpoint
      let model = try ReferenceModel(
        architecture: checkpoint.architecture, parameters: checkpoint.parameters)
      let values = model.logProbabilities(of: references.ids)
      #expect(values.count == 16 && expected.count == 16)
      // The runtime computes in single precision.
      for (value, expected) in zip(values, expected) {
        #expect(abs(value - expected) < 2e-6, "\(name)")
      }
    }
  }
}
