// Warnings about features that a state_dict cannot hold, and refusals, which leave no file behind.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("Notes and refusals of PyTorch exports") struct PyTorchLossTests {
  private static let always = [
    "/vocabulary: not preserved: 11 tokens; `--write-vocabulary FILE` writes the list that "
      + "`unroll convert --vocabulary FILE` reads",
    "/tokenizer: not preserved: how text becomes tokens (whitespace)",
    "/provenance: not preserved: its history, 1 step",
  ]

  private func losses(_ checkpoint: Checkpoint) throws -> [String] {
    try PyTorchFormat.exportNotes(for: checkpoint).map(\.description)
  }

  @Test("Export notes say that vocabulary, tokenizer and provenance are not preserved")
  func standardNotes() throws {
    #expect(try losses(Checkpoint.small(hidden: [7, 7])) == Self.always)
  }

  @Test("Export notes of a vanilla RNN name the option for the way back")
  func activationNotes() throws {
    let notes = try losses(Checkpoint.small(cell: .rnn, hidden: [7], activation: .relu))
    #expect(
      notes == Self.always + [
        "/model/layers: not preserved: the activation relu of vanilla RNN layers; to convert back, "
          + "`--nonlinearity relu`"
      ])
    var mixed = Checkpoint.small(cell: .rnn, hidden: [7, 7], activation: .relu)
    mixed.architecture.layers[0].activation = .tanh
    #expect(
      try losses(mixed) == Self.always + [
        "/model/layers: the layers differ, so each is a module of its own, rnns.0 to rnns.1; they "
          + "follow one another in this order",
        "/model/layers: not preserved: the activations of vanilla RNN layers, of which some are tanh and "
          + "some relu; no option of `unroll convert` says that on the way back",
      ])
    // It is written all the same: the numbers are all there.
    try withTemporaryFolder { try PyTorchFormat.export(mixed, to: "\($0)/a.pt") }
  }

  @Test("Export notes name special tokens that a list does not preserve")
  func specialTokenNotes() throws {
    var checkpoint = Checkpoint.small(hidden: [7])
    checkpoint.vocabulary.endOfSentenceID = 0
    checkpoint.vocabulary.unknownID = nil
    #expect(
      try losses(checkpoint)[1...2] == [
        "/vocabulary: not preserved, nor in the list: the token for end of sentence is the, not <eos>",
        "/vocabulary: not preserved, nor in the list: the token for unknown words is none, not <unk>",
      ])
  }

  @Test("Export notes say that optimizer and training state are not preserved")
  func trainingNotes() throws {
    var checkpoint = Checkpoint.small(hidden: [7])
    checkpoint.optimizer = OptimizerState(kind: .sgd, step: 40, groups: [])
    checkpoint.training = TrainingState(
      data: TrainingData(trainDigest: "", validDigest: "", tokens: 9, columns: 1, window: 2),
      schedule: LearningRateSchedule(.constant))
    #expect(
      try losses(checkpoint) == Self.always + [
        "/optimizer: not preserved: sgd after 40 steps",
        "/training: not preserved: the training state: its position, hidden states and records",
      ])
  }

  @Test("A missing, misshapen or integer tensor refuses the export, and no file is created")
  func invalidTensors() throws {
    var missing = Checkpoint.small(hidden: [7])
    missing.parameters[.layer(0, .weightHH)] = nil
    var misshapen = Checkpoint.small(hidden: [7])
    misshapen.parameters[.outputBias] = Tensor([1, 2], shape: [2])
    var integers = Checkpoint.small(hidden: [7])
    integers.parameters[.outputBias] = Tensor([UInt8](repeating: 1, count: 11))
    let fix = "\n  fix: give the checkpoint a tensor for each of its architecture's parameters"
    let cases = [
      (
        missing,
        "the checkpoint: /model/layers/00/weight_hh: expected floating-point numbers of shape [28, 7], found none"
      ),
      (
        misshapen,
        "the checkpoint: /model/output/bias: expected floating-point numbers of shape [11], found f32 of shape [2]"
      ),
      (
        integers,
        "the checkpoint: /model/output/bias: expected floating-point numbers of shape [11], found u8 of shape [11]"
      ),
    ]
    for (checkpoint, message) in cases {
      let error = #expect(throws: InterchangeError.self) {
        try PyTorchFormat.exportNotes(for: checkpoint)
      }
      #expect(error?.description == message + fix)
      try withTemporaryFolder { folder throws in
        #expect(throws: InterchangeError.self) {
          try PyTorchFormat.export(checkpoint, to: "\(folder)/a.pt")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
      }
    }
  }

  @Test("A written file that reads back as another model is refused")
  func differentModel() throws {
    try withTemporaryFolder { folder throws in
      try PyTorchFormat.export(Checkpoint.small(seed: 1), to: "\(folder)/a.pt")
      let error = #expect(throws: InterchangeError.self) {
        try PyTorchFormat.compare("\(folder)/a.pt", with: Checkpoint.small(seed: 2)) { _ in }
      }
      #expect(error?.place == "/model/embedding/weight")
      let other = #expect(throws: InterchangeError.self) {
        try PyTorchFormat.compare("\(folder)/a.pt", with: Checkpoint.small(cell: .gru)) { _ in }
      }
      #expect(other?.place == "/model")
    }
  }

  @Test("An existing file is replaced only on request")
  func existingFile() throws {
    try withTemporaryFolder { folder throws in
      let path = "\(folder)/a.pt"
      try Data("precious".utf8).write(to: URL(filePath: path))
      #expect(throws: FileError("write", path: path, code: EEXIST)) {
        try PyTorchFormat.export(Checkpoint.small(), to: path)
      }
      #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
      try PyTorchFormat.export(Checkpoint.small(), to: path, replacing: true)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a.pt"])
      _ = try TorchFile(MappedFile(path: path))
    }
  }

  // MARK: - Vocabulary lists

  @Test("A written token list reads back as the same vocabulary")
  func tokenList() throws {
    try withTemporaryFolder { folder throws in
      let vocabulary = Checkpoint.small().vocabulary
      try VocabularyList(vocabulary, path: "\(folder)/a.txt").write(to: "\(folder)/a.txt")
      let back = try Vocabulary(listedIn: "\(folder)/a.txt")
      #expect(back.tokenBytes == vocabulary.tokenBytes)
      #expect(back.tokenOffsets == vocabulary.tokenOffsets)
      #expect(back.endOfSentenceID == 3 && back.unknownID == 10)
    }
  }

  @Test(
    "A token that cannot be a line refuses the token list",
    arguments: [
      (Array("a\nb".utf8), "a token without the end of a line in it"),
      (Array("a\rb".utf8), "a token without the end of a line in it"),
      ([], "a token that is not empty"), ([0xFF], "a token of UTF-8"),
    ])
  func tokensWithoutLines(token: [UInt8], expected: String) throws {
    let vocabulary = Vocabulary(tokens: [[97], token, [98]], unit: .word)
    let error = #expect(throws: InterchangeError.self) {
      try VocabularyList(vocabulary, path: "v.txt")
    }
    #expect(error?.place == "token 1")
    #expect(error?.expected == expected)
  }

  @Test(
    "Tokens with line ends are written as JSON, and a list of lines is refused with that advice")
  func charactersAreWrittenAsJSON() throws {
    let tokens = ["\n", "\r", "a", " ", "\"", "\\", "é", "\u{1}", "\u{2028}"]
    let vocabulary = Vocabulary(tokens: tokens.map { Array($0.utf8) }, unit: .character)
    try withTemporaryFolder { folder throws in
      let path = "\(folder)/v.JSON"
      try VocabularyList(vocabulary, path: path).write(to: path)
      let back = try Vocabulary(contentsOf: path, format: .json)
      #expect(back.tokenBytes == vocabulary.tokenBytes)
      #expect(back.tokenOffsets == vocabulary.tokenOffsets)
      let array = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: path)))
      #expect(array as? [String] == tokens)
      let error = #expect(throws: InterchangeError.self) {
        try VocabularyList(vocabulary, path: "v.txt")
      }
      #expect(error?.fix.contains("ends in .json") == true)
      let bytes = Vocabulary(tokens: [[0xFF]], unit: .word)
      #expect(throws: InterchangeError.self) { try VocabularyList(bytes, path: path) }
    }
  }

  @Test("A token list that reads back differently is refused, and no file is created")
  func differentTokenList() throws {
    // No list may have a token twice.
    let vocabulary = Vocabulary(tokens: ["a", "b", "a"].map { Array($0.utf8) }, unit: .word)
    try withTemporaryFolder { folder throws in
      #expect(throws: TextError.self) {
        try VocabularyList(vocabulary, path: "v.txt").write(to: "\(folder)/v.txt")
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
    }
  }
}
