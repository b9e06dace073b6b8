// Graphs of ONNX and files of TheanoLM with more than one language model in them: named, and left out on
// request.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// The files of `fixtures/onnx-account`, made by `scripts/make/onnx-account-fixtures`, and
/// `fixtures/theanolm/extra-layer.h5`.
@Suite("Unexpected parts of ONNX graphs and TheanoLM files") struct AccountTests {
  private func convert(_ name: String, ignoring ignored: Set<String> = []) throws -> Conversion {
    var options = ReadingOptions(
      vocabulary: Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word))
    options.ignored = ignored
    return try ONNXFormat.read(
      MappedFile(path: Fixtures.path("onnx-account/\(name).onnx")), options: options)
  }

  private func refusal(_ name: String, ignoring ignored: Set<String> = []) throws
    -> InterchangeError
  {
    try #require(#expect(throws: InterchangeError.self) { try convert(name, ignoring: ignored) })
  }

  private func expect(_ conversion: Conversion, toBe name: String) throws {
    // The runtime computes in single precision.
    try References("onnx-account").expect(conversion.checkpoint, toBe: name, within: 3e-6)
  }

  // MARK: - Results

  @Test("States, logits and probabilities among the outputs of an ONNX graph change nothing")
  func resultsOfOneModel() throws {
    let conversion = try convert("results-of-one-model")
    #expect(conversion.notes.isEmpty)
    try expect(conversion, toBe: "results-of-one-model")
  }

  @Test("A second output layer of an ONNX graph is refused by name until one is ignored")
  func secondLinearResults() throws {
    for name in ["two-heads", "tags-first"] {
      let error = try refusal(name)
      #expect(
        error.found.contains("y of the weight U") && error.found.contains("tags of the weight U2"))
      #expect(error.fix.contains("--ignore "))
      let conversion = try convert(name, ignoring: ["tags"])
      #expect(conversion.notes.map(\.description) == ["tags: ignored, as requested"])
      try expect(conversion, toBe: name)
    }
    // The other head is a language model, too, and not this one.
    let other = try convert("two-heads", ignoring: ["y"])
    #expect(try difference(other, from: "two-heads") > 0.1)
  }

  private func difference(_ conversion: Conversion, from name: String) throws -> Double {
    let references = try References("onnx-account")
    let model = try ReferenceModel(
      architecture: conversion.checkpoint.architecture, parameters: conversion.checkpoint.parameters
    )
    let expected = try #require(references.logprobs[name])
    return zip(model.tokenLogProbabilities(of: references.ids), expected).map { abs($0 - $1) }.max()
      ?? 0
  }

  @Test(
    "An output of an ONNX graph that is computed from other weights is refused by name",
    arguments: [("scaled-states", "scaled"), ("second-recurrent", "other")])
  func resultsOfOtherWeights(name: String, result: String) throws {
    let error = try refusal(name)
    #expect(error.place == result && error.fix.contains("--ignore NAME"))
    try expect(try convert(name, ignoring: [result]), toBe: name)
  }

  // MARK: - Constants

  @Test("An unused constant of an ONNX graph is noted, or ignored on request")
  func unreadConstants() throws {
    let conversion = try convert("unread-constant")
    #expect(
      conversion.notes.map(\.description) == [
        "unread: not preserved: no result of the graph is computed from it"
      ])
    try expect(conversion, toBe: "unread-constant")
    #expect(
      try convert("unread-constant", ignoring: ["unread"]).notes.map(\.message) == [
        "ignored, as requested"
      ])
  }

  @Test("Names that the model needs, or that the graph does not have, cannot be ignored")
  func neededNamesAreNotIgnored() throws {
    for name in ["u", "W", "one"] {
      let error = try refusal("two-heads", ignoring: [name, "tags"])
      #expect(error.place == name && error.found == "one that it is computed from")
    }
    #expect(try refusal("two-heads", ignoring: ["none"]).place == "none")
    #expect(try refusal("results-of-one-model", ignoring: ["y", "z", "p"]).place == "graph")
  }

  @Test(
    "An initial state whose size is derived from other axes is refused",
    arguments: ["refused-size-reshaped", "refused-size-squeezed"])
  func sizesOfStates(name: String) throws {
    let error = try refusal(name)
    #expect(error.place == "altered0")
    #expect(error.expected == "operations that leave every number with its token")
  }

  // MARK: - TheanoLM

  private func readTheanoLM(
    _ name: String, ignoring ignored: Set<String> = []
  ) throws -> Conversion {
    var options = ReadingOptions()
    options.ignored = ignored
    return try TheanoLMFormat.read(
      MappedFile(path: Fixtures.path("theanolm/\(name).h5")), options: options)
  }

  @Test("A TheanoLM dataset outside the architecture is refused, or ignored on request")
  func datasetsOfTheanoLM() throws {
    let error = try #require(
      #expect(throws: InterchangeError.self) { try readTheanoLM("extra-layer") })
    #expect(error.found.contains("/layers/highway_4/input/W, /layers/highway_4/input/b"))
    let whole = try readTheanoLM("lstm")
    let rest = try readTheanoLM("extra-layer", ignoring: ["/layers/highway_4"])
    #expect(rest.checkpoint.architecture == whole.checkpoint.architecture)
    #expect(rest.notes.contains { $0.message == "ignored, as requested (2 names)" })
  }

  @Test("A TheanoLM dataset that the model needs cannot be ignored")
  func neededDatasetsOfTheanoLM() {
    for name in ["/layers/lstm_2", "/vocabulary/words"] {
      let error = #expect(throws: InterchangeError.self) {
        try readTheanoLM("lstm", ignoring: [name])
      }
      #expect(error?.found == "one that it is made of")
    }
  }
}
