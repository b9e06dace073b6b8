// The objects of a TensorFlow 2 checkpoint, and the variables that they own.

import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// The `TrackableObjectGraph` of a checkpoint
/// (`tensorflow/core/protobuf/trackable_object_graph.proto`).
struct TrackableGraph {
  /// An object, such as a layer or a variable.
  struct Node {
    /// The objects that its attributes are, in order.
    let children: [(name: String, node: Int)]
    /// The name of the tensor in the checkpoint, of a variable.
    let key: String?
    /// The name that its program gave a variable, such as `lstm/lstm_cell/kernel`.
    let fullName: String?
    /// The values that an optimizer keeps of variables: the variable's node, and that of the value.
    let slots: [(variable: Int, name: String, node: Int)]

    /// Returns the node of an attribute.
    func child(_ name: String) -> Int? { children.first { $0.name == name }?.node }
  }

  /// The name of the tensor that holds the graph.
  static let tensorName = "_CHECKPOINTABLE_OBJECT_GRAPH"
  /// The most attributes that lead to a variable; a layer in a model in a checkpoint has about six.
  private static let deepest = 64
  /// The maximum number of objects, of which each may have a path that long.
  private static let mostNodes = 1 << 16
  /// The suffix of the names of tensors.
  static let suffix = "/.ATTRIBUTES/VARIABLE_VALUE"

  /// The objects; the first is the root.
  let nodes: [Node]

  /// Reads a graph; `nil` if it is damaged.
  init?(_ bytes: [UInt8]) {
    guard let message = WireMessage(bytes, most: Self.mostNodes) else { return nil }
    let ranges = message.ranges(1)
    var nodes: [Node] = []
    for range in ranges {
      guard let node = message.message(range).flatMap({ Node($0, count: ranges.count) }) else {
        return nil
      }
      nodes.append(node)
    }
    guard !nodes.isEmpty else { return nil }
    self.nodes = nodes
  }

  /// `true` if its objects have the attributes of Keras 3.
  var isOfKeras3: Bool {
    nodes.contains { node in
      node.children.contains { ["_embeddings", "_kernel", "_operations"].contains($0.name) }
    }
  }

  /// Returns the node that a path of attributes leads to from the root.
  func node(at path: [String]) -> Int? {
    path.reduce(0 as Int?) { node, name in node.flatMap { nodes[$0].child(name) } }
  }

  /// Returns the shortest path of attributes to each node that the root leads to without some others.
  ///
  /// - Parameter isLeft: Returns `true` for an attribute, by its name and its owner, that is not followed.
  /// - Returns: The paths.
  func paths(
    leaving isLeft: (_ name: String, _ owner: Int) -> Bool = { _, _ in false }
  ) -> [Int: [String]] {
    var paths: [Int: [String]] = [0: []]
    var pending = [0]
    var next = 0
    while next < pending.count {
      let owner = pending[next]
      next += 1
      let path = paths[owner] ?? []
      guard path.count < Self.deepest else { continue }
      for (name, node) in nodes[owner].children
      where paths[node] == nil && !isLeft(name, owner) {
        paths[node] = path + [name]
        pending.append(node)
      }
    }
    return paths
  }
}

extension TrackableGraph.Node {
  /// Reads a `TrackableObject`; `nil` if it refers to a node that is none of `count`.
  fileprivate init?(_ message: WireMessage, count: Int) {
    var children: [(String, Int)] = []
    for range in message.ranges(1) {
      guard let child = message.message(range), case let node = child.int(1) ?? 0,
        (0..<count).contains(node)
      else { return nil }
      children.append((child.text(2) ?? "", node))
    }
    self.children = children
    var key: String?
    var fullName: String?
    for range in message.ranges(2) {
      guard let attribute = message.message(range) else { return nil }
      guard attribute.text(1) == "VARIABLE_VALUE" else { continue }
      (key, fullName) = (attribute.text(3), attribute.text(2))
    }
    self.key = key
    self.fullName = fullName
    var slots: [(Int, String, Int)] = []
    for range in message.ranges(3) {
      guard let slot = message.message(range), case let variable = slot.int(1) ?? 0,
        case let node = slot.int(3) ?? 0, (0..<count).contains(variable),
        (0..<count).contains(node)
      else { return nil }
      slots.append((variable, slot.text(2) ?? "", node))
    }
    self.slots = slots
  }
}
