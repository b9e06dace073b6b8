// GGUF: the package's own files, what is written is read, and headers that lie.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

/// The files of `fixtures/gguf`, made by `scripts/make/gguf-fixtures`.
@Suite("GGUF") struct GGUFTests {
  private static func path(_ name: String) -> String { Fixtures.path("gguf/\(name)") }

  private func read(_ name: String) throws -> Conversion {
    let file = try MappedFile(path: Self.path(name))
    #expect(AllFormats.format(of: file)?.name == "gguf")
    return try GGUFFormat.read(file, options: ReadingOptions())
  }

  private func message(_ path: String) throws -> String {
    do {
      _ = try GGUFFormat.read(MappedFile(path: path), options: ReadingOptions())
      return "read"
    } catch let error as InterchangeError {
      return error.description.replacing(path, with: "input")
    }
  }

  // MARK: - The package's files

  @Test("Files of the gguf package are read with vocabulary and special tokens, and mapped")
  func filesOfPackage() throws {
    let lstm = try read("lstm.gguf")
    let architecture = lstm.checkpoint.architecture
    #expect(architecture.layers.map(\.hiddenSize) == [7, 7] && architecture.embeddingSize == 5)
    #expect(lstm.checkpoint.vocabulary.text(of: 8) == "é")
    #expect(lstm.checkpoint.vocabulary.endOfSentenceID == 0)
    #expect(lstm.checkpoint.vocabulary.unknownID == 1)
    #expect(
      lstm.notes.map(\.description)
        == ["header: assumed from names and shapes: encoder.weight, rnn, decoder.weight, softmax"])
    for path in lstm.checkpoint.parameters.paths {
      guard case .mapped = lstm.checkpoint.parameters[path]?.storage else {
        Issue.record("\(path) has to be mapped")
        continue
      }
    }
    let gru = try read("gru-alignment-128.gguf").checkpoint
    #expect(gru.architecture.layers.map(\.cell) == [.gru])
  }

  /// The format has lists of lists, which ggml itself does not read.
  @Test("Nested lists in a GGUF header are skipped")
  func nestedLists() throws {
    let lists = try read("gru-lists.gguf").checkpoint
    #expect(
      try lists.weightsDigest == read("gru-alignment-128.gguf").checkpoint.weightsDigest)
    let header = try GGUFHeader(MappedFile(path: Self.path("gru-lists.gguf")))
    for (key, count) in [("split.sizes", 3), ("split.names", 2), ("deep", 1)] {
      #expect(header.values[key]?.type == .array && header.values[key]?.count == count)
      #expect(header.texts(key) == nil)
    }
  }

  @Test(
    "float16 and bfloat16 weights equal those that the gguf package rounded",
    arguments: [
      ("lstm.gguf", "lstm-f16.gguf", DType.float16),
      ("gru-alignment-128.gguf", "gru-bf16.gguf", DType.bfloat16),
    ])
  func narrowTypes(wide: String, narrow: String, type: DType) throws {
    let (wide, narrow) = (try read(wide).checkpoint, try read(narrow).checkpoint)
    #expect(wide.parameters.paths == narrow.parameters.paths)
    for path in wide.parameters.paths {
      let (ours, theirs) = (
        try #require(wide.parameters[path]).converted(to: type),
        try #require(narrow.parameters[path])
      )
      #expect(theirs.dtype == type && theirs.shape == ours.shape)
      #expect(ours.withUnsafeBytes { Array($0) } == theirs.withUnsafeBytes { Array($0) })
    }
  }

  @Test(
    "Other models, quantised, f64 and big-endian GGUF files are refused by name",
    arguments: [
      (
        "llama",
        "general.architecture: expected \"unrolllm\", a recurrent language model, found \"llama\""
      ),
      ("q4", "encoder.weight: expected f32, f16 or bf16, found quantised blocks (Q4_0)"),
      ("f64", "decoder.bias: expected f32, f16 or bf16, found float64"),
      (
        "big-endian",
        "header: expected version 2 or 3, the lowest byte first, found a file of the other byte order"
      ),
    ])
  func otherFiles(name: String, expected: String) throws {
    #expect(try message(Self.path("refused-\(name).gguf")).hasPrefix("input: \(expected)\n  fix: "))
  }

  // MARK: - Writing

  @Test("Tokens that are not UTF-8 come back from GGUF with kinds and scores")
  func byteTokens() throws {
    var checkpoint = Checkpoint.small()
    let tokens = checkpoint.vocabulary.indices.map { [UInt8(0xF0), UInt8($0)] }
    checkpoint.vocabulary = Vocabulary(tokens: tokens, unit: .byte)
    checkpoint.vocabulary.kinds = tokens.indices.map { $0 == 0 ? .unused : .byte }
    checkpoint.vocabulary.scores = tokens.indices.map { -Float($0) / 3 }
    try withTemporaryFolder { folder in
      try GGUFFormat.export(checkpoint, to: "\(folder)/a.gguf")
      let file = try MappedFile(path: "\(folder)/a.gguf")
      let header = try GGUFHeader(file)
      #expect(header.texts("tokenizer.ggml.tokens")?.count == tokens.count)
      #expect(header.values["tokenizer.ggml.token_type"]?.type == .int32)
      #expect(header.values["tokenizer.ggml.scores"]?.type == .float32)
      let back = try GGUFFormat.read(file, options: ReadingOptions()).checkpoint.vocabulary
      #expect(back.tokenBytes == checkpoint.vocabulary.tokenBytes && back.unit == .byte)
      #expect(
        back.kinds == checkpoint.vocabulary.kinds && back.scores == checkpoint.vocabulary.scores)
    }
  }

  @Test("Equal checkpoints give equal GGUF files, aligned to 64 bytes")
  func equalFiles() throws {
    try withTemporaryFolder { folder in
      let checkpoint = Checkpoint.small()
      try GGUFFormat.export(checkpoint, to: "\(folder)/a.gguf")
      let back = try GGUFFormat.read(
        MappedFile(path: "\(folder)/a.gguf"), options: ReadingOptions()
      ).checkpoint
      try GGUFFormat.export(back, to: "\(folder)/b.gguf")
      let files = try ["a", "b"].map {
        try MappedFile(path: "\(folder)/\($0).gguf").copy(0..<Int.max)
      }
      #expect(files[0] == files[1])
      // Each number lies at a multiple of 64.
      let file = try MappedFile(path: "\(folder)/a.gguf")
      let header = try GGUFHeader(file)
      #expect(header.alignment == 64 && header.dataStart % 64 == 0 && file.count % 64 == 0)
    }
  }

  @Test("float64 weights are refused by GGUF with advice to give --dtype")
  func float64Weights() throws {
    let checkpoint = PyTorchExportTests().checkpoint(.init(dtype: .float64), seed: 5)
    let error = #expect(throws: InterchangeError.self) {
      try GGUFFormat.exportNotes(for: checkpoint)
    }
    #expect(error?.found == "f64" && error?.fix.contains("--dtype f32") == true)
  }

  // MARK: - Files that lie

  /// A header put together by hand.
  private struct Lie {
    var bytes = Array("GGUF".utf8)

    init(version: UInt32 = 3, tensors: UInt64 = 0, keys: UInt64 = 0) {
      bytes.append(littleEndian: version)
      bytes.append(littleEndian: tensors)
      bytes.append(littleEndian: keys)
    }

    mutating func text(_ text: String) {
      bytes.append(littleEndian: UInt64(text.utf8.count))
      bytes += Array(text.utf8)
    }

    mutating func key(_ name: String, type: UInt32) {
      text(name)
      bytes.append(littleEndian: type)
    }

    mutating func architecture() {
      key("general.architecture", type: 8)
      text("unrolllm")
    }

    mutating func tensor(_ name: String, sizes: [UInt64], type: UInt32 = 0, offset: UInt64 = 0) {
      text(name)
      bytes.append(littleEndian: UInt32(sizes.count))
      for size in sizes { bytes.append(littleEndian: size) }
      bytes.append(littleEndian: type)
      bytes.append(littleEndian: offset)
    }

    /// Lists of one list each, the innermost of no bytes.
    mutating func lists(_ name: String, depth: Int) {
      key(name, type: 9)
      for level in 1...depth {
        let isLast = level == depth
        bytes.append(littleEndian: isLast ? 0 : 9 as UInt32)
        bytes.append(littleEndian: isLast ? 0 : 1 as UInt64)
      }
    }

    func with(_ change: (inout Lie) -> Void) -> Lie {
      var lie = self
      change(&lie)
      return lie
    }
  }

  private static var lies: [(Lie, String)] {
    let one = Lie(tensors: 1, keys: 1).with { $0.architecture() }
    return [
      (Lie(version: 1), "header: expected version 2 or 3, the lowest byte first, found version 1"),
      (Lie(version: 9), "header: expected version 2 or 3, found 9"),
      (Lie(tensors: 1 << 40), "header: expected at most 65536 tensors, found more"),
      (Lie(keys: .max), "header: expected at most 65536 keys, found more"),
      (
        Lie(), "general.architecture: expected \"unrolllm\", a recurrent language model, found none"
      ),
      (
        Lie(keys: 1).with {
          $0.key("general.architecture", type: 8)
          $0.text(String(repeating: "x", count: 300))
        },
        "general.architecture: expected \"unrolllm\", a recurrent language model, found no name"
      ),
      (Lie(keys: 1), "header, byte 24: expected more of the header, found the end of the file"),
      (
        Lie(keys: 1).with { $0.bytes.append(littleEndian: UInt64.max) },
        "header, byte 24: expected a key in the file, found one that is longer"
      ),
      (
        Lie(keys: 1).with { $0.key("a", type: 13) },
        "a: expected a type of values, 0 to 12, found 13"
      ),
      (
        Lie(keys: 1).with {
          $0.key("a", type: 9)
          $0.bytes.append(littleEndian: 12 as UInt32)
          $0.bytes.append(littleEndian: (1 as UInt64) << 61)
        }, "a: expected a list in the file, found 2305843009213693952 elements"
      ),
      (
        Lie(keys: 1).with {
          $0.key("a", type: 9)
          $0.bytes.append(littleEndian: 8 as UInt32)
          $0.bytes.append(littleEndian: (1 as UInt64) << 61)
        }, "a: expected more of the header, found the end of the file"
      ),
      (
        Lie(keys: 1).with {
          $0.key("a", type: 9)
          $0.bytes.append(littleEndian: 9 as UInt32)
          $0.bytes.append(littleEndian: 1 as UInt64)
        }, "a: expected more of the header, found the end of the file"
      ),
      (
        Lie(keys: 1).with {
          $0.key("a", type: 9)
          $0.bytes.append(littleEndian: 9 as UInt32)
          $0.bytes.append(littleEndian: 1 as UInt64)
          $0.bytes.append(littleEndian: 12 as UInt32)
          $0.bytes.append(littleEndian: (1 as UInt64) << 61)
        }, "a: expected a list in the file, found 2305843009213693952 elements"
      ),
      (
        Lie(keys: 1).with { $0.lists("a", depth: 17) },
        "a: expected at most 16 lists inside each other, found more"
      ),
      (
        Lie(keys: 1).with { $0.lists("a", depth: 16) },
        "general.architecture: expected \"unrolllm\", a recurrent language model, found none"
      ),
      (
        Lie(keys: 2).with {
          $0.architecture()
          $0.architecture()
        }, "general.architecture: expected this key once, found twice"
      ),
      (
        Lie(keys: 1).with {
          $0.key("general.alignment", type: 4)
          $0.bytes.append(littleEndian: 48 as UInt32)
        }, "general.alignment: expected a power of two in 32 bits, found another value"
      ),
      (
        one.with { $0.tensor("w", sizes: [1, 1, 1, 1, 1]) },
        "w: expected at most 4 dimensions, found 5"
      ),
      (
        one.with { $0.tensor("w", sizes: [.max]) }, "w: expected dimensions below 2^63, found more"
      ),
      (
        one.with { $0.tensor("w", sizes: [1 << 40, 1 << 40]) },
        "w: expected numbers from byte 0 of the data on, in the file, found shape "
          + "[1099511627776, 1099511627776] of float32 at byte 0"
      ),
      (
        one.with { $0.tensor("w", sizes: [1], offset: 16) },
        "w: expected an offset at a multiple of 32, found another"
      ),
      (
        one.with { $0.tensor("w", sizes: [1], offset: 32) },
        "w: expected numbers from byte 0 of the data on, in the file, found shape [1] of float32 at "
          + "byte 32"
      ),
      (
        one.with { $0.tensor("w", sizes: [1], type: 4) },
        "w: expected a type of ggml that is known, found number 4"
      ),
      (
        one.with { $0.tensor(String(repeating: "w", count: 65), sizes: [1]) },
        "header, byte 72: expected a tensor's name of at most 64 bytes of UTF-8, found another"
      ),
      (
        Lie(keys: 1).with {
          $0.architecture()
          $0.bytes += [UInt8](repeating: 1, count: 60)
        }, "end: expected at most 96 bytes, found 132"
      ),
    ]
  }

  @Test("An inconsistent GGUF header is refused with its location and a fix")
  func inconsistentHeaders() throws {
    try withTemporaryFolder { folder in
      for (lie, expected) in Self.lies {
        let path = "\(folder)/lie.gguf"
        try Data(lie.bytes).write(to: URL(filePath: path))
        let found = try message(path)
        #expect(found.hasPrefix("input: \(expected)\n  fix: "), "\(found)")
      }
    }
  }

  @Test("GGUF metadata that contradicts the tensors is refused by its key")
  func contradictingMetadata() throws {
    let whole = try MappedFile(path: Self.path("lstm.gguf")).copy(0..<Int.max)
    func changed(_ key: String, behind distance: Int, to byte: UInt8) throws -> String {
      var bytes = whole
      let place = try #require(bytes.firstRange(of: Array(key.utf8))).upperBound
      bytes[place + distance] = byte
      return try withTemporaryFolder { folder in
        try Data(bytes).write(to: URL(filePath: "\(folder)/a.gguf"))
        return try message("\(folder)/a.gguf")
      }
    }
    #expect(
      try changed("unrolllm.vocab_size", behind: 4, to: 12).hasPrefix(
        "input: unrolllm.vocab_size: expected 11, as the tensors have, found 12"))
    #expect(
      try changed("unrolllm.block_count", behind: 4, to: 3).hasPrefix(
        "input: unrolllm.block_count: expected 2, as the tensors have, found 3"))
    #expect(
      try changed("tokenizer.ggml.eos_token_id", behind: 4, to: 99).hasPrefix(
        "input: tokenizer.ggml.eos_token_id: expected the id of one of 11 tokens, found 99"))
    // The token sat becomes another cat.
    #expect(
      try changed("sat", behind: -3, to: UInt8(ascii: "c")).hasPrefix(
        "input: tokenizer.ggml.tokens: expected each token once, found some twice"))
  }

  @Test("Damaged GGUF files are refused or read, and never trap")
  func damagedFiles() throws {
    var generator = SeededGenerator(seed: 43)
    var refused = 0
    let names = try FileManager.default.contentsOfDirectory(atPath: Self.path(""))
      .filter { $0.hasSuffix(".gguf") }.sorted()
    #expect(names.count == 9)
    try withTemporaryFolder { folder in
      for name in names {
        let whole = try MappedFile(path: Self.path(name)).copy(0..<Int.max)
        for _ in 0..<40 {
          let mutant = generator.damaged(whole, within: 900)
          let path = "\(folder)/mutant.gguf"
          try Data(mutant).write(to: URL(filePath: path))
          refused += try message(path) == "read" ? 0 : 1
        }
      }
    }
    #expect(refused > names.count * 40 / 2)
  }
}
