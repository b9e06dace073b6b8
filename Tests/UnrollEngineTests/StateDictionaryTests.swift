// State_dicts of AWD-LSTM, fastai, projections and one-hot input, and tutorials' networks: their
// producers' log-probabilities.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

@testable import UnrollNeural

/// The files of `fixtures/statedict`, made by `scripts/make/statedict-fixtures`.
@Suite("State_dicts of AWD-LSTM, fastai and tutorials") struct StateDictionaryTests {
  private func convert(_ name: String, _ options: ReadingOptions? = nil) throws -> Conversion {
    let tokens = Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word)
    return try PyTorchFormat.read(
      MappedFile(path: Fixtures.path("statedict/\(name).pt")),
      options: options ?? ReadingOptions(vocabulary: tokens))
  }

  private func notes(_ name: String) throws -> [String] {
    try convert(name).notes.map { "\($0)".replacing("\(name)/data.pkl", with: "data.pkl") }
  }

  @Test(
    "A state_dict of AWD-LSTM or fastai gives the log-probabilities of its producer",
    arguments: ["fastai", "awd-list", "projection", "one-hot"])
  func numbersOfProducers(name: String) throws {
    let references = try References("statedict")
    let checkpoint = try convert(name).checkpoint
    // Producers compute in single precision.
    try references.expect(checkpoint, toBe: name, within: 1e-6)
  }

  /// The formulas of the tutorials, computed with NumPy.
  @Test(
    "Networks of tutorials give the numbers of their formulas",
    arguments: ["rnn-tutorial", "min-char-rnn"])
  func networksOfTutorials(name: String) throws {
    let references = try References("numpy")
    let tokens = Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word)
    let checkpoint = try NumPyFormat.read(
      MappedFile(path: Fixtures.path("numpy/\(name).npz")),
      options: ReadingOptions(vocabulary: tokens)
    ).checkpoint
    try references.expect(checkpoint, toBe: name, within: 1e-12)
  }

  @Test("Layers, ties, projections and one-hot input follow from names and shapes")
  func layersTiesAndWidths() throws {
    let fastai = try convert("fastai").checkpoint.architecture
    #expect(fastai.isTied && fastai.layers.map(\.hiddenSize) == [9, 6])
    let awd = try convert("awd-list").checkpoint.architecture
    #expect(awd.isTied && awd.layers.map(\.hiddenSize) == [7, 5])
    let projected = try convert("projection").checkpoint.architecture
    #expect(projected.layers.map(\.projectionSize) == [3, 3])
    #expect(projected.layers.map(\.inputSize) == [5, 3])
    let oneHot = try convert("one-hot").checkpoint.architecture
    #expect(oneHot.input == .oneHot && oneHot.embeddingSize == 11 && !oneHot.isTied)
  }

  /// The library notes the names of ties, or gets copies, which are no ties any more.
  @Test("Ties of safetensors are those in its metadata, and equal copies are not tied")
  func tiesOfSafetensors() throws {
    let options = ReadingOptions(
      vocabulary: Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word))
    let (expected, tied, copied) = (
      try convert("fastai").checkpoint,
      try SafetensorsFormat.read(
        MappedFile(path: Fixtures.path("statedict/fastai-model.safetensors")), options: options),
      try SafetensorsFormat.read(
        MappedFile(path: Fixtures.path("statedict/fastai-copies.safetensors")), options: options)
    )
    #expect(tied.checkpoint.architecture == expected.architecture)
    #expect(tied.checkpoint.weightsDigest == expected.weightsDigest)
    #expect(tied.notes.count == 1)
    #expect(!copied.checkpoint.architecture.isTied)
    #expect(
      copied.notes.map(\.description).filter { !$0.contains("assumed") } == [
        "0.encoder_dp.emb.weight: not preserved: equal to 0.encoder.weight",
        "1.decoder.weight: equal to 0.encoder.weight but stored apart: not tied",
      ])
  }

  @Test("Optimizers, weight copies and assumptions are noted")
  func conversionNotes() throws {
    let copies = [0, 1].map {
      "rnns.\($0).module.weight_hh_l0: not preserved: rnns.\($0).module.weight_hh_l0_raw has the weight "
        + "without dropout"
    }
    #expect(
      try notes("awd-list") == copies + [
        "data.pkl: assumed from names and shapes: encoder.weight, rnns.0.module to rnns.1.module one "
          + "after the other, decoder.weight, softmax",
        "data.pkl: not preserved: an object made by torch.optim.sgd.SGD",
      ])
    #expect(
      try notes("fastai") == [
        "data.pkl: not preserved: opt",
        "data.pkl: assumed from names and shapes: 0.encoder.weight, 0.rnns.0.module to "
          + "0.rnns.1.module one after the other, 1.decoder.weight, softmax",
      ])
    #expect(
      try notes("one-hot") == [
        "data.pkl: assumed from names and shapes: one-hot input, rnn, decoder.weight, softmax"
      ])
  }

  /// AWD-LSTM saves under ASGD with the averages in the weights' place.
  @Test("An ASGD training without its current weights is noted as not exactly resumable")
  func averagedWeights() throws {
    #expect(
      try notes("awd-asgd").last
        == "data.pkl: not preserved: an object made by torch.optim.asgd.ASGD; the weights are its "
        + "averages, and those that its training goes on from are not in the file: it cannot be "
        + "resumed exactly")
    #expect(
      try notes("awd-asgd-iterate").last
        == "data.pkl: not preserved: an object made by torch.optim.asgd.ASGD")
  }

  @Test("Two models in a list are refused until --root chooses one")
  func twoModels() throws {
    let error = #expect(throws: InterchangeError.self) { try convert("refused-two-models") }
    #expect(error?.expected == "one model")
    #expect(error?.found == "several: 0, 1")
    #expect(error?.fix == "choose one, such as `--root 0`")
  }

  @Test(
    "A state_dict of each kind is written to PyTorch and safetensors and read back",
    arguments: ["fastai", "awd-list", "projection", "one-hot"])
  func roundTrip(name: String) throws {
    let checkpoint = try convert(name).checkpoint
    try withTemporaryFolder { folder in
      // Each writer reads its file back and compares every bit.
      try PyTorchFormat.export(checkpoint, to: "\(folder)/a.pt")
      try SafetensorsFormat.export(checkpoint, to: "\(folder)/a.safetensors")
    }
  }

  /// A model that fastai saved comes back under fastai's names; AWD-LSTM's come back from its own.
  @Test("Models are written under the names of fastai and AWD-LSTM and come back")
  func namesOfOtherPrograms() throws {
    try withTemporaryFolder { folder in
      for (name, format) in [
        ("fastai", FastaiFormat.self), ("awd-list", AWDFormat.self),
      ] as [(String, any ForeignFormat.Type)] {
        let checkpoint = try convert(name).checkpoint
        let path = "\(folder)/a.\(format.fileExtensions[0])"
        #expect(AllFormats.format(named: path)?.name == format.name)
        try format.export(checkpoint, to: path)
        #expect(try format.exportNotes(for: checkpoint).count == 2)
        let back = try PyTorchFormat.read(
          MappedFile(path: path), options: ReadingOptions(vocabulary: checkpoint.vocabulary))
        #expect(back.checkpoint.weightsDigest == checkpoint.weightsDigest)
        #expect(back.notes.map(\.message).contains { $0.contains("rnns.0.module to ") })
      }
      for other in [try convert("one-hot"), try convert("projection")] {
        #expect(throws: InterchangeError.self) {
          try FastaiFormat.exportNotes(for: other.checkpoint)
        }
        #expect(throws: InterchangeError.self) { try AWDFormat.exportNotes(for: other.checkpoint) }
      }
    }
  }

  // MARK: - Names that the caller gives

  @Test("Names in a map take precedence, and a name that is not there is refused")
  func namesOfMap() throws {
    let vocabulary = Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word)
    let map = ["head.weight": "decoder.weight", "head.bias": "decoder.bias"]
    let named = try convert(
      "one-hot", ReadingOptions(vocabulary: vocabulary, map: NameMap(names: map)))
    // The map states the role of the output: it is not assumed.
    #expect(
      named.notes.contains {
        $0.message.contains(": one-hot input, rnn") && !$0.message.contains("head.weight")
      })
    let error = #expect(throws: InterchangeError.self) {
      try convert("fastai", ReadingOptions(map: NameMap(names: ["encoder.weight": "embed"])))
    }
    #expect(error?.place == "embed")
    #expect(error?.expected == "a tensor of this name, as the map says")
  }
}
