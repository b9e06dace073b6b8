// A valid checkpoint and its inventory, changed as a fuzzer chooses.

import Foundation
import UnrollHDF5
import UnrollTensors

@testable import UnrollFormat

/// A fuzzer's bytes, read as choices; zeros follow the last one.
private struct Choices {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { rest = bytes[...] }

  var isEmpty: Bool { rest.isEmpty }

  mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

  /// A number below a bound, which is at least 1.
  mutating func index(_ bound: Int) -> Int {
    (bound > 256 ? Int(byte()) << 8 | Int(byte()) : Int(byte())) % bound
  }

  mutating func element<Element>(of list: [Element]) -> Element { list[index(list.count)] }

  /// Small numbers, the limits of types, and any other.
  mutating func number() -> UInt64 {
    let kind = byte()
    switch kind {
    case 0..<192: return UInt64(kind % 64)
    case 192..<224: return (0..<8).reduce(0) { number, _ in number << 8 | UInt64(byte()) }
    default: return (1 << UInt64(kind & 31 + 32)) &- UInt64(byte() & 1)
    }
  }

  mutating func text() -> String {
    String(decoding: (0..<index(16)).map { _ in byte() }, as: UTF8.self)
  }
}

/// A checkpoint that a fuzzer changed: its bytes, and what libhdf5 would say of them.
struct FuzzedCheckpoint {
  private var bytes: [UInt8]
  private var inventory: Inventory
  /// `true` if the digests are recomputed; otherwise nothing behind them would be reached.
  private var isSealed = false
  private let original: Original

  /// The unchanged checkpoint.
  private struct Original {
    let bytes: [UInt8]
    let inventory: Inventory
    /// The bytes of datasets in chunks, by path.
    let decoded: [String: [UInt8]]
    /// All values of attributes.
    let values: [AttributeValue]
    /// All names of attributes.
    let names: [String]

    init(_ fixture: String) {
      do {
        let path = FuzzTarget.fixture(fixture)
        let file = try MappedFile(path: path)
        bytes = file.copy(0..<file.count)
        inventory = try Inventory(contentsOf: path)
        var contents = Contents(file, inventory: inventory, failure: nil)
        try contents.decode(with: .inProcess) { _ in true }
        decoded = contents.decoded.mapValues { $0.withUnsafeBytes { Array($0) } }
        names = Set(inventory.objects.flatMap(\.attributes.keys)).sorted()
        values = inventory.objects.flatMap { object in
          object.attributes.sorted { $0.key < $1.key }.map(\.value)
        }
      } catch {
        preconditionFailure("fixtures/\(fixture): \(error)")
      }
    }
  }

  private static let originals = [
    Original("fuzzing/training.unroll.h5"), Original("checkpoints/keras-gru-after.unroll.h5"),
    Original("checkpoints/torch-mixed-f16-archive.unroll.h5"),
  ]

  /// Changes one of the checkpoints.
  init(_ input: [UInt8]) {
    var choices = Choices(input)
    original = choices.element(of: Self.originals)
    (bytes, inventory) = (original.bytes, original.inventory)
    while !choices.isEmpty { change(&choices) }
  }

  // MARK: - Changes

  private mutating func change(_ choices: inout Choices) {
    let kind = choices.index(8)
    guard kind > 2, !inventory.objects.isEmpty else {
      changeWhole(kind, &choices)
      return
    }
    let index = choices.index(inventory.objects.count)
    switch kind {
    case 3: inventory.objects.remove(at: index)
    case 4:
      var copy = inventory.objects[index]
      copy.path = path(&choices)
      inventory.objects.insert(copy, at: choices.index(inventory.objects.count))
    case 5: inventory.objects[index].kind = objectKind(&choices)
    case 6:
      guard case .dataset(var dataset) = inventory.objects[index].kind else { return }
      change(&dataset, &choices)
      inventory.objects[index].kind = .dataset(dataset)
    default:
      inventory.objects[index].attributes[choices.element(of: original.names)] = value(&choices)
    }
  }

  private mutating func changeWhole(_ kind: Int, _ choices: inout Choices) {
    switch kind {
    case 0:
      guard !bytes.isEmpty else { return }
      let start = choices.index(bytes.count)
      for place in start..<min(bytes.count, start + 1 + choices.index(8)) {
        bytes[place] = choices.byte()
      }
    case 1: isSealed.toggle()
    default:
      switch choices.index(3) {
      case 0: bytes = Array(bytes.prefix(choices.index(bytes.count + 1)))
      case 1: inventory.stoppedAt = .depth(path(&choices))
      default: inventory.stoppedAt = .objects
      }
    }
  }

  private func path(_ choices: inout Choices) -> String {
    let path = choices.element(of: original.inventory.objects).path
    let text = choices.text()
    return text.isEmpty ? path : "\(path)/\(text)"
  }

  private func objectKind(_ choices: inout Choices) -> InventoryObject.Kind {
    switch choices.index(8) {
    case 0: .group
    case 1: .hardLink(to: path(&choices))
    case 2: .softLink
    case 3: .externalLink
    case 4: .userDefinedLink
    case 5: .namedDatatype
    case 6: .unreadable(choices.text())
    default: choices.element(of: original.inventory.objects).kind
    }
  }

  private func change(_ dataset: inout DatasetDescription, _ choices: inout Choices) {
    switch choices.index(8) {
    case 0: dataset.dimensions = (0..<choices.index(5)).map { _ in choices.number() }
    case 1:
      let type = choices.index(DType.allCases.count + 1)
      dataset.datatype =
        type < DType.allCases.count ? .element(DType.allCases[type]) : .other(choices.text())
    case 2:
      dataset.layout = choices.element(of: [.contiguous, .chunked, .compact, .virtual, .unknown])
    case 3: dataset.offset = choices.byte() & 1 == 0 ? choices.number() : nil
    case 4: dataset.storageSize = choices.number()
    case 5: dataset.externalFileCount = Int(truncatingIfNeeded: choices.number())
    case 6:
      dataset.filters = (0..<choices.index(5)).map { _ in
        Int(truncatingIfNeeded: choices.number())
      }
    default:
      let dimensions = (0..<choices.index(5)).map { _ in choices.number() }
      dataset.chunks = ChunkGrid(dimensions: dimensions, count: choices.number())
    }
  }

  private func value(_ choices: inout Choices) -> AttributeValue? {
    switch choices.index(8) {
    case 0: .text(choices.text())
    case 1: .texts((0..<choices.index(4)).map { _ in choices.text() })
    case 2: .integer(Int64(truncatingIfNeeded: choices.number()))
    case 3: .number(Double(bitPattern: choices.number()))
    case 4: .other(choices.text())
    case 5: nil
    default: choices.element(of: original.values)
    }
  }

  // MARK: - Checks

  /// The rules that the checkpoint breaks, and whether it opens.
  func outcome(at path: String) throws -> String {
    try Data(bytes).write(to: URL(filePath: path))
    let inventory = isSealed ? try sealed(at: path) : inventory
    let reader = reader(inventory)
    let found = try Examination(of: path, upTo: .bytes, reader: reader).findings.map(\.rule)
    let opened = try Examination(of: path, upTo: .header, reader: reader)
    var outcome = "\(Set(found).sorted())"
    if opened.worstLevel != .error {
      do {
        outcome += ", opens with \(try Checkpoint(opened).parameters.paths.count) tensors"
      } catch let error as InvalidCheckpoint {
        outcome += ", opens not: \(error.findings.map(\.rule))"
      }
    }
    return outcome
  }

  /// Answers the inventory, and for data in chunks what was there before the changes.
  private func reader(_ inventory: Inventory) -> ContainerReader {
    let decoded = original.decoded
    return ContainerReader { _ in
      inventory
    } decode: { orders, _, descriptor in
      let file = FileHandle(fileDescriptor: descriptor)
      for order in orders {
        guard let bytes = decoded[order.path], bytes.count == order.byteCount else { continue }
        try? file.seek(toOffset: UInt64(order.offset))
        try? file.write(contentsOf: bytes)
      }
    }
  }

  /// The inventory with digests of what is there.
  private func sealed(at path: String) throws -> Inventory {
    var sealed = inventory
    let file = try MappedFile(path: path)
    let contents = Contents(file, inventory: inventory, failure: nil)
    for index in sealed.objects.indices {
      guard let tensor = contents.tensor(sealed.objects[index].path) else { continue }
      sealed.objects[index].attributes[AttributeName.digest] =
        .text(tensor.withUnsafeBytes { Digest.sha256($0) })
    }
    let weights = Digest.weights(
      Contents(file, inventory: sealed, failure: nil).digestEntries)
    for index in sealed.objects.indices {
      if sealed.objects[index].attributes[AttributeName.weightsDigest] != nil {
        sealed.objects[index].attributes[AttributeName.weightsDigest] = .text(weights)
      }
    }
    let content = Digest.content(
      Contents(file, inventory: sealed, failure: nil).digestEntries)
    if let root = sealed.objects.firstIndex(where: { $0.path == Layout.root }) {
      sealed.objects[root].attributes[AttributeName.contentDigest] = .text(content)
    }
    return sealed
  }
}
