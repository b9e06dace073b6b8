// Graphs that predict from the last step, and graphs whose operations change what is computed.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// The files of `fixtures/onnx-forms`, made by `scripts/make/onnx-forms-fixtures`.
@Suite("Forms of ONNX graphs") struct ONNXFormsTests {
  private func convert(_ name: String) throws -> Conversion {
    try convertFixture("onnx-forms/\(name).onnx")
  }

  @Test("Graphs that predict from the last step or at each give ONNX Runtime's numbers")
  func logProbabilitiesAreThoseOfTheRuntime() throws {
    let references = try References("onnx-forms")
    #expect(references.logprobs.count == 16)
    for name in references.logprobs.keys.sorted() {
      // The runtime computes in single precision.
      try references.expect(convert(name).checkpoint, toBe: name, within: 3e-6)
    }
  }

  @Test(
    "A graph that predicts from the last step is read with a note",
    arguments: ["script-index", "script-state", "dynamo-index", "dynamo-logits", "tf-one-hot-last"])
  func lastStepsAreNoted(name: String) throws {
    #expect(
      try convert(name).notes.contains { $0.message.contains("from the last time step alone") })
  }

  @Test(
    "A graph that predicts at each step has no note on the last one",
    arguments: ["one-hot", "script-view"])
  func allStepsAreNotNoted(name: String) throws {
    #expect(try !convert(name).notes.contains { $0.message.contains("last time step") })
  }

  @Test("An operation that changes the function is refused by its node's name")
  func alteredGraphsAreRefused() throws {
    let refused = try JSONDecoder().decode(
      [String: [String]].self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("onnx-forms/refused.json"))))
    #expect(refused.count == 35)
    for (name, expected) in refused {
      let error = #expect(throws: InterchangeError.self, "\(name)") { try convert(name) }
      #expect([error?.place, error?.found] == expected, "\(name)")
    }
  }
}
