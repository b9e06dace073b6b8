// Checkpoints of char-rnn and torch-rnn: tokens, notes, refusals by name, and damaged files.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

/// The files of `fixtures/torch7`, made by `scripts/make/torch7-fixtures`.
@Suite struct Torch7Tests {
  private func path(_ name: String) -> String { Fixtures.path("torch7/\(name).t7") }

  private func read(
    _ name: String, ignoring ignored: Set<String> = []
  ) throws -> Conversion {
    var options = ReadingOptions()
    options.ignored = ignored
    return try Torch7Format.read(MappedFile(path: path(name)), options: options)
  }

  private func refusal(_ name: String) -> InterchangeError? {
    #expect(throws: InterchangeError.self) { try read(name) }
  }

  /// Returns what comes of a file with other bytes: the error, or how many layers were read.
  private func outcome(of bytes: [UInt8]) throws -> String {
    try withTemporaryFolder { folder in
      let path = "\(folder)/model.t7"
      try Data(bytes).write(to: URL(filePath: path))
      do {
        let conversion = try Torch7Format.read(MappedFile(path: path), options: ReadingOptions())
        return "\(conversion.checkpoint.architecture.layers.count) layers"
      } catch let error as InterchangeError {
        return "\(error.place): expected \(error.expected), found \(error.found)"
      }
    }
  }

  @Test("A checkpoint of torch-rnn has its characters, and what its training says is noted")
  func torchRNN() throws {
    let conversion = try read("torch-rnn-lstm")
    let (checkpoint, layers) = (
      conversion.checkpoint, conversion.checkpoint.architecture.layers
    )
    #expect(layers.map(\.cell) == [.lstm, .lstm] && layers.map(\.bias) == [.single, .single])
    #expect(layers.map(\.inputSize) == [4, 5] && layers.map(\.hiddenSize) == [5, 5])
    #expect(checkpoint.architecture.input == .embedding && !checkpoint.architecture.isTied)
    #expect(checkpoint.parameters[.embeddingWeight]?.dtype == .float32)
    let vocabulary = checkpoint.vocabulary
    #expect((0..<11).map { vocabulary.text(of: $0) }.joined() == "abcde é猫.\nö")
    #expect(vocabulary.unit == .character && checkpoint.tokenizer.kind == .character)
    #expect(checkpoint.tokenizer.lineEnds == .kept)
    #expect(
      conversion.notes.map(\.description) == [
        "model: not preserved: dropout 0.25",
        "val_loss_history: validation loss 2.15 at iteration 30, by the training itself",
      ])
    #expect(conversion.notes.map(\.isHarmless) == [false, true])
  }

  @Test("Bytes that torch-rnn names by their numbers, and those of char-rnn, are bytes")
  func bytesAreBytes() throws {
    for name in ["torch-rnn-bytes", "char-rnn-lstm"] {
      let checkpoint = try read(name).checkpoint
      #expect(checkpoint.tokenizer.kind == .byte && checkpoint.vocabulary.unit == .byte)
      #expect(checkpoint.vocabulary.tokenBytes == Array("abcde .\n".utf8) + [195, 169, 255])
    }
  }

  @Test("A graph of char-rnn is read with one-hot input and PyTorch's order of gates")
  func charRNN() throws {
    let lstm = try read("char-rnn-lstm")
    let architecture = lstm.checkpoint.architecture
    #expect(architecture.input == .oneHot && architecture.embeddingSize == 11)
    #expect(architecture.layers.map(\.bias) == [.double, .double])
    #expect(lstm.checkpoint.parameters[.layer(1, .weightIH)]?.dtype == .float32)
    #expect(
      lstm.notes.map(\.description) == [
        "protos.rnn: not preserved: dropout 0.25",
        "val_loss: validation loss 2.25 at iteration 20, by the training itself",
      ])
    let gru = try read("char-rnn-gru").checkpoint.architecture.layers
    #expect(gru.map(\.cell) == [.gru] && gru.map(\.reset) == [.before])
    #expect(try read("char-rnn-narrow").checkpoint.architecture.layers.map(\.bias) == [.none])
    let plain = try read("char-rnn-rnn-32").checkpoint
    #expect(plain.architecture.layers.map(\.activation) == [.tanh])
    #expect(plain.parameters[.outputWeight]?.dtype == .float64)
  }

  @Test(
    "Networks that compute something else are refused",
    arguments: [
      ("refused-batchnorm", "nn.BatchNormalization"),
      ("refused-old-dropout", "one of the first kind, which multiplies by 0.5 then"),
      ("refused-norm", "one with maxNorm, which scales them"),
      ("refused-order", "a graph with others"), ("refused-update", "a graph with others"),
      ("refused-identity", "another matrix [11, 11]"),
    ])
  func otherNetworksAreRefused(name: String, found: String) {
    #expect(refusal(name)?.found == found)
  }

  @Test("A field that torch-rnn does not have is refused by its name, unless it is ignored")
  func otherFieldsAreNamed() throws {
    let error = refusal("refused-field")
    #expect(error?.place == "model.highway")
    #expect(error?.fix.contains("--ignore NAME") == true)
    let conversion = try read("refused-field", ignoring: ["model.highway"])
    #expect(conversion.notes.last?.description == "model.highway: ignored, as requested")
  }

  @Test("The format is recognized by its first bytes")
  func bytesTellTheFormat() throws {
    for name in ["torch-rnn-lstm", "torch-rnn-bare", "char-rnn-rnn-32"] {
      #expect(AllFormats.format(of: try MappedFile(path: path(name)))?.name == "torch7")
    }
    #expect(throws: InterchangeError.self) { try Torch7Format.exportNotes(for: .small()) }
  }

  // MARK: - ASCII

  @Test(
    "A file in ASCII has the model of the same file in binary form",
    arguments: ["torch-rnn-bytes", "char-rnn-rnn-32"])
  func asciiFiles(name: String) throws {
    let (text, binary) = (try read("\(name)-ascii"), try read(name))
    #expect(text.checkpoint.weightsDigest == binary.checkpoint.weightsDigest)
    #expect(text.checkpoint.architecture == binary.checkpoint.architecture)
    #expect(text.checkpoint.vocabulary.tokenBytes == binary.checkpoint.vocabulary.tokenBytes)
    #expect(text.notes == binary.notes)
  }

  @Test("Damaged files in ASCII are refused or read, and counts beyond the file are refused")
  func damagedASCIIFiles() throws {
    let bytes = Array(try Data(contentsOf: URL(filePath: path("char-rnn-rnn-32-ascii"))))
    for count in stride(from: 12, to: bytes.count, by: 97) {
      let found = try outcome(of: Array(bytes.prefix(count)))
      #expect(found.hasPrefix("byte "), "\(count): \(found)")
    }
    for place in stride(from: 4, to: bytes.count, by: 41) {
      var changed = bytes
      changed[place] ^= 0x11
      let found = try outcome(of: changed)
      #expect(found == "1 layers" || found.contains("expected "), "\(place): \(found)")
    }
    #expect(try outcome(of: bytes + [10]).contains("found 1 more bytes"))
    func refusal(_ text: String) throws -> String { try outcome(of: Array(text.utf8)) }
    #expect(try refusal("3\n1\n1000000000\n0\n").contains("a count of what follows"))
    #expect(try refusal("3\n1\n-1\n0\n").contains("found -1"))
    #expect(try refusal("3\n1\n1\n9\n0\n").contains("expected a type from 0 to 8, found 9"))
    #expect(try refusal("3\n1\n1\n1\nx\n0\n").contains("expected a number, found \"x\""))
    let storage = "4\n1\n3\nV 1\n18\ntorch.FloatStorage\n"
    #expect(try refusal(storage + "4611686018427387904\n1\n").contains("a number of elements"))
    #expect(try refusal(storage + "3\n1 2\n").contains("expected 3 numbers in a line, found 2"))
  }

  /// Every length of a small file: none traps, and only the whole one is read.
  @Test(
    "A truncated file is refused at every length",
    arguments: ["torch-rnn-bytes", "char-rnn-rnn-32"])
  func truncationsAreRefused(name: String) throws {
    let bytes = Array(try Data(contentsOf: URL(filePath: path(name))))
    for count in stride(from: 12, to: bytes.count, by: 37) {
      let found = try outcome(of: Array(bytes.prefix(count)))
      #expect(found.hasPrefix("byte "), "\(count): \(found)")
    }
    #expect(
      try outcome(of: bytes + [0]).contains("expected the end of the file, found 1 more bytes"))
  }

  /// A file of numbers: types, indices, counts.
  private func file(_ numbers: Int32...) -> [UInt8] {
    numbers.flatMap { number in withUnsafeBytes(of: number.littleEndian) { Array($0) } }
  }

  private func long(_ number: Int64) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
  }

  @Test("Counts beyond the file, unknown types, and tables of themselves are refused")
  func structuresThatLie() throws {
    // A table of a billion entries, and one of a negative number of them.
    #expect(try outcome(of: file(3, 1, 1_000_000_000, 0)).contains("a count of what follows"))
    #expect(try outcome(of: file(3, 1, -1, 0)).contains("a count of what follows, found -1"))
    #expect(try outcome(of: file(3, 1, 1, 9, 0)).contains("expected a type from 0 to 8, found 9"))
    // A table that is its own key and value.
    #expect(try outcome(of: file(3, 1, 1, 3, 1, 3, 1)).contains("found a table of "))
    // An object of itself.
    let itself = file(4, 1, 3) + Array("V 1".utf8) + file(9) + Array("nn.Linear".utf8) + file(4, 1)
    #expect(try outcome(of: itself).contains("found an object of nn.Linear"))
    let name = file(4, 1, 5_000) + [UInt8](repeating: 65, count: 5_000)
    #expect(try outcome(of: name).contains("expected the name of a class, found 5000 bytes"))
  }

  @Test("A function of any kind is skipped with the variables that it captured")
  func functionsAreSkipped() throws {
    let code = file(4) + Array("code".utf8) + file(3, 9, 0)
    for (kind, index) in [(6, []), (7, [5]), (8, [5])] as [(Int32, [Int32])] {
      let function = file(kind) + index.flatMap { file($0) } + code
      let table = file(3, 1, 1, 2, 1) + [65] + function
      #expect(try outcome(of: table).contains("found a table of A"))
      #expect(try outcome(of: Array(table.dropLast())).contains("the end of the file"))
    }
  }

  @Test("Tables nested as deep as a file has bytes do not exhaust the stack")
  func deepNesting() throws {
    var numbers: [UInt8] = []
    for index in 1...100_000 { numbers += file(3, Int32(index), 1, 0) }
    #expect(try outcome(of: numbers + file(0)).contains("found a table of nil"))
  }

  @Test("Storages beyond the file and views beyond a storage are refused")
  func storagesThatLie() throws {
    func storage(_ count: Int64) -> [UInt8] {
      file(4, 1, 3) + Array("V 1".utf8) + file(18) + Array("torch.FloatStorage".utf8) + long(count)
    }
    for count in [2, -1, 1 << 62] {
      #expect(try outcome(of: storage(Int64(count))).contains("elements of torch.FloatStorage"))
    }
    let tensor = file(4, 1, 3) + Array("V 1".utf8) + file(17) + Array("torch.FloatTensor".utf8)
    #expect(try outcome(of: tensor + file(65)).contains("0 to 64 dimensions, found 65"))
    #expect(
      try outcome(of: tensor + file(1) + long(-1) + long(1) + long(1) + file(0))
        .contains("a tensor's sizes and offset"))
    // The offset of the first view of the parameters.
    var bytes = Array(try Data(contentsOf: URL(filePath: path("torch-rnn-bytes"))))
    let view = file(2) + long(Int64(11)) + long(4) + long(4) + long(1) + long(1)
    let start = try #require(bytes.indices.first { bytes[$0...].starts(with: view) })
    bytes.replaceSubrange(start + 36..<start + 44, with: long(1 << 40))
    #expect(try outcome(of: bytes).contains("found one beyond them"))
    bytes.replaceSubrange(start + 36..<start + 44, with: long(1))
    bytes.replaceSubrange(start + 4..<start + 12, with: long(1 << 61))
    #expect(try outcome(of: bytes).contains("found one beyond them"))
  }

  /// Every byte of a small file, changed: none traps.
  @Test("A changed byte gives a model or a refusal")
  func flippedBytes() throws {
    let bytes = Array(try Data(contentsOf: URL(filePath: path("char-rnn-rnn-32"))))
    for place in stride(from: 0, to: bytes.count, by: 11) {
      var changed = bytes
      changed[place] ^= 0x41
      let found = try outcome(of: changed)
      #expect(found == "1 layers" || found.contains("expected "), "\(place): \(found)")
    }
  }
}
