// Safetensors with a config.json and tokens beside them, as Hugging Face's folders have them.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollInterchange
import UnrollTensors
import UnrollTokenization

@testable import UnrollEngine

@Suite("Safetensors with config.json and tokens beside them") struct CompanionTests {
  /// Writes a file as the library does, without metadata of ours, and others beside it.
  private func withModel(
    _ checkpoint: Checkpoint, leavingOut: [String] = [], renaming: [String: String] = [:],
    _ files: [String: String], _ body: (String) throws -> Void
  ) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/model.safetensors"
      try Self.bytes(of: checkpoint, leavingOut: leavingOut, renaming: renaming)
        .write(to: URL(filePath: path))
      for (name, text) in files {
        try Data(text.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
      }
      try body(path)
    }
  }

  /// The output of `safetensors.torch.save_file` for a state_dict: f32, no metadata.
  private static func bytes(
    of checkpoint: Checkpoint, leavingOut: [String], renaming: [String: String]
  ) throws -> Data {
    var (members, data) = ([String](), Data())
    let isTied = checkpoint.architecture.isTied
    let tensors =
      checkpoint.architecture.parameters.map { ($0.path, $0.path) }
      + (isTied ? [(ParameterPath.outputWeight, .embeddingWeight)] : [])
    for (path, owner) in tensors {
      let parts = path.description.split(separator: "/").map(String.init)
      var name =
        switch parts[1] {
        case "embedding": "encoder.weight"
        case "layers": "rnn.\(parts[3])_l\(Int(parts[2]) ?? 0)"
        default: "decoder.\(parts[2])"
        }
      guard !leavingOut.contains(name), let tensor = checkpoint.parameters[owner] else { continue }
      name = renaming[name] ?? name
      let bytes = tensor.withUnsafeBytes { Data($0) }
      let end = data.count + bytes.count
      members.append(
        "\"\(name)\":{\"dtype\":\"F32\",\"shape\":\(tensor.shape.dimensions),"
          + "\"data_offsets\":[\(data.count),\(end)]}")
      data += bytes
    }
    let header = Data("{\(members.joined(separator: ","))}".utf8)
    return withUnsafeBytes(of: UInt64(header.count).littleEndian) { Data($0) } + header + data
  }

  private static let list = ["words.txt": (0..<11).map { "w\($0)\n" }.joined()]

  private func convert(
    _ path: String, nonlinearity: Activation? = nil, from list: String? = "words.txt"
  ) throws -> Conversion {
    let folder = URL(filePath: path).deletingLastPathComponent().path
    let source = list.map { VocabularySource.list("\(folder)/\($0)") } ?? .file
    return try UnrollEngine.convert(
      path, options: ConversionOptions(vocabulary: source, nonlinearity: nonlinearity))
  }

  private func expectSame(_ a: Checkpoint, _ b: Checkpoint) {
    #expect(a.architecture == b.architecture)
    #expect(a.weightsDigest == b.weightsDigest)
  }

  // MARK: config.json

  /// Configurations as word_language_model, fastai and Hugging Face's programs write them.
  @Test(
    "A config.json that agrees with the tensors is noted and recorded",
    arguments: [
      #"{"model":"LSTM","emsize":5,"nhid":7,"nlayers":2,"tied":false,"dropout":0.2,"cuda":true}"#,
      #"{"emb_sz":5,"n_hid":7,"n_layers":2,"tie_weights":false,"bidir":false,"output_p":0.25}"#,
      #"{"model_type":"lstm","vocab_size":11,"embedding_dim":5,"hidden_size":[7,7],"architectures":["Poet"]}"#,
      #"{"model_type":"my-poet","hidden_size":7,"num_hidden_layers":2,"activation":"gelu"}"#,
    ])
  func agreeingConfigurations(text: String) throws {
    let checkpoint = Checkpoint.small(hidden: [7, 7])
    #expect(checkpoint.architecture.embeddingSize == 5)
    try withModel(checkpoint, Self.list.merging(["config.json": text]) { $1 }) { path in
      let conversion = try convert(path)
      expectSame(conversion.checkpoint, checkpoint)
      #expect(conversion.notes.contains { $0.place == "config.json" && $0.isHarmless })
      // The history names the file.
      let entry = conversion.checkpoint.provenance.last
      #expect(entry?.arguments.contains("configuration=file") == true)
      #expect(entry?.inputs.contains(" config.json") == true)
    }
  }

  @Test(
    "A config.json that contradicts the tensors is refused by its key",
    arguments: [
      (
        #"{"model_type":"gru"}"#, "the recurrent layers", "gru, as model_type of config.json",
        "lstm"
      ),
      (#"{"vocab_size":12}"#, "the output's rows", "12, as vocab_size of config.json", "11"),
      (#"{"emsize":6}"#, "the embedding's columns", "6, as emsize of config.json", "5"),
      (#"{"nhid":8}"#, "the width of the first layer", "8, as nhid of config.json", "7"),
      (#"{"hidden_size":[7,8]}"#, "the widths of the layers", "7, 8, as hidden_size", "7, 7"),
      (#"{"n_layers":3}"#, "the number of recurrent layers", "3, as n_layers of config.json", "2"),
      (#"{"vocab_size":11,"ntoken":12}"#, "ntoken", "11, as vocab_size says", "12"),
      (#"{"model":"LSTM","model_type":"gru"}"#, "model", "gru, as model_type says", "lstm"),
      (#"{"nhid":"7"}"#, "nhid", "a width, or one for each layer", "another value"),
      (#"{"tied":1}"#, "tied", "true or false", "another value"),
      ("[]", "", "a JSON object", "something else"), ("{", "", "a JSON object", "something else"),
      (#"{"tied":true}"#, "tied weights", "true, as tied of config.json", "two of other numbers"),
    ])
  func contradictingConfigurations(
    text: String, place: String, expected: String, found: String
  ) throws {
    try withModel(
      .small(hidden: [7, 7]), Self.list.merging(["config.json": text]) { $1 }
    ) { path in
      let error = #expect(throws: InterchangeError.self) { try convert(path) }
      #expect(error?.place == place && error?.found == found, "\(String(describing: error))")
      #expect(error?.expected.hasPrefix(expected) == true, "\(String(describing: error))")
    }
  }

  @Test("A config.json gives vanilla RNN layers their activation")
  func activations() throws {
    var checkpoint = Checkpoint.small(cell: .rnn)
    for index in checkpoint.architecture.layers.indices {
      checkpoint.architecture.layers[index].activation = .relu
    }
    for text in [
      #"{"rnn_type":"RNN_RELU"}"#, #"{"cell":"rnn","nonlinearity":"relu"}"#,
      #"{"nonlinearity":"relu"}"#,
    ] {
      try withModel(checkpoint, Self.list.merging(["config.json": text]) { $1 }) { path in
        expectSame(try convert(path).checkpoint, checkpoint)
        let error = #expect(throws: InterchangeError.self) {
          try convert(path, nonlinearity: .tanh)
        }
        #expect(error?.place == "--nonlinearity" && error?.found == "tanh")
      }
    }
  }

  /// The weight stands there once, under either name, or twice.
  @Test(
    "A config.json ties embedding and output under any of their names",
    arguments: [[], ["decoder.weight"], ["encoder.weight"]],
    [[:], ["encoder.weight": "tok.emb.weight"]])
  func ties(
    leavingOut: [String], renaming: [String: String]
  ) throws {
    let checkpoint = Checkpoint.small(tied: true, hidden: [7, 5])
    let text = #"{"tie_word_embeddings":true,"hidden_size":7}"#
    try withModel(
      checkpoint, leavingOut: leavingOut, renaming: renaming,
      Self.list.merging(["config.json": text]) { $1 }
    ) { path in
      let conversion = try convert(path)
      expectSame(conversion.checkpoint, checkpoint)
      #expect(!conversion.notes.contains { $0.message.contains("not tied") })
    }
  }

  @Test("A config.json with reset_after false puts the GRU's reset gate before the product")
  func resetGate() throws {
    let checkpoint = Checkpoint.small(cell: .gru)
    try withModel(
      checkpoint, Self.list.merging(["config.json": #"{"reset_after":false}"#]) { $1 }
    ) { path in
      let layers = try convert(path).checkpoint.architecture.layers
      #expect(layers.allSatisfy { $0.reset == .before })
    }
  }

  @Test("Unroll's own metadata takes precedence over files beside the tensors")
  func ownMetadata() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/model.safetensors"
      try SafetensorsFormat.export(.small(), to: path)
      for name in ["config.json", "tokenizer.json", "vocab.txt"] {
        try Data(#"{"n_layers":9}"#.utf8).write(to: URL(filePath: "\(folder)/\(name)"))
      }
      let conversion = try convert(path, from: nil)
      expectSame(conversion.checkpoint, .small())
      #expect(conversion.notes.isEmpty)
    }
  }

  // MARK: Tokens

  @Test("A tokenizer.json beside the tensors gives vocabulary and tokenizer, with a note")
  func tokenizerFile() throws {
    let words = ["[UNK]"] + (1..<11).map { "w\($0)" }
    let vocabulary = words.enumerated().map { "\"\($1)\":\($0)" }.joined(separator: ",")
    let tokenizer =
      #"{"version":"1.0","added_tokens":[],"normalizer":null,"pre_tokenizer":{"type":"BertPreTokenizer"},"#
      + #""post_processor":null,"decoder":null,"model":{"type":"WordPiece","unk_token":"[UNK]","#
      + #""continuing_subword_prefix":"\#("##")","max_input_chars_per_word":100,"vocab":{\#(vocabulary)}}}"#
    try withModel(.small(), ["tokenizer.json": tokenizer]) { path in
      let conversion = try convert(path, from: nil)
      #expect(conversion.checkpoint.vocabulary.text(of: 3) == "w3")
      #expect(conversion.checkpoint.tokenizer.kind == .wordpiece)
      #expect(conversion.notes.contains { $0.place == "tokenizer.json" && $0.isHarmless })
    }
  }

  @Test(
    "Token files beside the tensors are named with the option that reads them",
    arguments: [
      (["vocab.txt"], "--vocabulary vocab.txt"), (["itos.pkl"], "--vocabulary itos.pkl"),
      (["vocab.json", "merges.txt"], "--tokenizer merges.txt --vocabulary vocab.json"),
      (["spiece.model"], "--tokenizer spiece.model"), ([], "--corpus FOLDER"),
    ])
  func otherTokenFiles(names: [String], option: String) throws {
    let files = Dictionary(uniqueKeysWithValues: names.map { ($0, "a\n") })
    try withModel(.small(), files) { path in
      let error = #expect(throws: InterchangeError.self) { try convert(path, from: nil) }
      #expect(error?.fix.contains(option) == true, "\(String(describing: error))")
    }
  }
}
