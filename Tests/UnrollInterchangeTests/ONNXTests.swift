// Graphs of ONNX: what is read of them, what is refused, and what damaged ones come to.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

/// The files of `fixtures/onnx`, made by `scripts/make/onnx-fixtures`.
@Suite("ONNX graphs") struct ONNXTests {
  private static let options = ReadingOptions(
    vocabulary: Vocabulary(tokens: (0..<11).map { "token\($0)".utf8 }, unit: .word))

  private func read(_ name: String) throws -> Conversion {
    let file = try MappedFile(path: Fixtures.path("onnx/\(name).onnx"))
    #expect(AllFormats.format(of: file)?.name == "onnx")
    return try ONNXFormat.read(file, options: Self.options)
  }

  @Test("ONNX operations give cells, biases, activations, ties and one-hot inputs")
  func operations() throws {
    let tied = try read("lstm-script")
    #expect(tied.checkpoint.architecture.isTied)
    #expect(
      tied.notes.map(\.message) == [
        "assumed: the output is tied, since its numbers are the embedding's"
      ])
    #expect(try !read("lstm-dynamo").checkpoint.architecture.isTied)
    let gru = try read("gru-batch-first").checkpoint.architecture.layers
    #expect(gru.map(\.reset) == [.after, .after] && gru.map(\.inputSize) == [5, 7])
    #expect(try read("gru-before").checkpoint.architecture.layers[0].reset == .before)
    let rnn = try read("rnn-relu-no-bias").checkpoint.architecture.layers[0]
    #expect(rnn.activation == .relu && rnn.bias == .none)
    let gates = try ["gru-hard-sigmoid", "lstm-hard-sigmoid"].map {
      try read($0).checkpoint.architecture.layers[0].gateActivation
    }
    #expect(gates == [0.25, 0.2].map { .hardSigmoid(alpha: $0, beta: 0.5) })
    for name in ["one-hot-input", "gemm-softmax"] {
      #expect(try read(name).checkpoint.architecture.input == .oneHot)
    }
  }

  @Test(
    "A graph that is not a stack of recurrent layers is refused by its operation",
    arguments: [
      ("reverse", "Y", "reverse"), ("clip", "Y", "the attribute clip"),
      ("activation", "Y", "Sigmoid, Softsign"), ("peepholes", "Y", "the input P"),
      ("state", "Y", "another initial_h"), ("attention", "Y", "the operation Attention"),
      ("quantised", "Y", "the operation DynamicQuantizeLSTM of com.microsoft"),
      ("axis", "y", "axis 0"), ("twice", "graph", "y, of the operation LogSoftmax"),
      ("ids", "turned", "the operation Slice"),
      ("learned", "Y", "another initial_h"),
      ("escape", "E", "the location ../pytorch/lstm-state.pt"),
    ])
  func otherGraphs(name: String, place: String, found: String) {
    let error = #expect(throws: InterchangeError.self) { try read("refused-\(name)") }
    #expect(error?.place == place && error?.found == found)
  }

  @Test("An ONNX model without tokens asks for a vocabulary")
  func missingVocabulary() throws {
    let file = try MappedFile(path: Fixtures.path("onnx/lstm-dynamo.onnx"))
    let error = #expect(throws: InterchangeError.self) {
      try ONNXFormat.read(file, options: ReadingOptions())
    }
    #expect(error?.expected == "a vocabulary of 11 tokens, one for each row")
  }

  @Test("External data is read from the model's folder only, and a short file is refused")
  func externalData() throws {
    #expect(try read("external").checkpoint.parameters[.embeddingWeight]?.shape == [11, 5])
    try withTemporaryFolder { folder in
      let path = "\(folder)/external.onnx"
      try FileManager.default.copyItem(
        atPath: Fixtures.path("onnx/external.onnx"), toPath: path)
      #expect(throws: FileError.self) {
        try ONNXFormat.read(MappedFile(path: path), options: Self.options)
      }
      // A link that leads out of the folder is no file of it.
      let data = "\(folder)/external.data"
      try FileManager.default.createSymbolicLink(
        atPath: data, withDestinationPath: Fixtures.path("onnx/external.data"))
      let outside = #expect(throws: InterchangeError.self) {
        try ONNXFormat.read(MappedFile(path: path), options: Self.options)
      }
      #expect(outside?.found == "the location external.data")
      try FileManager.default.removeItem(atPath: data)
      let bytes = try Data(
        contentsOf: URL(filePath: Fixtures.path("onnx/external.data")))
      try bytes.dropLast(5).write(to: URL(filePath: data))
      let short = #expect(throws: InterchangeError.self) {
        try ONNXFormat.read(MappedFile(path: path), options: Self.options)
      }
      #expect(short?.expected == "numbers inside the \(bytes.count - 5) bytes of external.data")
    }
  }

  @Test("bfloat16 weights are refused by ONNX")
  func bfloat16Weights() throws {
    var checkpoint = Checkpoint.small()
    let narrow = try checkpoint.parameters.map { try $0.converted(to: .bfloat16) }
    checkpoint.parameters = narrow
    let error = #expect(throws: InterchangeError.self) {
      try ONNXFormat.exportNotes(for: checkpoint)
    }
    #expect(error?.found == "bf16")
  }

  /// Damaged files are refused or read, and never more.
  @Test(
    "Damaged ONNX files are refused or read, and never trap",
    arguments: ["lstm-script", "gemm-softmax", "external", "refused-peepholes"])
  func damagedFiles(name: String) throws {
    let bytes = try Data(contentsOf: URL(filePath: Fixtures.path("onnx/\(name).onnx")))
    var generator = SeededGenerator(seed: 77)
    try withTemporaryFolder { folder in
      let path = "\(folder)/damaged.onnx"
      var refused = 0
      for round in 0..<120 {
        var mutant = bytes
        if round < 20 {
          mutant = mutant.prefix(Int.random(in: 0..<bytes.count, using: &generator))
        } else {
          for _ in 0..<Int.random(in: 1...3, using: &generator) {
            // Numbers of weights change nothing: most changes go to the rest of the file.
            let place = Int.random(
              in: 0..<(Bool.random(using: &generator) ? bytes.count : 400), using: &generator)
            mutant[place] = UInt8.random(in: 0...255, using: &generator)
          }
        }
        try mutant.write(to: URL(filePath: path))
        do {
          _ = try ONNXFormat.read(MappedFile(path: path), options: Self.options)
        } catch is InterchangeError {
          refused += 1
        } catch is FileError {
          refused += 1
        }
      }
      #expect(refused > 20)
    }
  }

  // MARK: - sherpa-onnx

  @Test("A graph for sherpa-onnx has its names and metadata, and comes back bit for bit")
  func graphsForSherpa() throws {
    try withTemporaryFolder { folder in
      for var checkpoint in [Checkpoint.small(hidden: [7, 7, 7]), .small(tied: true, hidden: [5])] {
        checkpoint.tokenizer.sentenceStart = .eos
        let path = "\(folder)/model.sherpa.onnx"
        #expect(AllFormats.format(named: path)?.name == "sherpa-onnx")
        try SherpaFormat.export(checkpoint, to: path, replacing: true)
        let file = try MappedFile(path: path)
        let graph = try ONNXModel(file)
        #expect(graph.inputs == ["x", "h0", "c0"])
        #expect(graph.outputs == ["log_softmax", "next_h0", "next_c0"])
        let layers = checkpoint.architecture.layers
        let metadata = [
          "sos_id": "3", "eos_id": "3", "vocab_size": "11", "num_layers": "\(layers.count)",
          "hidden_size": "\(layers[0].hiddenSize)", "embedding_dim": "5", "model_type": "rnnlm",
        ]
        for (key, value) in metadata { #expect(graph.metadata[key] == value, "\(key)") }
        let back = try #require(AllFormats.format(of: file)).read(file, options: ReadingOptions())
        #expect(back.checkpoint.architecture == checkpoint.architecture)
        #expect(back.checkpoint.weightsDigest == checkpoint.weightsDigest)
        #expect(back.checkpoint.vocabulary.tokenBytes == checkpoint.vocabulary.tokenBytes)
        #expect(back.notes.isEmpty, "\(back.notes)")
      }
    }
  }

  @Test("Models that sherpa-onnx does not run are refused by what they have")
  func modelsThatSherpaDoesNotRun() throws {
    func refusal(_ checkpoint: Checkpoint) -> String? {
      let error = #expect(throws: InterchangeError.self) {
        try SherpaFormat.exportNotes(for: checkpoint)
      }
      return error.map { "\($0.expected), found \($0.found)" }
    }
    #expect(refusal(.small(cell: .gru))?.hasSuffix("found gru") == true)
    #expect(refusal(.small(hidden: [7, 6]))?.hasSuffix("found 7, 6") == true)
    var open = Checkpoint.small(hidden: [7, 7])
    open.tokenizer.sentenceStart = .none
    #expect(refusal(open) == "a token from which lines start, found none")
    var half = Checkpoint.small(hidden: [7, 7])
    half.parameters = try half.parameters.map { try $0.converted(to: .float16) }
    #expect(refusal(half)?.hasSuffix("found f16") == true)
  }
}
