// The layers of a configuration in the order of computation, including those of nested models.

import UnrollFormat
import UnrollSerialization
import UnrollTokenization

/// A use of a layer: its index in a list, and the direction of the call.
struct KerasUse {
  let index: Int
  /// `true` if a `ReversibleEmbedding` is called with `reverse=True`.
  var isReverse = false
}

/// The calls of a functional model's layers, each with its input.
struct KerasGraph {
  private let entries: [KerasLayerEntry]
  private let refusal: (_ place: String, _ found: String) -> InterchangeError
  private var readers: [Call: [Call]] = [:]
  private var starts: [Call] = []
  private var reverse: Set<Call> = []
  private var count = 0

  /// The n-th call of a layer.
  private struct Call: Hashable {
    let layer: Int
    let number: Int
  }

  /// Reads the calls.
  ///
  /// - Parameters:
  ///   - entries: The layers.
  ///   - items: The same layers as values of the configuration, with `inbound_nodes`.
  ///   - refusal: Creates an error from a location and a finding.
  /// - Throws: The error of `refusal`, if a call reads several others, a state, or a second output.
  init(
    _ entries: [KerasLayerEntry], _ items: [JSONValue],
    refusal: @escaping (_ place: String, _ found: String) -> InterchangeError
  ) throws {
    self.entries = entries
    self.refusal = refusal
    var indices: [String: Int] = [:]
    for (index, entry) in entries.enumerated() { indices[entry.name] = index }
    for (index, item) in items.enumerated() {
      let nodes = item["inbound_nodes"]?.array ?? []
      let isReversible = entries[index].className == "ReversibleEmbedding"
      guard nodes.count <= (isReversible ? 2 : 1) else {
        throw refusal(entries[index].name, "one that reads several, or is used twice")
      }
      for number in 0..<max(1, nodes.count) {
        let call = Call(layer: index, number: number)
        count += 1
        try add(call, nodes.isEmpty ? nil : nodes[number], indices)
      }
    }
  }

  private mutating func add(_ call: Call, _ node: JSONValue?, _ indices: [String: Int]) throws {
    let histories = node.map(Self.histories) ?? []
    let name = entries[call.layer].name
    guard histories.count <= 1 else {
      throw refusal(name, "one that reads several, or is used twice")
    }
    if node?["kwargs"]?["reverse"]?.bool == true { reverse.insert(call) }
    guard let history = histories.first else {
      starts.append(call)
      return
    }
    guard let source = history[0].text, let layer = indices[source], history[2].int == 0,
      let number = history[1].int,
      number == 0 || entries[layer].className == "ReversibleEmbedding"
    else { throw refusal(name, "one that reads a state or a second use of a layer") }
    readers[Call(layer: layer, number: number), default: []].append(call)
  }

  /// Returns the calls as a chain in which each reads the previous one.
  ///
  /// - Throws: An error that names a call that is not in a chain.
  func chain() throws -> [KerasUse] {
    guard var current = starts.first, starts.count == 1 else {
      throw refusal("config", "\(starts.count) inputs")
    }
    var order = [current]
    while let next = readers[current], order.count <= count {
      guard next.count == 1 else {
        throw refusal(entries[current.layer].name, "one that several read")
      }
      current = next[0]
      order.append(current)
    }
    guard order.count == count else { throw refusal("config", "layers apart from them") }
    return order.map { KerasUse(index: $0.layer, isReverse: reverse.contains($0)) }
  }

  /// Returns the tensors that an inbound node names: lists that begin with a layer's name and two
  /// numbers.
  private static func histories(_ value: JSONValue) -> [[JSONValue]] {
    if let history = value["keras_history"]?.array, history.count >= 3 { return [history] }
    if let items = value.array {
      if items.count >= 3, items[0].text != nil, items[1].int != nil, items[2].int != nil {
        return [items] + items.dropFirst(3).flatMap(histories)
      }
      return items.flatMap(histories)
    }
    return (value.members ?? []).flatMap { histories($0.value) }
  }
}
