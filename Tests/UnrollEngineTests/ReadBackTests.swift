// An exported model gives the same results when it is read back.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTensors

@testable import UnrollEngine

@Suite("Verification of written files") struct ReadBackTests {
  @Test(
    "An exported model is read back with equal tensors and log-probabilities",
    arguments: [Cell.lstm, .gru, .rnn], [false, true])
  func exportedModels(cell: Cell, isTied: Bool) throws {
    try withTemporaryFolder { folder in
      var checkpoint = Checkpoint.small(cell: cell, tied: isTied, hidden: [7, 5])
      for (format, name) in [
        (PyTorchFormat.self as any ForeignFormat.Type, "a.pt"), (SafetensorsFormat.self, "a.st"),
      ] {
        let found = try export(checkpoint, as: format, to: "\(folder)/\(name)")
        #expect(found.tensors == checkpoint.architecture.parameters.count)
        #expect(found.tokens == 4 && found.largestDifference == 0)
      }
      guard cell == .rnn else { return }
      // Activations that a state_dict does not hold are no difference of numbers.
      checkpoint.architecture.layers[1].activation = .relu
      #expect(try export(checkpoint, as: PyTorchFormat.self, to: "\(folder)/b.pt").tokens == 4)
    }
  }

  /// The figures in a checkpoint's history are those of the file itself.
  @Test("A converted checkpoint records the result of reading it back")
  func recordedFigures() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.unroll.h5"
      var checkpoint = Checkpoint.small(cell: .gru)
      checkpoint.provenance = [
        ProvenanceEntry(operation: "convert", tool: "test", arguments: "", inputs: "")
      ]
      let found = try writeConverted(checkpoint, to: path)
      let count = checkpoint.architecture.parameters.count
      #expect(found.tensors == count && found.tokens == 4 && found.largestDifference == 0)
      let examination = try Examination(of: path, upTo: .bytes)
      #expect(examination.findings.allSatisfy { $0.level != .error })
      let entry = try Checkpoint(examination).provenance.last
      #expect(
        entry?.outcome
          == "read back: \(count) tensors equal bit for bit, log-probabilities of 4 tokens equal")
      #expect(entry?.weightsDigest == checkpoint.weightsDigest)
    }
  }

  @Test("A file whose verification fails is not kept")
  func failedVerification() throws {
    try withTemporaryFolder { folder throws in
      let path = "\(folder)/a.unroll.h5"
      #expect(throws: CancellationError.self) {
        try Checkpoint.small().write(to: path) { back in
          #expect(back.architecture == Checkpoint.small().architecture)
          throw CancellationError()
        }
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
  }

  @Test("Log-probabilities of NaN compare as equal when read back")
  func equalNaNs() throws {
    try withTemporaryFolder { folder throws in
      var checkpoint = Checkpoint.small()
      let shape = try #require(checkpoint.parameters[.outputBias]?.shape)
      checkpoint.parameters[.outputBias] = Tensor(
        [Float](repeating: .nan, count: shape.elementCount ?? 0), shape: shape)
      let found = try export(checkpoint, as: PyTorchFormat.self, to: "\(folder)/a.pt")
      #expect(found.largestDifference == 0)
    }
  }
}
