// `convert` on HDF5 files: checkpoints, damaged ones, and models of other programs.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollHDF5
import UnrollInterchange

@testable import UnrollEngine

@Suite("Targets and inputs of conversions") struct ConvertTests {
  private let toPyTorch = ConversionOptions(target: .foreign(PyTorchFormat.self))

  @Test("Target formats are found by name and by file extension")
  func targets() {
    func name(_ target: ConversionTarget?) -> String {
      switch target {
      case .checkpoint: "unroll"
      case .foreign(let format): format.name
      case nil: "none"
      }
    }
    // ml5 is read only.
    #expect(
      ConversionTarget.names == [
        "unroll", "pytorch-training", "awd-lstm", "fastai", "reinvent", "pytorch", "mlx",
        "safetensors", "npz", "gguf", "sherpa-onnx", "onnx", "keras", "keras-h5", "tensorflowjs",
        "tensorflow",
      ])
    #expect(
      ["unroll", "pytorch-training", "pytorch", "safetensors", "ml5"].map {
        name(ConversionTarget(named: $0))
      } == [
        "unroll", "pytorch-training", "pytorch", "safetensors", "none",
      ])
    let outputs = ["a.pt", "a.PTH", "a.h5", "a.pt.h5", "a.bin", "pt", "a.unroll.h5"]
    #expect(
      outputs.map { name(ConversionTarget(output: $0)) } == [
        "pytorch", "pytorch", "unroll", "unroll", "unroll", "unroll", "unroll",
      ])
  }

  @Test("A map is refused for a format whose tensors have no names of their own")
  func mapWithoutNames() throws {
    try withTemporaryFolder { folder in
      let (manifest, map) = ("\(folder)/manifest.json", "\(folder)/map.json")
      try Data(#"{"basic_lstm_cell": 1, "softmax_w": 2}"#.utf8).write(to: URL(filePath: manifest))
      try Data(#"{"decoder.weight": "softmax_w"}"#.utf8).write(to: URL(filePath: map))
      var options = ConversionOptions()
      options.names = map
      let error = #expect(throws: InterchangeError.self) {
        try convert(manifest, options: options)
      }
      #expect(error?.expected == "a format whose tensors have names, for a map of them")
      #expect(error?.found == "ml5")
    }
  }

  @Test("Reading a checkpoint for conversion adds nothing to its provenance")
  func provenanceOfInput() throws {
    try withTemporaryFolder { folder in
      try Checkpoint.small().write(to: "\(folder)/a.h5")
      let conversion = try convert("\(folder)/a.h5", options: toPyTorch)
      #expect(conversion.notes == [])
      #expect(conversion.checkpoint.provenance.map(\.tool) == ["test"])
      #expect(conversion.checkpoint.architecture == Checkpoint.small().architecture)
    }
  }

  /// The digests are checked, since every number goes on into another file.
  @Test("A flipped bit of a checkpoint is found before it is converted")
  func flippedBit() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/a.h5"
      try Checkpoint.small().write(to: path)
      let weights = try #require(
        Checkpoint(contentsOf: path).parameters[.embeddingWeight]?.storage)
      guard case .mapped(_, let range) = weights else {
        Issue.record("a weight has to be mapped")
        return
      }
      var bytes = try Data(contentsOf: URL(filePath: path))
      bytes[range.lowerBound + 3] ^= 1
      try bytes.write(to: URL(filePath: path))
      let error = #expect(throws: InvalidCheckpoint.self) {
        try convert(path, options: toPyTorch)
      }
      #expect(error?.findings.first?.rule == "I001")
    }
  }

  @Test("HDF5 files of other programs, and damaged ones, are refused as such")
  func otherHDF5() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/keras.h5"
      let writer = try FileWriter(creating: path)
      try writer.createGroup("/model_weights")
      try writer.close()
      #expect(try refusal(path).found == "\"model_weights\"")
      var bytes = try Data(contentsOf: URL(filePath: path))
      bytes[8] = 0
      try bytes.write(to: URL(filePath: path))
      #expect(try refusal(path).found.hasPrefix("what libhdf5 refuses ("))
    }
  }

  /// Why a file is neither a checkpoint nor of Keras.
  private func refusal(_ path: String) throws -> InterchangeError {
    let error = #expect(throws: InterchangeError.self) {
      try convert(path, options: ConversionOptions())
    }
    let message = try #require(error)
    #expect(message.expected.contains("Keras"))
    return message
  }
}
