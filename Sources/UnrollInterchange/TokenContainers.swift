// Pickles as containers of token lists.

import UnrollTensors
import UnrollTokenization

/// A value of a pickle.
struct PickledValue: TokenValue {
  let graph: PickleGraph
  let reference: PickleReference

  private func value(_ reference: PickleReference) -> PickledValue {
    PickledValue(graph: graph, reference: reference)
  }

  var tokenText: [UInt8]? {
    switch graph[reference].value {
    case .string(let text): Array(text.utf8)
    case .bytes(let bytes): bytes
    case .object: encodedBytes
    default: nil
    }
  }

  /// Bytes that Python 3 writes in protocol 2, which `torch.save` uses:
  /// `_codecs.encode(text, "latin1")`.
  private var encodedBytes: [UInt8]? {
    guard graph.className(reference) == "_codecs.encode" else { return nil }
    var reader = PickledArrays(room: 1 << 16)
    return reader.bytes(reference, in: graph)
  }

  /// The strings of a NumPy array.
  var tokenTexts: [[UInt8]]? {
    guard case .object = graph[reference].value else { return nil }
    var reader = PickledArrays(room: 64 << 20)
    return reader.texts(reference, in: graph)
  }

  /// A Python integer, or a NumPy scalar.
  var tokenID: Int? {
    if let number = graph.int(reference) { return number }
    var reader = PickledArrays(room: 64)
    return reader.integer(reference, in: graph)
  }

  var tokenItems: [PickledValue]? {
    let node = graph[reference]
    guard node.value == .list || node.value == .tuple else { return nil }
    return node.items.map(value)
  }

  var tokenEntries: [(key: PickledValue, value: PickledValue)]? {
    if let entries = graph.entries(reference) {
      return entries.map { (value($0.key), value($0.value)) }
    }
    guard let state = graph[reference].state else { return nil }
    return graph[state].entries.map { (value($0.key), value($0.value)) }
  }
}
