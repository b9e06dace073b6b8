// Storages of tensors in a `pickle.dump` file: each is a complete `torch.save` file from before
// PyTorch 1.6.

import UnrollTensors

/// The storages inside a pickle.
enum EmbeddedStorage {
  /// Returns the record name of a storage, by the node of its loading call.
  static func record(_ reference: PickleReference) -> String {
    "\(TorchLegacyFile.storagePrefix)\(reference.index)"
  }

  /// Returns `true` if a value is the call `torch.storage._load_from_bytes(bytes)`.
  static func isCall(_ reference: PickleReference, in graph: PickleGraph) -> Bool {
    guard case .object = graph[reference].value else { return false }
    return graph.className(reference) == "torch.storage._load_from_bytes"
  }

  /// Returns the bytes of all storages, by record name; unreadable ones are left out.
  static func all(in graph: PickleGraph, room: Int) -> [String: ByteStorage] {
    var reader = PickledArrays(room: room)
    var storages: [String: ByteStorage] = [:]
    for index in graph.nodes.indices {
      let reference = PickleReference(index: index)
      guard isCall(reference, in: graph),
        case .object(_, let arguments) = graph[reference].value,
        let first = graph[arguments].items.first,
        let bytes = reader.bytes(first, in: graph), let parts = Parts(bytes)
      else { continue }
      storages[record(reference)] = .owned(parts.numbers)
    }
    return storages
  }

  /// Returns the element type of a storage.
  static func element(
    _ reference: PickleReference, in graph: PickleGraph
  ) -> (element: TorchElement, count: Int)? {
    guard case .object(_, let arguments) = graph[reference].value,
      let first = graph[arguments].items.first
    else { return nil }
    var reader = PickledArrays(room: .max)
    return reader.bytes(first, in: graph).flatMap(Parts.init).map { ($0.element, $0.count) }
  }

  /// The type and data of a storage, from the file within.
  private struct Parts {
    let element: TorchElement
    let count: Int
    let numbers: [UInt8]

    /// Reads five pickles (magic number, version, system, storage, keys), a count and the data.
    init?(_ bytes: [UInt8]) {
      var position = 0
      var graphs: [PickleGraph] = []
      for _ in 0..<5 {
        guard let graph = try? PickleMachine.graph(of: bytes, from: &position) else { return nil }
        graphs.append(graph)
      }
      let saved = graphs[3]
      guard case .persistent(let identifier) = saved[saved.root].value,
        let parts = saved.tuple(identifier), parts.count >= 5,
        saved.string(parts[0]) == "storage", case .global(_, let type) = saved[parts[1]].value,
        let element = TorchElement.storage(type), let count = saved.int(parts[4]), count >= 0,
        Self.isLittleEndian(graphs[2])
      else { return nil }
      let (size, overflows) = count.multipliedReportingOverflow(by: element.size)
      guard !overflows, bytes.count - position - 8 == size else { return nil }
      self.element = element
      self.count = count
      numbers = Array(bytes[(position + 8)...])
    }

    private static func isLittleEndian(_ system: PickleGraph) -> Bool {
      let entries = system.entries(system.root) ?? []
      guard let order = entries.last(where: { system.string($0.key) == "little_endian" })?.value
      else { return false }
      return system[order].value == .bool(true)
    }
  }
}
