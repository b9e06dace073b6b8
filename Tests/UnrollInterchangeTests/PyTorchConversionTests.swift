// Every convertible fixture, tensor by tensor against PyTorch's digests.

import Crypto
import Foundation
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("Conversion of PyTorch files") struct PyTorchConversionTests {
  @Test("Every tensor of every PyTorch fixture has PyTorch's digest, shape and type")
  func tensorsOfPyTorch() throws {
    let files = try PyTorchFixtures.expectedTensors()
    #expect(files.count == 24)
    for (file, tensors) in files {
      let checkpoint = try PyTorchFixtures.convert(file, nonlinearity: Self.asked(file)).checkpoint
      for (name, expected) in tensors {
        try check(expected, of: name, in: checkpoint, file: file)
      }
      let owned = tensors.count - (checkpoint.architecture.isTied ? 1 : 0)
      #expect(checkpoint.parameters.paths.count == owned, "\(file)")
      #expect(checkpoint.parameters.paths.count == checkpoint.architecture.parameters.count)
    }
  }

  /// A state_dict does not name the activation of a plain cell.
  private static func asked(_ file: String) -> Activation? {
    switch file {
    case "rnn_tanh-state.pt": .tanh
    case "rnn_relu-state.pt": .relu
    default: nil
    }
  }

  private func check(
    _ expected: PyTorchFixtures.ExpectedTensor, of name: String, in checkpoint: Checkpoint,
    file: String
  ) throws {
    let path = try #require(Self.path(of: name))
    if path == .outputWeight && checkpoint.architecture.isTied {
      #expect(checkpoint.parameters[path] == nil)
      return
    }
    let tensor = try #require(checkpoint.parameters[path], "\(file): \(name)")
    let digest = tensor.withUnsafeBytes { SHA256.hash(data: Data($0)) }
    #expect(
      digest.map { String(format: "%02x", $0) }.joined() == expected.sha256, "\(file): \(name)")
    #expect(tensor.shape == Shape(expected.shape), "\(file): \(name)")
    #expect("\(tensor.dtype)" == expected.dtype, "\(file): \(name)")
  }

  private static func path(of name: String) -> ParameterPath? {
    let parts = name.split(separator: ".").map(String.init)
    switch (parts[0], parts[1]) {
    case ("encoder", _), ("emb", _): return .embeddingWeight
    case (_, "weight"): return .outputWeight
    case (_, "bias"): return .outputBias
    default:
      guard let layer = parts[1].last?.wholeNumberValue else { return nil }
      return LayerParameter(rawValue: String(parts[1].dropLast(3))).map { .layer(layer, $0) }
    }
  }

  @Test("Embedding and output in one storage are tied, and equal ones in two are not")
  func ties() throws {
    for file in ["lstm-tied-state.pt", "lstm-tied-module.pt"] {
      #expect(try PyTorchFixtures.convert(file).checkpoint.architecture.isTied)
    }
    let equal = try PyTorchFixtures.convert("lstm-equal-not-tied.pt")
    #expect(!equal.checkpoint.architecture.isTied)
    #expect(
      equal.notes.last?.description
        == "decoder.weight: equal to encoder.weight but stored apart: not tied")
  }

  @Test("A whole PyTorch module states the activation of its RNN")
  func activationOfModules() throws {
    let layers = try ["rnn_tanh-module.pt", "rnn_relu-module.pt"].map {
      try PyTorchFixtures.convert($0).checkpoint.architecture.layers
    }
    #expect(
      layers
        == [.tanh, .relu].map {
          [LayerArchitecture(cell: .rnn, inputSize: 5, hiddenSize: 7, activation: $0)]
        })
  }

  @Test("Layers and biases are those of the state_dict")
  func layersAndBiases() throws {
    let gru = try PyTorchFixtures.convert("gru-two-layers-module.pt").checkpoint.architecture
    #expect(
      gru.layers == [
        LayerArchitecture(cell: .gru, inputSize: 5, hiddenSize: 7),
        LayerArchitecture(cell: .gru, inputSize: 7, hiddenSize: 7),
      ])
    let bare = try PyTorchFixtures.convert("lstm-bias-free.pt").checkpoint.architecture
    #expect(
      bare.layers == [LayerArchitecture(cell: .lstm, inputSize: 5, hiddenSize: 7, bias: .none)])
    #expect(bare.hasOutputBias)
  }

  @Test("Contiguous tensors are mapped, and transposed ones are copied")
  func mappedTensors() throws {
    let parameters = try PyTorchFixtures.convert("lstm-transposed.pt").checkpoint.parameters
    guard case .owned = parameters[.embeddingWeight]?.storage else {
      Issue.record("a transposed tensor has to be copied")
      return
    }
    guard case .mapped = parameters[.outputWeight]?.storage else {
      Issue.record("a contiguous tensor has to be mapped")
      return
    }
  }

  @Test("Conversion notes name assumptions, removed prefixes and what is not preserved")
  func conversionNotes() throws {
    #expect(
      try PyTorchFixtures.convert("gru-two-layers-module.pt").notes.map(\.description) == [
        "gru-two-layers-module/data.pkl: assumed from names and shapes: "
          + "encoder.weight, rnn, decoder.weight, softmax",
        "drop: not preserved: dropout 0.25", "rnn: not preserved: dropout 0.25",
      ])
    #expect(
      try PyTorchFixtures.convert("lstm-training.pt").notes.first?.description
        == "lstm-training/data.pkl: not preserved: epoch")
    let optimizer = try PyTorchFixtures.convert("lstm-training.pt").checkpoint.optimizer
    #expect(optimizer?.kind == .adam && optimizer?.groups.map(\.step) == [0])
    #expect(
      try PyTorchFixtures.convert("lstm-data-parallel.pt").notes.first?.description
        == "lstm-data-parallel/data.pkl: prefix `module.` removed from all names")
    #expect(
      try PyTorchFixtures.convert("lstm-no-crc.pt").notes.first?.description
        == "lstm-state/data.pkl: not checked: the file holds no CRC-32 for it")
  }

  @Test("PyTorch fixtures are recognized by their content, and no other file is")
  func formatOfContent() throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: PyTorchFixtures.path(""))
    for name in files {
      let file = try MappedFile(path: PyTorchFixtures.path(name))
      let isTorch = name.hasSuffix(".pt")
      #expect((AllFormats.format(of: file) != nil) == isTorch, "\(name)")
    }
  }
}
