// Files of torch.save as before PyTorch 1.6, arrays of pickle.dump, and lists of tokens in pickles.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

/// The files of `fixtures/pickles`, made by `scripts/make/pickle-fixtures`.
@Suite("Pickles of PyTorch, NumPy and token lists") struct PickleFileTests {
  private struct References: Decodable {
    let words: [String]
    let characters: [String]
  }

  private static let options = ReadingOptions(vocabulary: PyTorchFixtures.vocabulary(11))

  private static func path(_ name: String) -> String { Fixtures.path("pickles/\(name)") }

  private func references() throws -> References {
    try JSONDecoder().decode(
      References.self, from: Data(contentsOf: URL(filePath: Self.path("references.json"))))
  }

  private func read(_ name: String, options: ReadingOptions = options) throws -> Conversion {
    let file = try MappedFile(path: Self.path(name))
    let format = try #require(AllFormats.format(of: file))
    #expect(format.name == (name.hasSuffix(".pt") ? "pytorch" : "npz"))
    return try format.read(file, options: options)
  }

  private func refusal(_ name: String, options: ReadingOptions = options) -> String {
    do {
      _ = try read(name, options: options)
      return "read"
    } catch {
      return "\(error)".replacing(Self.path("") + "/", with: "")
        .replacing(/storage \d{6,}/, with: "storage KEY").replacing(
          /found \d{6,} tw/, with: "found KEY tw")
    }
  }

  // MARK: - Without an archive

  @Test(
    "A legacy torch.save file gives the numbers of the ZIP archive, mapped",
    arguments: ["state.pt", "state-protocol-4.pt", "state-flat.pt", "behind.pt"])
  func legacyFiles(name: String) throws {
    let expected = try read("state-zip.pt").checkpoint
    let conversion = try read(name)
    expectEqualWeights(conversion.checkpoint, expected)
    for path in expected.parameters.paths {
      guard case .mapped = conversion.checkpoint.parameters[path]?.storage else {
        Issue.record("\(path) has to be mapped")
        continue
      }
    }
    let notes = conversion.notes.map(\.description)
    #expect(notes.count == (name == "behind.pt" ? 2 : 1))
    #expect(
      notes.last
        == "pickle: assumed from names and shapes: encoder.weight, rnn, decoder.weight, softmax")
    if name == "behind.pt" {
      #expect(notes.first == "byte 5596: not read: 4 bytes behind the last storage")
    }
  }

  @Test("A legacy file with a whole module is read without its classes")
  func legacyModules() throws {
    let conversion = try read("module.pt")
    #expect(conversion.checkpoint.architecture.layers.map(\.cell) == [.gru])
    #expect(conversion.notes.map(\.description).contains("drop: not preserved: dropout 0.25"))
  }

  @Test("Optimizer and vocabulary of a legacy file equal those of the ZIP archive")
  func legacyTraining() throws {
    let (legacy, archive) = (
      try read("training.pt", options: ReadingOptions()).checkpoint,
      try read("training-zip.pt", options: ReadingOptions()).checkpoint
    )
    expectEqualWeights(legacy, archive)
    #expect(legacy.optimizer?.kind == .adam && legacy.optimizer?.step == 2)
    #expect(
      legacy.vocabulary.indices.map { legacy.vocabulary.text(of: $0) } == (try references().words))
    let (first, second) = (try #require(legacy.optimizer), try #require(archive.optimizer))
    #expect(first.groups.map(\.parameters) == second.groups.map(\.parameters))
    #expect(Set(first.slots.keys) == [.firstMoment, .secondMoment])
    for (slot, tree) in first.slots {
      let other = try #require(second.slots[slot])
      #expect(tree.paths == other.paths && tree.paths.count == 11)
      for path in tree.paths {
        let bytes = [tree, other].map { $0[path]?.withUnsafeBytes { Array($0) } ?? [] }
        #expect(bytes[0] == bytes[1])
      }
    }
  }

  private static let refusals = [
    ("version", "protocol version: expected 1001, found the integer 1002"),
    (
      "system",
      "sys_info: expected a dictionary with little_endian, found an object made by posix.system"
    ),
    ("hostile", "encoder.weight: expected a dense tensor, found an object made by posix.system"),
    ("big-endian", "sys_info: expected little_endian True, found False"),
    (
      "keys",
      "storage keys: expected keys of storages that the pickle names, found the string \"7\""
    ),
    ("keys-twice", "storage keys: expected each key once, found KEY twice"),
    (
      "truncated",
      "storage KEY: expected at most the 35 bytes that are left, found 11 elements of 4 bytes"
    ),
    (
      "count",
      "storage KEY: expected at most the 4012 bytes that are left, found 2305843009213693952 elements "
        + "of 4 bytes"
    ),
    (
      "negative",
      "storage KEY: expected at most the 4012 bytes that are left, found more than 2^63 elements"
    ),
    ("pickles", "sys_info, byte 21, none: expected an opcode, found none"),
  ]

  @Test(
    "A damaged or hostile legacy file is refused with its location, and nothing is executed",
    arguments: refusals)
  func damagedLegacyFiles(name: String, message: String) {
    #expect(refusal("refused-\(name).pt").hasPrefix("refused-\(name).pt: \(message)\n  fix: "))
    #expect(!FileManager.default.fileExists(atPath: "/tmp/unroll-pickle-was-executed"))
  }

  /// A count that is too small is found in what follows, or where the tensors do not fit.
  @Test("A count of storages that is too small is refused")
  func smallCounts() {
    #expect(refusal("refused-fewer.pt").contains("bytes that are left"))
  }

  // MARK: - Arrays

  /// By rows and by columns, the lowest byte first and last, of NumPy 1 and 2.
  @Test(
    "Pickled NumPy arrays equal those of the .npz, in every protocol",
    arguments: ["numpy1", "numpy2"], [2, 3, 4, 5])
  func pickledArrays(producer: String, version: Int) throws {
    let conversion = try read("\(producer)-protocol-\(version).pkl", options: ReadingOptions())
    expectEqualWeights(conversion.checkpoint, try read("state.npz").checkpoint)
    let module = producer == "numpy1" ? "numpy.core" : "numpy._core"
    #expect(
      conversion.notes.map(\.description) == [
        "step: not preserved: an object made by \(module).multiarray.scalar",
        "words: taken for the vocabulary: 11 tokens, tokenizer whitespace",
        "pickle: assumed from names and shapes: encoder.weight, rnn, decoder.weight, softmax",
      ])
  }

  @Test("A pickle that is no dictionary of numeric arrays is refused")
  func otherPickles() {
    #expect(
      refusal("refused-list.pkl") == """
        refused-list.pkl: pickle: expected a dictionary of arrays by name, found a list of 1 items
          fix: save the arrays with numpy.savez
        """)
    #expect(
      refusal("refused-objects.pkl") == """
        refused-objects.pkl: decoder.weight: expected an array of floating-point numbers, found Python \
        objects (a pickle, which is never run)
          fix: save it as numbers: `array.astype("float32")`
        """)
    #expect(
      refusal("refused-shape.pkl") == """
        refused-shape.pkl: decoder.bias: expected as many bytes as f4 of shape [12] has, found 44
          fix: save the arrays with numpy.savez
        """)
  }

  // MARK: - Tokens

  @Test(
    "A word list beside the weights becomes the vocabulary, unless another is given",
    arguments: [
      ("corpus", "corpus.dictionary.word2idx"), ("word2idx", "word2idx"), ("flat", "itos"),
    ])
  func wordLists(name: String, place: String) throws {
    let conversion = try read("tokens-\(name).pt", options: ReadingOptions())
    let vocabulary = conversion.checkpoint.vocabulary
    #expect(vocabulary.indices.map { vocabulary.text(of: $0) } == (try references().words))
    #expect(
      vocabulary.endOfSentenceID == 0 && vocabulary.unknownID == 1 && vocabulary.unit == .word)
    #expect(
      conversion.notes.first?.description
        == "\(place): taken for the vocabulary: 11 tokens, tokenizer whitespace")
    let given = try read("tokens-\(name).pt")
    #expect(
      given.notes.first?.description
        == "\(place): not preserved: a list of 11 tokens, which are not those given")
    // A list that equals the given tokens needs no note.
    let same = try read("tokens-\(name).pt", options: ReadingOptions(vocabulary: vocabulary))
    #expect(!same.notes.contains { $0.message.contains("tokens") })
  }

  @Test("A character list beside the weights gives a character tokenizer")
  func characterLists() throws {
    let checkpoint = try read("tokens-id-to-token.pt", options: ReadingOptions()).checkpoint
    let vocabulary = checkpoint.vocabulary
    #expect(vocabulary.indices.map { vocabulary.text(of: $0) } == (try references().characters))
    #expect(vocabulary.unit == .character)
    #expect(
      checkpoint.tokenizer
        == Tokenizer(kind: .character, sentenceStart: .none, appendsEndOfSentence: false))
  }

  @Test("Token lists of another size, or that contradict each other, are refused")
  func unsuitableTokens() {
    #expect(
      refusal("tokens-other-size.pt", options: ReadingOptions()) == """
        tokens-other-size.pt: itos: expected a vocabulary of 11 tokens, one for each row, found itos of 10
          fix: give the right ones with `--vocabulary FILE` or `--corpus FOLDER`
        """)
    #expect(
      refusal("tokens-contradiction.pt", options: ReadingOptions()).hasPrefix(
        "tokens-contradiction.pt: itos: expected a vocabulary of 11 tokens, one for each row, found "
          + "itos of 11, stoi of 11, which differ"))
    #expect(refusal("tokens-contradiction.pt") == "read")
  }

  @Test(
    "A pickled token list of each form is a vocabulary file",
    arguments: ["itos", "stoi", "dictionary"])
  func pickledTokenLists(name: String) throws {
    let path = Self.path("\(name).pkl")
    #expect(VocabularyFormat(path: path) == .pickle)
    let vocabulary = try Vocabulary(contentsOf: path, format: .pickle)
    #expect(vocabulary.indices.map { vocabulary.text(of: $0) } == (try references().words))
    #expect(vocabulary.endOfSentenceID == 0 && vocabulary.unknownID == 1)
  }

  /// fastai fills its lists up to a multiple of 8 with one token again and again.
  @Test("Padding entries of fastai's token lists get names of their own")
  func listsOfFastai() throws {
    let vocabulary = try Vocabulary(contentsOf: Self.path("fastai-itos.pkl"), format: .pickle)
    #expect(
      vocabulary.indices.map { vocabulary.text(of: $0) }
        == ["xxunk", "xxpad", "xxbos", "the", "cat", "xxfake", "xxfake2", "xxfake3"])
    #expect(vocabulary.unknownID == 0 && vocabulary.paddingID == 1)
    #expect(vocabulary.beginningOfSentenceID == 2 && vocabulary.endOfSentenceID == nil)
  }

  @Test(
    "Files that are no token list are refused as a pickled vocabulary",
    arguments: ["refused-list.pkl", "state.pt", "references.json"])
  func otherFiles(name: String) {
    #expect(throws: TextError.self) {
      try Vocabulary(contentsOf: Self.path(name), format: .pickle)
    }
  }

  // MARK: - Bombs

  /// A pickle of arrays in which the bytes of each are one text: 20 MB of it took 8 GB.
  ///
  /// - Parameters:
  ///   - count: The arrays.
  ///   - size: The numbers of each, f4.
  ///   - bytes: The opcodes that give the bytes: of the first array, and of the others.
  /// - Returns: The pickle, protocol 2.
  private func arrays(
    _ count: Int, of size: UInt16, bytes: (first: [UInt8], others: [UInt8])
  ) -> [UInt8] {
    func text(_ text: String) -> [UInt8] {
      [0x58, UInt8(text.utf8.count), 0, 0, 0] + Array(text.utf8)  // BINUNICODE
    }
    var pickle: [UInt8] = [0x80, 2] + Array("}(".utf8)
    for index in 0..<count {
      pickle += text("w\(index)") + Array("cnumpy.core.multiarray\n_reconstruct\n".utf8)
      pickle += Array("cnumpy\nndarray\nK\0\u{85}".unicodeScalars.map { UInt8($0.value) })
      pickle += text("b") + [0x87, 0x52]  // TUPLE3, REDUCE
      pickle +=
        Array("(K\u{1}M".utf8) + [UInt8(size & 0xFF), UInt8(size >> 8), 0x85]
        + Array("cnumpy\ndtype\n".utf8) + text("f4")
      pickle += Array("K\0K\u{1}".utf8) + [0x87, 0x52] + Array("(K\u{3}".utf8) + text("<")
      pickle += Array("NNNK\0K\0K\0tb".utf8) + [0x89]
      pickle += index == 0 ? bytes.first : bytes.others
      pickle += Array("tb".utf8)
    }
    return pickle + Array("u.".utf8)
  }

  @Test("Pickled arrays that share their bytes are not copied")
  func sharedBytes() throws {
    // BINUNICODE of four letters, BINPUT 0; BINGET 0.
    let text: [UInt8] = [0x58, 4, 0, 0, 0] + Array("AAAA".utf8) + [0x71, 0]
    let pickle = arrays(40, of: 1, bytes: (text, [0x68, 0]))
    try withTemporaryFolder { folder in
      let path = "\(folder)/shared.pkl"
      try Data(pickle).write(to: URL(filePath: path))
      let file = try NumPyPickle(MappedFile(path: path))
      #expect(file.tensors.count == 40)
      var room = 0
      let addresses = try Set(
        file.tensors.map {
          try file.contents(of: $0.tensor, named: $0.name, room: &room).withUnsafeBytes {
            $0.baseAddress
          }
        })
      #expect(addresses.count == 1)
    }
  }

  @Test("Pickled arrays made by calls take no more memory than the file allows")
  func memoryOfCalls() throws {
    func encode(_ text: [UInt8]) -> [UInt8] {
      let latin1 = [0x58, 6, 0, 0, 0] + Array("latin1".utf8)
      return Array("c_codecs\nencode\n".utf8) + text + latin1 + [0x86, 0x52]
    }
    let long = [UInt8](repeating: 0x41, count: 60_000)
    let text: [UInt8] = [0x58, 0x60, 0xEA, 0, 0] + long + [0x71, 0]
    let pickle = arrays(40, of: 15_000, bytes: (encode(text), encode([0x68, 0])))
    try withTemporaryFolder { folder in
      let path = "\(folder)/calls.pkl"
      try Data(pickle).write(to: URL(filePath: path))
      let error = #expect(throws: InterchangeError.self) {
        try NumPyPickle(MappedFile(path: path))
      }
      // The first is read.
      #expect(error?.place == "w1" && error?.found == "others")
    }
  }

  // MARK: - Damage

  @Test("Damaged pickles are refused or read, and never trap")
  func damagedFiles() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: Self.path(""))
      .filter { $0.hasSuffix(".pt") || $0.hasSuffix(".pkl") }.sorted()
    #expect(names.count == 40)
    var generator = SeededGenerator(seed: 41)
    var refused = 0
    try withTemporaryFolder { folder in
      for name in names {
        let whole = try MappedFile(path: Self.path(name)).copy(0..<Int.max)
        for _ in 0..<25 {
          // The pickles stand before the numbers.
          let mutant = generator.damaged(whole, within: 1600)
          let path = "\(folder)/mutant.pkl"
          try Data(mutant).write(to: URL(filePath: path))
          refused += try isRefused(path) ? 1 : 0
        }
      }
    }
    #expect(refused > names.count * 25 / 2)
  }

  private func isRefused(_ path: String) throws -> Bool {
    do { _ = try Vocabulary(contentsOf: path, format: .pickle) } catch is TextError {}
    let file = try MappedFile(path: path)
    guard let format = AllFormats.format(of: file) else { return true }
    do { _ = try format.read(file, options: Self.options) } catch is InterchangeError {
      return true
    }
    return false
  }
}
