// Files of torch.save in which something beside names and numbers decides what a model computes.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

/// The files of `fixtures/torch-modules`, made by `scripts/make-torch-modules-fixtures`.
@Suite("Classes, bits and settings of PyTorch's files") struct TorchModulesTests {
  private func convert(
    _ name: String, _ change: (inout ReadingOptions) throws -> Void = { _ in }
  ) throws -> Conversion {
    var options = ReadingOptions(
      vocabulary: Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word))
    try change(&options)
    let file = try MappedFile(path: Fixtures.path("torch-modules/\(name)"))
    return try PyTorchFormat.read(file, options: options)
  }

  private func refusal(
    _ name: String, _ change: (inout ReadingOptions) throws -> Void = { _ in }
  ) throws -> String {
    let error = #expect(throws: InterchangeError.self) { try convert(name, change) }
    return try #require(error).description.replacing(Fixtures.path("torch-modules") + "/", with: "")
  }

  private func expect(_ conversion: Conversion, toBe name: String) throws {
    try References("torch-modules").expect(conversion.checkpoint, toBe: name, within: 1e-6)
  }

  private func notes(_ conversion: Conversion) -> [String] { conversion.notes.map(\.description) }

  /// A map in a file of its own.
  private func map(_ text: String) throws -> NameMap {
    let path = NSTemporaryDirectory() + "unroll-modules-\(UUID().uuidString).json"
    try Data(text.utf8).write(to: URL(filePath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try NameMap(contentsOf: path)
  }

  // MARK: - Bits

  @Test(
    "Tensors with the negative bit have the other sign, in both containers",
    arguments: ["negative.pt", "negative-legacy.pt", "negative-parts.pt"])
  func negativeBit(name: String) throws {
    try expect(try convert(name), toBe: "negative")
  }

  @Test("Metadata that sets nothing changes nothing")
  func metadataThatSetsNothing() throws {
    try expect(try convert("metadata-false.pt"), toBe: "negative")
  }

  @Test(
    "Other metadata of a tensor is refused by its name",
    arguments: [
      ("conjugate", "sets the string \"conj\""), ("unknown", "sets the string \"backend\""),
      ("number", "sets the string \"neg\""), ("list", "the arguments of _rebuild_tensor_v2"),
    ])
  func otherMetadata(name: String, message: String) throws {
    let refusal = try refusal("refused-metadata-\(name).pt")
    #expect(refusal.contains("decoder.bias: expected") && refusal.contains(message))
  }
}
