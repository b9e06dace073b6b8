// Graphs that keep or break rules of ONNX: read where ONNX Runtime runs them, with its numbers, else refused.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

/// The files of `fixtures/onnx-rules`, made by `scripts/make/onnx-rules-fixtures`.
@Suite("Rules of ONNX graphs") struct ONNXRulesTests {
  private func convert(_ name: String) throws -> Conversion {
    try convertFixture("onnx-rules/\(name).onnx")
  }

  private func refusal(_ name: String) throws -> InterchangeError {
    try #require(
      #expect(throws: InterchangeError.self, "\(name)") { try convert(name) })
  }

  @Test("Sizes, activations, axes and zero states that ONNX Runtime runs give its numbers")
  func runningGraphs() throws {
    let references = try References("onnx-rules")
    #expect(references.logprobs.count == 25)
    for name in references.logprobs.keys.sorted() {
      // The runtime computes in single precision.
      try references.expect(convert(name).checkpoint, toBe: name, within: 3e-6)
    }
  }

  @Test("Sizes, activations and axes that ONNX Runtime refuses are refused by the node's name")
  func refusedGraphs() throws {
    let names = try JSONDecoder().decode(
      [String].self,
      from: Data(contentsOf: URL(filePath: Fixtures.path("onnx-rules/refused.json"))))
    #expect(names.count == 31)
    for name in names {
      let error = try refusal(name)
      let node = name.prefix { $0 != "-" }
      let place =
        ["squeeze", "slice"].contains(node) ? String(node) : node == "unsqueeze" ? "axis" : "layer"
      #expect(error.place == place, "\(name)")
    }
    #expect(try refusal("lstm-size-missing").found == "none")
    #expect(try refusal("gru-size-larger").found == "14")
    #expect(try refusal("squeeze-input-7").found == "axes as an input in operator set 7")
    #expect(
      try refusal("unsqueeze-attribute-17").found == "axes as an attribute in operator set 17")
    #expect(try refusal("slice-input-9").found == "starts as an input in operator set 9")
  }

  @Test("An operation before the first layer or behind the output is named")
  func furtherOperations() throws {
    let scaled = try refusal("other-embedding")
    #expect(scaled.place == "x" && scaled.found == "the operation Mul")
    #expect(try refusal("other-logits").found == "y, of the operation Mul")
  }
}
