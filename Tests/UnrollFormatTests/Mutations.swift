// The table of mutations: one for each rule, in the order of the rules.

import Foundation
import TestSupport
import UnrollHDF5
import UnrollTensors

@testable import UnrollFormat

private let embedding = ParameterPath.embeddingWeight.description
private let outputWeight = ParameterPath.outputWeight.description

extension Mutation {
  /// A mutation for each rule.
  static let all =
    container + safety + structure + architecture + tensors + vocabulary + optimizer + resume
    + integrity + companions + quality

  private static let container: [Mutation] = [
    Mutation(rule: "C001", bytes: { $0.replaceSubrange(0..<4, with: "GGUF".utf8) }),
    Mutation(rule: "C002", bytes: { $0.removeLast(100) }),
    Mutation(rule: "C003", bytes: { $0 += [1, 2, 3] }),
    Mutation(rule: "C004", bytes: { $0[8] = 0 }),
    Mutation(
      rule: "C005",
      inventory: { inventory throws(ContainerFailure) in
        inventory.edit("/") { $0.attributes["complete"] = .integer(0) }
      }),
    Mutation(
      rule: "C007",
      outline: { outline in
        outline.addGroup("/extensions")
        outline.addGroup("/extensions/org.example.removed")
        outline.addDataset(
          "/extensions/org.example.removed/data", Tensor([UInt8](repeating: 0, count: 200_000)))
      },
      inventory: { inventory throws(ContainerFailure) in inventory.forget("/extensions") }),
    Mutation(rule: "C008", bytes: { $0[70] ^= 1 }),
    Mutation(
      rule: "C010",
      outline: { $0.objects["/"]?.attributes["format_version"] = .text("2.0") }),
    Mutation(
      rule: "C011",
      outline: { $0.objects["/"]?.attributes["format_version"] = .text("1.7") }),
    Mutation(
      rule: "C012",
      outline: { $0.objects["/"]?.attributes["required_features"] = .texts(["int8"]) }),
  ]

  private static let safety: [Mutation] = [
    Mutation(rule: "X001", inventory: adding("/vocabulary/notes", .externalLink)),
    Mutation(rule: "X002", inventory: adding("/vocabulary/notes", .softLink)),
    Mutation(rule: "X003", inventory: adding("/vocabulary/notes", .userDefinedLink)),
    Mutation(
      rule: "X004",
      inventory: editingDataset(embedding) {
        $0.externalFileCount = 1
        $0.offset = nil
        $0.storageSize = 0
      }),
    Mutation(
      rule: "X005",
      inventory: editingDataset(embedding) {
        $0.layout = .virtual
        $0.offset = nil
        $0.storageSize = 0
      }),
    Mutation(
      rule: "X006",
      inventory: editingDataset(embedding) { $0.datatype = .other("variable-length string") }),
    Mutation(
      rule: "X007",
      inventory: editingDataset(embedding) {
        $0.layout = .chunked
        $0.chunks = ChunkGrid(dimensions: [11, 5], count: 1)
        $0.filters = [1, 32_000]
      }),
    Mutation(
      rule: "X010",
      inventory: editingDataset(embedding) { $0.dimensions = [1 << 40, 1 << 30] }),
    Mutation(
      rule: "X011",
      inventory: { inventory throws(ContainerFailure) in
        // Enough is stored for its size.
        var zeros = DatasetDescription(
          datatype: .element(.float32), dimensions: [4096, 4096], layout: .chunked, offset: nil,
          storageSize: 70_000, externalFileCount: 0, filters: [1, 3])
        zeros.chunks = ChunkGrid(dimensions: [1024, 4096], count: 4)
        inventory.objects.append(
          InventoryObject(path: "/zeros", kind: .dataset(zeros), linkCount: 1))
      }),
    Mutation(
      rule: "X012",
      inventory: { inventory throws(ContainerFailure) in inventory.stoppedAt = .objects }),
    Mutation(
      rule: "X013",
      inventory: { inventory throws(ContainerFailure) in inventory.stoppedAt = .depth("/a/b") }),
    Mutation(rule: "X014", inventory: adding("/vocabulary/a\u{1B}[2J", .group)),
    Mutation(
      rule: "X015",
      inventory: { inventory throws(ContainerFailure) in
        inventory.edit("/") { $0.attributes["notes"] = .other("larger than 32768 bytes") }
      }),
    Mutation(
      rule: "X016",
      outline: {
        $0.objects["/vocabulary/again"] = Outline.Object(kind: .hardLink(to: "/vocabulary"))
      }),
    Mutation(
      rule: "X017",
      inventory: { inventory throws(ContainerFailure) in
        var place: UInt64?
        inventory.editDataset(embedding) { place = $0.offset }
        inventory.editDataset("/vocabulary/token_bytes") { $0.offset = place.map { $0 + 64 } }
      }),
    Mutation(
      rule: "X018", inventory: editingDataset(embedding) { $0.offset = 1 << 40 }),
    Mutation(
      rule: "X019",
      inventory: { inventory throws(ContainerFailure) in inventory.stoppedAt = .text }),
    Mutation(
      rule: "X020",
      inventory: { _ throws(ContainerFailure) in
        throw .died("a reader that crashed: segmentation fault")
      }),
    Mutation(
      rule: "X021",
      inventory: { inventory throws(ContainerFailure) in
        inventory.stoppedAt = .attributes("/model")
      }),
  ]

  private static let structure: [Mutation] = [
    Mutation(
      rule: "S001", outline: { $0.objects["/tokenizer"]?.attributes["kind"] = nil }),
    Mutation(
      rule: "S002", outline: { $0.addGroup("/notes", ["text": .text("hello")]) }),
    Mutation(
      rule: "S003",
      outline: { $0.objects["/vocabulary"]?.attributes["size"] = .text("11") }),
    Mutation(
      rule: "S005",
      outline: { outline in
        for (path, object) in outline.objects where path.hasPrefix("/model/layers/01") {
          outline.objects[path] = nil
          outline.objects[path.replacing("/01", with: "/02")] = object
        }
      }),
    Mutation(
      rule: "S006", inventory: editingDataset(embedding) { $0.layout = .compact }),
  ]

  private static let architecture: [Mutation] = [
    Mutation(
      rule: "A001",
      outline: { $0.objects["/model/layers/00"]?.attributes["cell"] = .text("transformer") }),
    Mutation(
      rule: "A003",
      outline: { outline in
        outline.objects["/model/layers/01"]?.attributes["input_size"] = .integer(9)
        outline.addDataset(
          "/model/layers/01/weight_ih",
          Tensor([Float](repeating: 0.5, count: 24 * 9), shape: [24, 9]))
      }),
    Mutation(
      rule: "A005",
      outline: { $0.objects["/model/layers/00"]?.attributes["reset"] = nil }, cell: .gru),
    Mutation(
      rule: "A006",
      outline: { outline in
        outline.objects[outputWeight] = Outline.Object(kind: .hardLink(to: embedding))
        outline.objects["/model"]?.attributes["tied"] = .integer(1)
      }),
    Mutation(
      rule: "A008",
      outline: { $0.objects["/model/layers/00"]?.attributes["activation"] = .text("relu") }),
    Mutation(
      rule: "A009",
      outline: { outline in
        for path in outline.objects.keys where path.hasPrefix("/model/layers/") {
          outline.objects[path] = nil
        }
        outline.addDataset(
          outputWeight, Tensor([Float](repeating: 0.5, count: 55), shape: [11, 5]))
      }),
    Mutation(
      rule: "A010",
      outline: { outline in
        for path in outline.objects.keys where path.hasPrefix("/model/embedding") {
          outline.objects[path] = nil
        }
        outline.objects["/model"]?.attributes["input"] = .text("one_hot")
      }),
    Mutation(
      rule: "A011",
      outline: { $0.objects["/model/layers/00"]?.attributes["forget_bias"] = .number(1) },
      cell: .gru),
    Mutation(
      rule: "A012",
      outline: { $0.objects["/"]?.attributes["required_features"] = .texts(["mingru"]) },
      cell: .qrnn),
    Mutation(
      rule: "A013",
      outline: { $0.objects["/model/output"]?.attributes["kind"] = .text("adaptive_softmax") }),
  ]

  private static let tensors: [Mutation] = [
    Mutation(
      rule: "T001",
      outline: {
        $0.addDataset(
          "/model/output/bias", Tensor([Float](repeating: 0, count: 12), shape: [12]))
      }),
    Mutation(
      rule: "T002",
      outline: { outline in
        let ones = [UInt64](repeating: 1, count: 11)
        outline.addDataset("/model/output/bias", Tensor(ones))
      }),
    Mutation(
      rule: "T003",
      outline: {
        $0.addDataset("/model/layers/00/weight_hr", Tensor([0, 1, 2, 3], shape: [2, 2]))
      }),
    Mutation(
      rule: "T004", outline: { $0.objects["/model/layers/01/weight_hh"] = nil }),
    Mutation(
      rule: "T005",
      outline: { $0.objects[outputWeight] = $0.objects[embedding] }, tied: true),
    Mutation(
      rule: "T006",
      outline: { $0.objects["/model"]?.attributes["tied"] = .integer(0) }, tied: true),
    Mutation(
      rule: "T007",
      // 28 zeros are the same bytes four bytes further on, in the gap before the next dataset.
      outline: {
        $0.addDataset(
          "/model/layers/00/bias_ih", Tensor([Float](repeating: 0, count: 28), shape: [28]))
      },
      inventory: editingDataset("/model/layers/00/bias_ih") { $0.offset = $0.offset.map { $0 + 4 } }
    ),
  ]

  private static let vocabulary: [Mutation] = [
    Mutation(
      rule: "V001",
      outline: {
        $0.addDataset(
          "/vocabulary/token_offsets",
          Tensor(offsets: [0, 3, 2, 9, 14, 16, 17, 20, 22, 28, 31, 36]))
      }),
    Mutation(
      rule: "V002",
      outline: {
        $0.addDataset(embedding, Tensor([Float](repeating: 0, count: 50), shape: [10, 5]))
      }),
    Mutation(
      rule: "V003",
      outline: { $0.addDataset("/vocabulary/token_bytes", Tensor(tokens("thecatthe"))) }),
    Mutation(
      rule: "V004",
      outline: {
        $0.addDataset(
          "/vocabulary/token_offsets",
          Tensor(offsets: [0, 3, 3, 9, 14, 16, 17, 20, 22, 28, 31, 36]))
      }),
    Mutation(
      rule: "V005",
      outline: { outline in
        var bytes = tokens("thecatsat")
        bytes[0] = 0xFF
        outline.addDataset("/vocabulary/token_bytes", Tensor(bytes))
      }),
    Mutation(
      rule: "V006",
      outline: { $0.objects["/vocabulary"]?.attributes["unknown_id"] = .integer(11) }),
    Mutation(
      rule: "V007",
      outline: { $0.objects["/vocabulary"]?.attributes["unknown_id"] = .integer(-1) }),
    Mutation(
      rule: "V008",
      outline: { $0.objects["/tokenizer"]?.attributes["kind"] = .text("bpe") }),
    Mutation(
      rule: "V009",
      outline: { outline in
        outline.addDataset("/tokenizer/probe_text", Tensor(Array("the cat\n".utf8)))
        outline.addDataset("/tokenizer/probe_ids", Tensor([1, 0, 3] as [UInt32]))
      }),
    Mutation(
      rule: "V010",
      outline: { $0.objects["/tokenizer"]?.attributes["space"] = .text("on") }),
    Mutation(
      rule: "V012",
      outline: { outline in
        outline.objects["/tokenizer"]?.attributes["kind"] = .text("bpe")
        outline.objects["/tokenizer"]?.attributes["definition_format"] = .text("merges.txt")
        outline.addDataset("/tokenizer/definition", Tensor(Array("the cat dog\n".utf8)))
      }),
    Mutation(
      rule: "V011",
      outline: { $0.addDataset("/vocabulary/counts", Tensor([1, 2] as [UInt64])) }),
  ]

  private static let integrity: [Mutation] = [
    Mutation(
      rule: "I001",
      bytes: { bytes in
        // The first token's first letter; no metadata holds these bytes.
        guard let place = bytes.firstRange(of: "thecatsat".utf8)?.lowerBound else { return }
        bytes[place] ^= 1
      }),
    Mutation(
      rule: "I002",
      sealed: { $0.objects["/vocabulary/token_bytes"]?.attributes["digest"] = nil }),
    Mutation(
      rule: "I003",
      sealed: { $0.objects["/"]?.attributes["weights_digest"] = .text("00") }),
    Mutation(
      rule: "I004",
      inventory: { inventory throws(ContainerFailure) in
        inventory.edit("/vocabulary") { $0.attributes["unknown_id"] = .integer(9) }
      }),
    Mutation(
      rule: "I005",
      bytes: { bytes in
        // The start of a zlib stream, and so of a chunk.
        guard let place = bytes.firstRange(of: [0x78, 0x5E])?.lowerBound else { return }
        bytes[place + 8] ^= 1
      }, profile: .archive),
    Mutation(rule: "I006", sealed: { $0.addSelfTest() }, replay: [-2.5, -1, .nan]),
    Mutation(rule: "I007", sealed: { $0.addSelfTest(weightsDigest: "00") }),
    Mutation(rule: "I008", sealed: { $0.addSelfTest(ids: [1, 2, 3]) }),
  ]

  /// The valid vocabulary's bytes with another start of the same length.
  private static func tokens(_ start: String) -> [UInt8] {
    let all = Array(Checkpoint.small().vocabulary.tokenBytes)
    return Array(start.utf8) + all.dropFirst(start.utf8.count)
  }

  private static func adding(
    _ path: String, _ kind: InventoryObject.Kind
  ) -> @Sendable (inout Inventory) throws(ContainerFailure) -> Void {
    { inventory throws(ContainerFailure) in
      inventory.objects.append(InventoryObject(path: path, kind: kind, linkCount: 0))
    }
  }

  private static func editingDataset(
    _ path: String, _ edit: @escaping @Sendable (inout DatasetDescription) -> Void
  ) -> @Sendable (inout Inventory) throws(ContainerFailure) -> Void {
    { inventory throws(ContainerFailure) in inventory.editDataset(path, edit) }
  }
}

extension Outline {
  /// Adds a self-test of three log-probabilities.
  fileprivate mutating func addSelfTest(
    ids: [UInt32] = [1, 2, 3, 10], weightsDigest: String? = nil
  ) {
    SelfTest(
      tokenIDs: ids, logProbabilities: [-2.5, -1, -0.25], producer: "test 1", arithmetic: "f64",
      tolerance: 1e-4, weightsDigest: weightsDigest ?? self.weightsDigest
    ).add(to: &self)
  }
}

extension Tensor {
  fileprivate init(offsets: [UInt64]) { self.init(offsets) }
}

extension Inventory {
  /// Takes a group away, as a program would that unlinks it and seals the rest.
  fileprivate mutating func forget(_ group: String) {
    objects.removeAll { $0.path == group || $0.path.hasPrefix(group + "/") }
    guard let file = try? MappedFile(path: #filePath) else { return }
    let contents = Contents(file, inventory: self, failure: nil)
    let digest = Digest.content(contents.digestEntries)
    edit("/") { $0.attributes["content_digest"] = .text(digest) }
  }

  fileprivate mutating func edit(_ path: String, _ edit: (inout InventoryObject) -> Void) {
    for index in objects.indices where objects[index].path == path { edit(&objects[index]) }
  }

  fileprivate mutating func editDataset(
    _ path: String, _ edit: (inout DatasetDescription) -> Void
  ) {
    self.edit(path) { object in
      guard case .dataset(var dataset) = object.kind else { return }
      edit(&dataset)
      object.kind = .dataset(dataset)
    }
  }
}
