// Checkpoints of TensorFlow: tables written by hand that lie, and files that are damaged or missing.

import Foundation
import TestSupport
import Testing
import UnrollFormat
import UnrollTensors
import UnrollTokenization

@testable import UnrollInterchange

@Suite struct TensorFlowTests {
  // MARK: - Names

  @Test("The variables of cells before TensorFlow 1.0 are known by their names")
  func oldNames() {
    let names = ["Matrix", "Bias", "Bias/Adam"].flatMap { part in
      (0..<2).map { "rnnlm/MultiRNNCell/Cell\($0)/BasicLSTMCell/Linear/\(part)" }
    }
    let cells = CellVariables.all(in: names)
    #expect(cells.map(\.kind) == [.basicLSTM, .basicLSTM])
    #expect(cells.map { $0.names.count } == [2, 2])
    #expect(CellVariables.ordered(cells)?.map(\.scope).last?.contains("Cell1") == true)
    let gru = CellVariables.all(in: [
      "GRUCell/Gates/Linear/Matrix", "GRUCell/Gates/Linear/Bias",
      "GRUCell/Candidate/Linear/Matrix", "GRUCell/Candidate/Linear/Bias",
    ])
    #expect(gru.map(\.kind) == [.gru] && gru.first?.names.count == 4)
    let lstm = CellVariables.all(in: ["RNN/LSTMCell/W_0", "RNN/LSTMCell/B"])
    #expect(lstm.map(\.kind) == [.lstm] && lstm.first?.names.count == 2)
  }

  @Test("A checkpoint that is named and missing is refused with those that are there")
  func missingCheckpoint() throws {
    try withTemporaryFolder { folder in
      let state = #"model_checkpoint_path: "model.ckpt-16000""#
      try Data(state.utf8).write(to: URL(filePath: "\(folder)/checkpoint"))
      let alone = #expect(throws: InterchangeError.self) { try ModelLocation(folder) }
      #expect(alone?.found == "no checkpoint")
      try Data().write(to: URL(filePath: "\(folder)/model.ckpt-1099.index"))
      let error = #expect(throws: InterchangeError.self) { try ModelLocation(folder) }
      #expect(error?.found == "only model.ckpt-1099")
      #expect(error?.fix.contains("\(folder)/model.ckpt-1099") == true)
    }
  }

  @Test("The only checkpoint of a folder is taken with a note, and several are refused by name")
  func foldersWithoutState() throws {
    try withTemporaryFolder { folder in
      let table = Data(Self.table([([], Self.header)]))
      func add(_ name: String, _ data: Data = Data()) throws {
        try data.write(to: URL(filePath: "\(folder)/\(name)"))
      }
      try add("model.ckpt-3.index", table)
      try add("words.index", Data("no index of TensorFlow".utf8))
      try add("words_vocab.pkl")
      let location = try ModelLocation(folder)
      #expect(location.path == "\(folder)/model.ckpt-3.index")
      #expect(
        location.notes.map(\.description) == [
          "model.ckpt-3: the only checkpoint of the folder, which has no file checkpoint"
        ])
      #expect(try ModelLocation(location.path).notes.isEmpty)
      // A folder of models is no model.
      try add("model.pt")
      #expect(ModelLocation.file(inFolder: folder) == nil)
      try FileManager.default.removeItem(atPath: "\(folder)/model.pt")
      try add("model.ckpt-20.index", table)
      let error = #expect(throws: InterchangeError.self) { try ModelLocation(folder) }
      #expect(error?.found == "model.ckpt-20, model.ckpt-3")
      #expect(error?.fix.hasSuffix("such as `\(folder)/model.ckpt-3`") == true)
      try add("checkpoint", Data(#"model_checkpoint_path: "model.ckpt-20""#.utf8))
      #expect(try ModelLocation(folder).path == "\(folder)/model.ckpt-20.index")
    }
  }

  // MARK: - Writing

  @Test("A table of many entries is read back, over blocks and shared beginnings of keys")
  func tableRoundTrip() throws {
    let entries = (0..<3000).map { number in
      (
        key: Array("layer/\(number + 10000)/kernel".utf8),
        value: [UInt8](repeating: UInt8(number % 256), count: number % 90)
      )
    }
    for count in [0, 1, 16, 17, 3000] {
      let some = Array(entries.prefix(count))
      let bytes = LevelTable.bytes(of: some)
      let table = try LevelTable(.owned(bytes), path: "made.index")
      #expect(table.entries.map(\.key) == some.map(\.key))
      #expect(table.entries.map(\.value) == some.map(\.value))
    }
  }

  /// Returns a model of Keras with its optimizer.
  private func trained(_ name: String) throws -> Checkpoint {
    var options = ReadingOptions()
    options.requiresVocabulary = false
    return try KerasFormat.read(MappedFile(path: Fixtures.path("keras/\(name)")), options: options)
      .checkpoint
  }

  @Test(
    "A model of Keras and its optimizer come back from a checkpoint of TensorFlow bit for bit",
    arguments: ["lstm.keras", "gru.keras", "rnn.keras", "gru-before.keras"])
  func roundTrip(name: String) throws {
    let checkpoint = try trained(name)
    try withTemporaryFolder { folder in
      let path = "\(folder)/model.index"
      try TensorFlowFormat.export(checkpoint, to: path)
      var options = ReadingOptions(
        vocabulary: checkpoint.vocabulary, tokenizer: checkpoint.tokenizer)
      options.requiresVocabulary = false
      let back = try TensorFlowFormat.read(MappedFile(path: path), options: options).checkpoint
      #expect(back.architecture == checkpoint.architecture)
      #expect(back.weightsDigest == checkpoint.weightsDigest)
      #expect(back.optimizer?.kind == checkpoint.optimizer?.kind)
      #expect(back.optimizer?.groups == checkpoint.optimizer?.groups)
      let slots = checkpoint.optimizer?.slots ?? [:]
      #expect(back.optimizer?.slots.count ?? 0 == slots.count)
      for (slot, tree) in slots {
        for path in tree.paths {
          let written = try #require(tree[path])
          let read = try #require(back.optimizer?.slots[slot]?[path])
          #expect(read.isEqual(to: written) { _ in }, "\(slot) \(path)")
        }
      }
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
          == ["model.data-00000-of-00001", "model.index"])
    }
  }

  @Test(
    "Neither the index nor the shard of a checkpoint is overwritten, and a failure leaves no file")
  func nothingIsOverwritten() throws {
    let checkpoint = try trained("gru.keras")
    try withTemporaryFolder { folder in
      let shard = "\(folder)/model.data-00000-of-00001"
      try Data("mine".utf8).write(to: URL(filePath: shard))
      #expect(throws: FileError.self) {
        try TensorFlowFormat.export(checkpoint, to: "\(folder)/model.index")
      }
      #expect(try Data(contentsOf: URL(filePath: shard)) == Data("mine".utf8))
      struct Stopped: Error {}
      #expect(throws: Stopped.self) {
        try TensorFlowFormat.export(checkpoint, to: "\(folder)/other.index") { _ in
        } check: { _ in
          throw Stopped()
        }
      }
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: folder) == ["model.data-00000-of-00001"]
      )
      try TensorFlowFormat.export(checkpoint, to: "\(folder)/model.index", replacing: true)
      #expect(try Data(contentsOf: URL(filePath: shard)).count > 4)
    }
  }

  // MARK: - Tables written by hand

  /// Returns a number of 7 bits a byte.
  private static func number(_ value: Int) -> [UInt8] {
    var rest = UInt64(bitPattern: Int64(value))
    var bytes: [UInt8] = []
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7F) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  private static func littleEndian(_ value: UInt32) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  /// Returns a field of a message.
  private static func field(_ number: Int, _ value: Int) -> [UInt8] {
    [UInt8(number << 3)] + Self.number(value)
  }

  private static func field(_ number: Int, _ bytes: [UInt8]) -> [UInt8] {
    [UInt8(number << 3 | 2)] + Self.number(bytes.count) + bytes
  }

  /// Returns a block with its compression and checksum.
  private static func block(
    _ entries: [(key: [UInt8], value: [UInt8])], compression: UInt8 = 0
  ) -> [UInt8] {
    let content =
      entries.flatMap { key, value in
        number(0) + number(key.count) + number(value.count) + key + value
      } + littleEndian(0) + littleEndian(1)
    return content + [compression] + littleEndian(maskedChecksum(content + [compression]))
  }

  /// Returns a table of one block.
  private static func table(
    _ entries: [(key: [UInt8], value: [UInt8])], compression: UInt8 = 0
  ) -> [UInt8] {
    let data = block(entries, compression: compression)
    let meta = block([])
    let handle = number(0) + number(data.count - 5)
    let index = block([(entries.last?.key ?? [], handle)])
    let places =
      number(data.count) + number(meta.count - 5) + number(data.count + meta.count)
      + number(index.count - 5)
    let footer = places + [UInt8](repeating: 0, count: 40 - places.count)
    return data + meta + index + footer + [0x57, 0xFB, 0x80, 0x8B, 0x24, 0x75, 0x47, 0xDB]
  }

  private static let header = field(1, 1)

  /// Returns the entry of a tensor of f32 with one dimension.
  private static func entry(
    _ size: Int, offset: Int, type: Int = 1, shard: Int = 0, bytes: Int? = nil,
    checksum: UInt32? = nil, more: [UInt8] = []
  ) -> [UInt8] {
    let count = bytes ?? 4 * size
    let zeros = [UInt8](repeating: 0, count: max(0, min(count, 64)))
    return field(1, type) + field(2, field(2, field(1, size))) + field(3, shard)
      + field(4, offset) + field(5, count) + [6 << 3 | 5]
      + littleEndian(checksum ?? maskedChecksum(zeros)) + more
  }

  /// Opens a checkpoint of some entries and a shard of 64 zeros.
  private func open(
    _ entries: [(name: String, value: [UInt8])], header: [UInt8] = header, compression: UInt8 = 0,
    shard: String = "x.data-00000-of-00001"
  ) throws -> TensorBundle {
    try withTemporaryFolder { folder in
      let entries =
        [(key: [UInt8](), value: header)] + entries.map { (Array($0.name.utf8), $0.value) }
      let bytes = Self.table(entries, compression: compression)
      try Data(bytes).write(to: URL(filePath: "\(folder)/x.index"))
      try Data(count: 64).write(to: URL(filePath: "\(folder)/\(shard)"))
      let file = try MappedFile(path: "\(folder)/x.index")
      #expect(TensorFlowFormat.recognizes(file))
      return try TensorBundle(file)
    }
  }

  /// Returns the refusal of a checkpoint.
  private func refusal(
    _ entries: [(name: String, value: [UInt8])], header: [UInt8] = header, compression: UInt8 = 0,
    shard: String = "x.data-00000-of-00001"
  ) throws -> String {
    let error = try #require(throws: InterchangeError.self) {
      _ = try open(entries, header: header, compression: compression, shard: shard)
    }
    return "\(error.place): expected \(error.expected), found \(error.found)"
  }

  @Test("A table written by hand is read")
  func tablesByHand() throws {
    let bundle = try open([
      ("a", Self.entry(4, offset: 0)), ("b/c", Self.entry(2, offset: 16, type: 3)),
    ])
    #expect(bundle.names == ["a", "b/c"])
    #expect(try bundle.tensor("a").shape == [4])
    #expect(try bundle.tensor("b/c").dtype == .int32)
  }

  @Test(
    "Compressed blocks, big-endian numbers, version V1 and partitioned variables are refused by name"
  )
  func unsupportedCheckpointsAreNamed() throws {
    let one = [("a", Self.entry(4, offset: 0))]
    #expect(try refusal(one, compression: 1).contains("found one that snappy compressed"))
    let big = Self.header + Self.field(2, 1)
    #expect(try refusal(one, header: big).contains("found big-endian ones"))
    let first = Self.field(1, Self.field(1, 3))
    #expect(try refusal(one, header: first).contains("found one of version V1"))
    let newer = Self.header + Self.field(3, Self.field(2, 2))
    #expect(try refusal(one, header: newer).contains("a reader's version of at most 1"))
    let sliced = Self.entry(4, offset: 0, more: Self.field(7, Self.field(1, [])))
    #expect(try refusal([("a", sliced)]).hasPrefix("a: expected a whole variable"))
  }

  @Test(
    "Entries with places outside their shard, shared bytes, wrong checksums and odd sizes are refused"
  )
  func lyingEntriesAreRefused() throws {
    func found(_ entry: [UInt8]) throws -> String { try refusal([("a", entry)]) }
    #expect(try found(Self.entry(4, offset: 56)).contains("found a file of 64 bytes"))
    #expect(try found(Self.entry(4, offset: 1 << 62)).contains("found a file of 64 bytes"))
    #expect(try found(Self.entry(4, offset: -8)).contains("type, shape and place"))
    #expect(try found(Self.entry(4, offset: 0, bytes: -1)).contains("type, shape and place"))
    #expect(try found(Self.entry(-1, offset: 0, bytes: 4)).contains("type, shape and place"))
    #expect(try found(Self.entry(4, offset: 0, shard: 1)).contains("type, shape and place"))
    #expect(try found(Self.entry(4, offset: 0, checksum: 7)).contains("the checksum 7"))
    let shared = [("a", Self.entry(4, offset: 0)), ("b", Self.entry(4, offset: 12))]
    #expect(try refusal(shared).hasPrefix("b: expected bytes of its own"))
    let bundle = try open([("a", Self.entry(5, offset: 0, bytes: 16))])
    let error = #expect(throws: InterchangeError.self) { try bundle.tensor("a") }
    #expect(error?.found == "16 bytes")
    #expect(
      try refusal([("a", Self.entry(1, offset: 0, type: 7, bytes: 5))])
        .contains("of its lengths"))
  }

  @Test("A missing shard is named, and too many shards are refused")
  func missingShardsAreNamed() throws {
    let one = [("a", Self.entry(4, offset: 0))]
    let error = try #require(throws: InterchangeError.self) {
      try open(one, header: Self.field(1, 2))
    }
    #expect(error.file.hasSuffix("x.data-00000-of-00002"))
    #expect(error.fix.contains("copy all files"))
    #expect(try refusal(one, header: Self.field(1, 1 << 40)).contains("a number of shards"))
    #expect(try refusal(one, header: []).contains("a number of shards"))
  }

  @Test("Graphs of more operations, functions or strings than a model needs are refused")
  func largeGraphs() throws {
    func refusal(_ graph: [UInt8]) throws -> String? {
      try withTemporaryFolder { folder in
        let path = "\(folder)/saved_model.pb"
        let bytes = Self.field(1, 1) + Self.field(2, Self.field(2, graph))
        try Data(bytes).write(to: URL(filePath: path))
        let file = try MappedFile(path: path)
        #expect(TensorFlowFormat.recognizes(file))
        do {
          _ = try SavedModel(file)
          return nil
        } catch let error as InterchangeError {
          return "expected \(error.expected), found \(error.found)"
        }
      }
    }
    func repeated(_ bytes: [UInt8], _ count: Int) -> [UInt8] {
      [[UInt8]](repeating: bytes, count: count).flatMap { $0 }
    }
    let node = Self.field(1, [])
    #expect(try refusal(repeated(node, 1000)) == nil)
    #expect(try refusal(repeated(node, 1 << 17 + 1))?.contains("131072 operations") == true)
    let function = Self.field(1, repeated(Self.field(3, []), 1 << 17))
    #expect(try refusal(Self.field(2, function)) == nil)
    #expect(try refusal(Self.field(2, repeated(function, 5)))?.contains("of functions") == true)
    let constants = (0..<1100).flatMap { number in
      let shape = Self.field(2, Self.field(2, Self.field(1, 2)))
      let tokens =
        Self.field(1, 7) + shape + Self.field(8, Array("a\(number)".utf8)) + Self.field(8, [98])
      let value = Self.field(1, Array("value".utf8)) + Self.field(2, Self.field(8, tokens))
      return Self.field(1, Self.field(2, Array("Const".utf8)) + Self.field(5, value))
    }
    #expect(try refusal(constants)?.contains("strings of at most 16 MB") == true)
  }

  @Test("An object graph of more objects than a model needs is refused")
  func largeObjectGraphs() {
    let node = Self.field(1, [])
    let nodes = [[UInt8]](repeating: node, count: 1 << 16).flatMap { $0 }
    #expect(TrackableGraph(nodes)?.nodes.count == 1 << 16)
    #expect(TrackableGraph(nodes + node) == nil)
  }

  @Test("Keys out of their order, and each damaged byte of an index, are refused")
  func damagedTablesAreRefused() throws {
    let entry = Self.entry(4, offset: 0)
    #expect(
      try refusal([("b", entry), ("a", Self.entry(4, offset: 16))]).contains("keys in their order"))
    #expect(try refusal([("a", entry), ("a", entry)]).contains("keys in their order"))
    let whole = Self.table([([], Self.header), (Array("a".utf8), entry)])
    try withTemporaryFolder { folder in
      let path = "\(folder)/x.index"
      try Data(count: 64).write(to: URL(filePath: "\(folder)/x.data-00000-of-00001"))
      func isRefused(_ bytes: [UInt8]) throws -> Bool {
        try Data(bytes).write(to: URL(filePath: path))
        do {
          _ = try TensorBundle(MappedFile(path: path))
          return false
        } catch is InterchangeError {
          return true
        }
      }
      #expect(try !isRefused(whole))
      let padding = whole.count - 48..<whole.count - 8
      for place in whole.indices {
        var bytes = whole
        bytes[place] ^= 0x41
        // The footer's padding has no meaning.
        let refused = try isRefused(bytes)
        #expect(refused || padding.contains(place), "byte \(place)")
        #expect(try isRefused(Array(whole[..<place])), "cut at byte \(place)")
      }
    }
  }
}
