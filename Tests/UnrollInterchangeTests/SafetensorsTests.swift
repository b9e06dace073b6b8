// Safetensors: what is written is read, the library's own bytes, and headers that lie.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite("Safetensors") struct SafetensorsTests {
  private func bytes(_ checkpoint: Checkpoint) -> [ParameterPath: [UInt8]] {
    Dictionary(
      uniqueKeysWithValues: checkpoint.parameters.paths.map { path in
        (path, checkpoint.parameters[path]?.withUnsafeBytes { Array($0) } ?? [])
      })
  }

  private func read(_ path: String, _ options: ReadingOptions = ReadingOptions()) throws
    -> Conversion
  {
    try SafetensorsFormat.read(MappedFile(path: path), options: options)
  }

  @Test(
    "A model of each kind comes back from safetensors with vocabulary and tokenizer",
    arguments: PyTorchExportTests.models)
  func roundTrip(model: PyTorchExportTests.Model) throws {
    var original = PyTorchExportTests().checkpoint(model, seed: 21)
    original.vocabulary.counts = (0..<11).map { $0 == 3 ? .max : UInt64($0) }
    original.vocabulary.kinds = (0..<11).map { $0 == 10 ? .unknown : .normal }
    original.tokenizer = Tokenizer(
      kind: .character, sentenceStart: .none, appendsEndOfSentence: false, space: "_")
    try withTemporaryFolder { folder in
      for name in ["a", "b"] {
        try SafetensorsFormat.export(original, to: "\(folder)/\(name).safetensors")
      }
      let conversion = try read("\(folder)/a.safetensors")
      let back = conversion.checkpoint
      #expect(back.architecture == original.architecture && bytes(back) == bytes(original))
      for path in back.parameters.paths {
        #expect(back.parameters[path]?.dtype == model.dtype)
      }
      #expect(back.vocabulary.tokenBytes == original.vocabulary.tokenBytes)
      #expect(back.vocabulary.tokenOffsets == original.vocabulary.tokenOffsets)
      #expect(back.vocabulary.counts == original.vocabulary.counts)
      #expect(back.vocabulary.kinds == original.vocabulary.kinds)
      #expect(back.vocabulary.endOfSentenceID == 3 && back.vocabulary.unknownID == 10)
      #expect(back.tokenizer == original.tokenizer)
      #expect(conversion.notes.isEmpty, "\(conversion.notes)")
      let files = try ["a", "b"].map {
        try Data(contentsOf: URL(filePath: "\(folder)/\($0).safetensors"))
      }
      #expect(files[0] == files[1])
    }
  }

  @Test("A tokenizer definition, byte tokens and scores come back from safetensors")
  func foreignTokenizers() throws {
    var original = Checkpoint.small()
    original.vocabulary = Vocabulary(
      tokens: [[0xFF, 0], [], Array("\"\\\u{1}\n".utf8)] + (0..<8).map { [UInt8($0 + 65)] },
      unit: .subword)
    original.vocabulary.scores = (0..<11).map { $0 == 0 ? -.infinity : Float($0) / 3 }
    original.tokenizer.kind = .unigram
    original.tokenizer.definition = TokenizerDefinition(
      format: "sentencepiece", bytes: [0, 1, 0xFE])
    try withTemporaryFolder { folder in
      try SafetensorsFormat.export(original, to: "\(folder)/a.safetensors")
      let back = try read("\(folder)/a.safetensors").checkpoint
      #expect(back.vocabulary.tokenBytes == original.vocabulary.tokenBytes)
      #expect(back.vocabulary.tokenOffsets == original.vocabulary.tokenOffsets)
      #expect(back.vocabulary.scores == original.vocabulary.scores)
      #expect(back.tokenizer.definition == original.tokenizer.definition)
    }
  }

  @Test("RNN layers with different activations come back by the metadata")
  func twoActivations() throws {
    var checkpoint = Checkpoint.small(cell: .rnn)
    checkpoint.architecture.layers[1].activation = .relu
    try withTemporaryFolder { folder throws in
      let path = "\(folder)/a.safetensors"
      try SafetensorsFormat.export(checkpoint, to: path)
      for asked in [nil, Activation.tanh, .relu] {
        let back = try read(path, ReadingOptions(nonlinearity: asked)).checkpoint
        #expect(back.architecture == checkpoint.architecture)
      }
    }
  }

  /// Metadata that says what no such cell or number of layers has.
  @Test("Metadata that contradicts the layers is refused")
  func variantsOfOtherLayers() throws {
    let layers: [(String, String)] = [
      ("{}", "1"), ("{},{},{}", "3"), ("{},7", "another list of layers"),
      (#"{},{"reset":"before"}"#, "a reset gate"), (#"{"activation":"relu"},{}"#, "an activation"),
      (#"{},{"gate_activation":"hard_sigmoid","gate_alpha":1}"#, "another list of layers"),
      (#"{},{"gate_alpha":1}"#, "another list of layers"),
      (#"{},{"forget_bias":1e999}"#, "another list of layers"),
      (#"{},{"forget_bias":"1"}"#, "another list of layers"),
      (#"{},{"gate_activation":"swish"}"#, "another list of layers"),
    ]
    try withTemporaryFolder { folder throws in
      let path = "\(folder)/a.safetensors"
      try SafetensorsFormat.export(.small(), to: path)
      let file = try SafetensorsFile(MappedFile(path: path))
      let named = NamedTensors(file: file, tensors: file.tensors)
      let text = try #require(file.metadata[StateMetadata.key])
      for (list, found) in layers {
        let error = #expect(throws: InterchangeError.self) {
          let changed = text.replacing(#""tied":"#, with: #""layers":[\#(list)],"tied":"#)
          let metadata = try StateMetadata(json: changed, beside: named)
          _ = try named.conversion(metadata, options: ReadingOptions())
        }
        #expect(error?.found == found && error?.place == StateMetadata.place, "\(list)")
      }
    }
  }

  // MARK: - The library's files

  /// Files that scripts/make/safetensors-fixtures wrote with the library: no metadata but its own.
  @Test("Files of the safetensors library give the model of the PyTorch file")
  func filesOfLibrary() throws {
    let options = ReadingOptions(vocabulary: PyTorchFixtures.vocabulary(11))
    for name in ["lstm", "gru-bfloat16"] {
      let path = Fixtures.path("safetensors/\(name).safetensors")
      let conversion = try read(path, options)
      let expected = try PyTorchFormat.read(
        MappedFile(path: Fixtures.path("safetensors/\(name).pt")), options: options
      ).checkpoint
      #expect(conversion.checkpoint.architecture == expected.architecture)
      #expect(bytes(conversion.checkpoint) == bytes(expected))
      #expect(conversion.notes.count == 1)
      #expect(throws: InterchangeError.self) { try read(path) }
    }
  }

  // MARK: - Headers that lie

  private func file(_ header: String, data: Int = 0, length: UInt64? = nil) -> [UInt8] {
    let bytes = Array(header.utf8)
    return withUnsafeBytes(of: (length ?? UInt64(bytes.count)).littleEndian, Array.init) + bytes
      + [UInt8](repeating: 0, count: data)
  }

  private func message(_ bytes: [UInt8]) throws -> String {
    try withTemporaryFolder { folder in
      try Data(bytes).write(to: URL(filePath: "\(folder)/x.safetensors"))
      do {
        _ = try SafetensorsFile(MappedFile(path: "\(folder)/x.safetensors"))
        return "read"
      } catch let error as InterchangeError {
        return "\(error.place): expected \(error.expected), found \(error.found)"
      }
    }
  }

  private static let lies: [(header: String, data: Int, expected: String)] = [
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8, "read"),
    ("{}", 0, "read"), ("{} ", 0, "read"),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 9, "end: expected 8 bytes"),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 7,
      "a: expected data_offsets inside"
    ),
    (#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#, 8, "a: expected as many bytes"),
    (#"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#, 8, "a: expected as many bytes"),
    (
      #"{"a":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,8]}}"#, 8,
      "a: expected as many bytes"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8,
      "a: expected data_offsets inside"
    ),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8, "a: expected data from byte 0"),
    (#"{"a":{"dtype":"Q4","shape":[2],"data_offsets":[0,8]}}"#, 8, "a: expected a type"),
    (#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,8]}}"#, 8, "a: expected a dtype"),
    (#"{"a":1}"#, 0, "a: expected a dtype"), ("[1]", 0, "header: expected a JSON object"),
    ("{nope}", 0, "byte 9: expected JSON"),
    (#"{"__metadata__":{"a":1}}"#, 0, "__metadata__: expected texts"),
    (
      #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"#
        + #""a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, 1, "a: expected one tensor"
    ),
    (
      #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"#
        + #""b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}"#, 3,
      "b: expected data from byte 2"
    ),
  ]

  @Test("An inconsistent safetensors header is refused by its tensor or byte")
  func inconsistentHeaders() throws {
    for lie in Self.lies {
      let found = try message(file(lie.header, data: lie.data))
      #expect(found.hasPrefix(lie.expected), "\(lie.header): \(found)")
    }
    for length in [0, 1, 1000, 100_000_001, UInt64.max] {
      #expect(try message(file("{}", length: length)).hasPrefix("byte 0: expected the length"))
    }
    #expect(try message([1, 2, 3]).hasPrefix("byte 0: expected the length"))
    let deep = String(repeating: "[", count: 100_000)
    #expect(try message(file("{\"a\":\(deep)")).contains("expected JSON"))
  }

  /// 83 MB of header with 1.2 million tensors took 1.3 GB.
  @Test("A safetensors header of more tensors than any model has is refused")
  func tensorLimit() throws {
    let names = (0..<40_000).map {
      "\"\($0)[,\\\"\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}"
    }
    #expect(
      try message(file("{\(names.joined(separator: ","))}"))
        == "header: expected at most 400000 commas, colons and brackets, found more")
    let few = names.prefix(25_000).joined(separator: ",")
    #expect(try message(file("{\(few)}")) == "read")
  }

  /// Metadata is JSON in JSON: values of its own, which the tensors bound.
  @Test("Metadata with more tokens than the tensors have rows is refused")
  func tokenLimit() throws {
    let tensors = try SafetensorsFile(
      MappedFile(path: Fixtures.path("safetensors/lstm.safetensors")))
    let named = NamedTensors(file: tensors, tensors: tensors.tensors)
    let list = String(repeating: "\"a\",", count: 1000)
    let error = #expect(throws: InterchangeError.self) {
      try StateMetadata(json: "{\"vocabulary\":[\(list)\"b\"]}", beside: named)
    }
    #expect(error?.found == "another length")
  }

  @Test("Damaged safetensors files are refused or read, and never trap")
  func damagedFiles() throws {
    var generator = SeededGenerator(seed: 31)
    try withTemporaryFolder { folder in
      try SafetensorsFormat.export(
        .small(tied: true, hidden: [5, 5]), to: "\(folder)/a.safetensors")
      let whole = try Array(Data(contentsOf: URL(filePath: "\(folder)/a.safetensors")))
      var refused = 0
      for _ in 0..<1500 {
        var mutant = whole
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          mutant[Int.random(in: 0..<min(2500, mutant.count), using: &generator)] =
            [0, 0x22, 0x7D, 0x30, 0xFF, UInt8.random(in: 0...255, using: &generator)]
            .randomElement(using: &generator) ?? 0
        }
        if Bool.random(using: &generator) {
          mutant = Array(mutant.prefix(Int.random(in: 0...mutant.count, using: &generator)))
        }
        try Data(mutant).write(to: URL(filePath: "\(folder)/mutant"))
        let file = try MappedFile(path: "\(folder)/mutant")
        _ = SafetensorsFormat.recognizes(file)
        do { _ = try SafetensorsFormat.read(file, options: ReadingOptions()) } catch {
          refused += 1
        }
      }
      #expect(refused > 700)
    }
  }
}
