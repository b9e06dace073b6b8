// From a producer's file to Unroll and back to the producer's format: every number returns, or an exception is stated.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

/// A producer's file, and the format that is written of it.
struct ProducerPair: Sendable, CustomTestStringConvertible {
  let file: String
  let format: any ForeignFormat.Type
  /// The exception, as a note of the export says it; `nil` if each number returns.
  var exception: String?
  var testDescription: String { "\(file) and \(format.name)" }
}

@Suite("Files of producers and back") struct PairTests {
  static let pairs: [ProducerPair] = [
    ProducerPair(file: "pytorch/lstm-state.pt", format: PyTorchFormat.self),
    ProducerPair(file: "pytorch/lstm-training.pt", format: PyTorchTrainingFormat.self),
    ProducerPair(file: "statedict/awd-list.pt", format: AWDFormat.self),
    ProducerPair(file: "statedict/fastai.pt", format: FastaiFormat.self),
    ProducerPair(file: "torch-programs/reinvent-gru.prior", format: ReinventFormat.self),
    ProducerPair(file: "torch-programs/reinvent4.prior", format: ReinventFormat.self),
    ProducerPair(file: "safetensors/lstm.safetensors", format: SafetensorsFormat.self),
    ProducerPair(file: "safetensors/gru-bfloat16.safetensors", format: SafetensorsFormat.self),
    ProducerPair(file: "mlx/lstm.safetensors", format: MLXFormat.self),
    ProducerPair(file: "mlx/gru.safetensors", format: MLXFormat.self),
    ProducerPair(file: "numpy/lstm.npz", format: NumPyFormat.self),
    ProducerPair(file: "gguf/lstm.gguf", format: GGUFFormat.self),
    ProducerPair(file: "onnx/lstm-script.onnx", format: ONNXFormat.self),
    ProducerPair(file: "onnx/gru-before.onnx", format: ONNXFormat.self),
    ProducerPair(file: "onnx/one-hot-input.onnx", format: ONNXFormat.self),
    ProducerPair(file: "keras/lstm.keras", format: KerasFormat.self),
    ProducerPair(file: "keras/gru.keras", format: KerasFormat.self),
    ProducerPair(file: "keras/lstm.weights.h5", format: KerasHDF5Format.self),
    ProducerPair(file: "tfjs/keras2/model.json", format: TensorFlowJSFormat.self),
    ProducerPair(file: "keras/gru.keras", format: TensorFlowFormat.self),
    ProducerPair(file: "onnx/lstm-script.onnx", format: SherpaFormat.self),
    // Left out: models that these formats lack.
    ProducerPair(
      file: "pytorch/lstm-state.pt", format: MLXFormat.self, exception: "the sum of the two biases"),
    ProducerPair(file: "pytorch/lstm-state.pt", format: KerasFormat.self, exception: "the sum of"),
    ProducerPair(
      file: "pytorch/lstm-state.pt", format: TensorFlowJSFormat.self, exception: "the sum of"),
  ]

  private func read(_ pair: ProducerPair) throws -> Checkpoint {
    let file = try MappedFile(path: Fixtures.path(pair.file))
    let format = try #require(AllFormats.format(of: file))
    var options = ReadingOptions()
    options.requiresVocabulary = false
    var checkpoint = try format.read(file, options: options).checkpoint
    if pair.format == SherpaFormat.self {
      checkpoint.vocabulary.endOfSentenceID = 3
      checkpoint.tokenizer.sentenceStart = .eos
    }
    return checkpoint
  }

  @Test(
    "A producer's file comes back bit for bit, or a note says what is rounded", arguments: pairs)
  func comesBack(_ pair: ProducerPair) throws {
    let checkpoint = try read(pair)
    let notes = try pair.format.exportNotes(for: checkpoint).map(\.description)
    try withTemporaryFolder { folder in
      let path = "\(folder)/model.\(try #require(pair.format.fileExtensions.first))"
      try pair.format.export(checkpoint, to: path)
      let file = try MappedFile(path: path)
      let format = try #require(AllFormats.format(of: file))
      var options = ReadingOptions()
      options.requiresVocabulary = false
      let back = try format.read(file, options: options).checkpoint
      if let exception = pair.exception {
        #expect(notes.contains { $0.contains(exception) }, "\(notes)")
        #expect(back.weightsDigest != checkpoint.weightsDigest)
      } else {
        #expect(back.weightsDigest == checkpoint.weightsDigest)
        #expect(back.architecture == checkpoint.architecture)
      }
    }
  }

  @Test("Each format that is written has a pair, and a row in the specification's table of them")
  func everyFormatHasAPair() throws {
    let text = try String(
      contentsOf: Fixtures.root.appending(path: "spec/INTERCHANGE.md"), encoding: .utf8)
    let table = try #require(text.firstMatch(of: #/\| format \| comes back \|.*\n((?:\|.*\n)+)/#))
    let listed = table.1.matches(of: #/(?m)^\| `([a-z0-9-]+)`/#).map { String($0.1) }
    #expect(listed == AllFormats.written.map { $0.name })
    let tested = Set(Self.pairs.filter { $0.exception == nil }.map { $0.format.name })
    #expect(tested == Set(listed))
  }
}
