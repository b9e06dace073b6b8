// A file of `torch.save` before PyTorch 1.6: five pickles, followed by the storages.

import UnrollTensors

/// The parts of a file without an archive.
///
/// The pickles are the magic number, the protocol version 1001, the system that wrote the file, the
/// saved value, and the keys of its storages. The storages follow in the order of the keys, each
/// with the number of its elements in 64 bits and their bytes. Source: `_legacy_save` in
/// torch/serialization.py.
struct TorchLegacyFile {
  /// The file.
  let file: MappedFile
  /// The saved value.
  let graph: PickleGraph
  /// The bytes of the storages, by record name.
  private(set) var storages: [String: Range<Int>] = [:]
  /// Notes on content that is not read.
  private(set) var notes: [Note] = []

  /// The prefix of a storage's key in messages.
  static let storagePrefix = "storage "
  private static let protocolVersion = 1001

  /// Locates the parts of a file whose first pickle is the magic number.
  ///
  /// - Throws: `InterchangeError` if it is damaged, or from a machine of another byte order.
  init(_ file: MappedFile) throws {
    // Most pickles are short, and their lengths are not stored.
    let first = 1 << 20
    do {
      try self.init(file, copying: first)
    } catch  where file.count > first {
      try self.init(file, copying: PickleMachine.largestPickle)
    }
  }

  private init(_ file: MappedFile, copying count: Int) throws {
    self.file = file
    let bytes = file.copy(0..<count)
    var position = 0
    func next(_ place: String) throws -> PickleGraph {
      do {
        return try PickleMachine.graph(of: bytes, from: &position)
      } catch let error as PickleError {
        throw error.interchangeError(file, place)
      }
    }
    _ = try next("magic number")
    try Self.checkVersion(try next("protocol version"), file)
    try Self.checkSystem(try next("sys_info"), file)
    graph = try next("pickle")
    let keys = try next("storage keys")
    try readStorages(keys, at: position)
  }

  private static func error(
    _ file: MappedFile, _ place: String, expected: String, found: String,
    fix: String = "the file is damaged; copy it again or save the model again"
  ) -> InterchangeError {
    InterchangeError(file: file.path, place: place, expected: expected, found: found, fix: fix)
  }

  private static func checkVersion(_ graph: PickleGraph, _ file: MappedFile) throws {
    guard graph.int(graph.root) == protocolVersion else {
      throw error(
        file, "protocol version", expected: "\(protocolVersion)", found: graph.describe(graph.root))
    }
  }

  /// Checks `{"protocol_version": 1001, "little_endian": True, "type_sizes": {...}}`.
  private static func checkSystem(_ graph: PickleGraph, _ file: MappedFile) throws {
    let entries = graph[graph.root].value == .dictionary ? graph[graph.root].entries : nil
    let order = entries?.last { graph.string($0.key) == "little_endian" }?.value
    guard let order, case .bool(let isLittle) = graph[order].value else {
      throw error(
        file, "sys_info", expected: "a dictionary with little_endian",
        found: graph.describe(graph.root))
    }
    guard isLittle else {
      throw error(
        file, "sys_info", expected: "little_endian True", found: "False",
        fix: TorchFile.littleEndian)
    }
  }

  // MARK: - Storages

  private mutating func readStorages(_ keys: PickleGraph, at start: Int) throws {
    guard keys[keys.root].value == .list else {
      throw Self.error(
        file, "storage keys", expected: "a list of texts", found: keys.describe(keys.root))
    }
    let sizes = try elementSizes()
    var position = start
    for item in keys[keys.root].items {
      guard let key = keys.string(item), let size = sizes[key] else {
        throw Self.error(
          file, "storage keys", expected: "keys of storages that the pickle names",
          found: keys.describe(item))
      }
      let record = Self.storagePrefix + key
      guard let header = FixedHeader(file, at: position, count: 8) else {
        throw Self.error(
          file, record, expected: "the number of its elements at byte \(position)",
          found: "the end of the file")
      }
      position += 8
      let count = header.u64(0)
      let (byteCount, overflows) = (count ?? .max).multipliedReportingOverflow(by: size)
      guard !overflows, byteCount <= file.count - position else {
        throw Self.error(
          file, record, expected: "at most the \(file.count - position) bytes that are left",
          found: count.map { "\($0) elements of \(size) bytes" } ?? "more than 2^63 elements")
      }
      guard storages.updateValue(position..<position + byteCount, forKey: record) == nil else {
        throw Self.error(file, "storage keys", expected: "each key once", found: "\(key) twice")
      }
      position += byteCount
    }
    guard position < file.count else { return }
    notes.append(
      Note(
        place: "byte \(position)",
        message: "not read: \(file.count - position) bytes behind the last storage"))
  }

  /// Returns the element size of each storage, which only the saved value determines.
  private func elementSizes() throws -> [String: Int] {
    var sizes: [String: Int] = [:]
    for node in graph.nodes {
      guard case .persistent(let identifier) = node.value, let parts = graph.tuple(identifier),
        parts.count >= 5, graph.string(parts[0]) == "storage", let key = graph.string(parts[2]),
        case .global(_, let type) = graph[parts[1]].value
      else { continue }
      if parts.count > 5, graph[parts[5]].value != .none {
        throw Self.error(
          file, Self.storagePrefix + key, expected: "a storage of its own",
          found: "a view of another one, as PyTorch before 0.4 saves it",
          fix: "load and save it in a newer PyTorch")
      }
      guard let size = TorchElement.sizeInStorage(type) else {
        throw Self.error(
          file, Self.storagePrefix + key, expected: "a known type of storage",
          found: "a torch.\(type)",
          fix: "save plain dense tensors: `torch.save(model.state_dict(), \"new.pt\")`")
      }
      guard sizes.updateValue(size, forKey: key) ?? size == size else {
        throw Self.error(
          file, Self.storagePrefix + key, expected: "one type of elements", found: "two")
      }
    }
    return sizes
  }
}

extension TorchElement {
  /// Returns the size of a storage's unit: of its elements, or 1 byte if it is untyped.
  static func sizeInStorage(_ type: String) -> Int? {
    type == "UntypedStorage" ? 1 : storage(type)?.size
  }
}
