// Recurrent layers of MLX: their names, their first layout, and MLX's numbers.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange
@testable import UnrollNeural

/// The files of `fixtures/mlx`, made by `scripts/make/mlx-fixtures`.
@Suite("Models of MLX") struct MLXTests {
  @Test(
    "Models of MLX have MLX's log-probabilities, with matrices transposed or not",
    arguments: ["lstm", "gru", "rnn", "unbiased", "early-lstm", "early-gru", "early-rnn"])
  func logProbabilitiesAreThoseOfMLX(name: String) throws {
    let conversion = try convertFixture("mlx/\(name).safetensors") { options in
      options.nonlinearity = name.hasSuffix("rnn") ? .tanh : nil
    }
    // MLX computes in single precision.
    try References("mlx").expect(conversion.checkpoint, toBe: name, within: 1e-5)
    #expect(!conversion.areGatesAssumed)
    #expect(
      conversion.notes.contains { $0.message.contains("first versions of MLX") }
        == name.hasPrefix("early"))
  }

  @Test("Arrays that MLX saves as .npz are read as its safetensors are")
  func archivesAreRead() throws {
    let conversion = try convertFixture("mlx/gru.npz")
    try References("mlx").expect(conversion.checkpoint, toBe: "gru", within: 1e-5)
    let other = try convertFixture("mlx/gru.safetensors").checkpoint
    #expect(conversion.checkpoint.weightsDigest == other.weightsDigest)
  }

  @Test("Square matrices of vanilla layers alone do not show whether they are transposed")
  func squareMatricesAreRefused() throws {
    let error = #expect(throws: InterchangeError.self) {
      try convertFixture("mlx/square.safetensors") { $0.nonlinearity = .tanh }
    }
    #expect(error?.found == "square ones")
    #expect(error?.fix.contains("--map") == true)
    let map = NameMap(names: [
      "encoder.weight": "embedding.weight", "rnn.weight_ih_l0": "layers.0.Wxh",
      "rnn.weight_hh_l0": "layers.0.Whh", "rnn.bias_l0": "layers.0.bias",
      "decoder.weight": "output.weight", "decoder.bias": "output.bias",
    ])
    let conversion = try convertFixture("mlx/square.safetensors") { options in
      (options.nonlinearity, options.map) = (.tanh, map)
    }
    try References("mlx").expect(conversion.checkpoint, toBe: "square", within: 1e-5)
  }

  @Test("A layer's two biases of a GRU are there, or none")
  func layersAreWhole() throws {
    let error = #expect(throws: InterchangeError.self) {
      try convertFixture("mlx/gru.safetensors") { $0.ignored = ["layers.0.bhn"] }
    }
    #expect(error != nil)
  }

  /// Writes a model, and returns the file's copy.
  private func trip(_ checkpoint: Checkpoint) throws -> Checkpoint {
    try withTemporaryFolder { folder in
      let path = "\(folder)/model.mlx.safetensors"
      #expect(AllFormats.format(named: path)?.name == "mlx")
      try MLXFormat.export(checkpoint, to: path)
      var back = try SafetensorsFormat.read(MappedFile(path: path), options: ReadingOptions())
        .checkpoint
      // The file goes; the numbers stay.
      for path in back.parameters.paths {
        guard let tensor = back.parameters[path] else { continue }
        back.parameters[path] = Tensor(tensor.floats() ?? [], shape: tensor.shape)
      }
      return back
    }
  }

  @Test("A model of MLX comes back bit for bit", arguments: ["lstm", "gru", "rnn", "unbiased"])
  func modelsOfMLXReturn(name: String) throws {
    let checkpoint = try convertFixture("mlx/\(name).safetensors") { options in
      options.nonlinearity = name == "rnn" ? .tanh : nil
    }.checkpoint
    #expect(try MLXFormat.exportNotes(for: checkpoint).isEmpty)
    let back = try trip(checkpoint)
    #expect(back.weightsDigest == checkpoint.weightsDigest)
    #expect(back.architecture == checkpoint.architecture)
    #expect(back.vocabulary.tokenBytes == checkpoint.vocabulary.tokenBytes)
  }

  @Test("Two biases become MLX's, rounded once, with a note", arguments: Cell.usual)
  func biasesAreAdded(cell: Cell) throws {
    let checkpoint = Checkpoint.small(cell: cell)
    let notes = try MLXFormat.exportNotes(for: checkpoint).filter {
      $0.message.contains("rounded to f32")
    }
    #expect(notes.count == 2)
    let back = try trip(checkpoint)
    let (ours, theirs) = (
      try ReferenceModel(architecture: checkpoint.architecture, parameters: checkpoint.parameters),
      try ReferenceModel(architecture: back.architecture, parameters: back.parameters)
    )
    let ids = [1, 4, 0, 7, 3, 2, 9]
    for (a, b) in zip(ours.tokenLogProbabilities(of: ids), theirs.tokenLogProbabilities(of: ids)) {
      #expect(abs(a - b) < 1e-6)
    }
  }

  @Test("A tie returns, and layers that MLX does not have are refused")
  func tiesAndRefusals() throws {
    #expect(try trip(.small(tied: true, hidden: [7, 5])).architecture.isTied)
    var projected = Checkpoint.small()
    projected.architecture.layers[0].projectionSize = 3
    var forgetful = Checkpoint.small()
    forgetful.architecture.layers[0].forgetBias = 1
    for checkpoint in [projected, forgetful] {
      #expect(throws: InterchangeError.self) { try MLXFormat.exportNotes(for: checkpoint) }
    }
  }
}
