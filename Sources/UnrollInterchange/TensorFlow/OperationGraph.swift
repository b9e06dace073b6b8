// The graph of a TensorFlow 1 program (`.meta`) or a SavedModel, read as data: what its operations compute.

import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// The operations of a `GraphDef`.
struct OperationGraph {
  /// An operation.
  struct Node {
    let name: String
    let operation: String
    /// The results that it reads: `name`, or `name:1` of the second; without control dependencies.
    let inputs: [String]
    /// The attributes; large constants stay in the file.
    fileprivate let message: WireMessage
  }

  /// A use of a result: an operation, and the position among its inputs.
  struct Use {
    let node: Int
    let input: Int
  }

  /// The maximum number of operations of a graph, which take more memory than the bytes they are made of.
  static let mostNodes = 1 << 17

  private(set) var nodes: [Node] = []
  private var indices: [String: Int] = [:]
  /// The uses of each result.
  private var uses: [String: [Use]] = [:]

  /// Reads a `GraphDef`; `nil` if it is damaged.
  init?(_ graph: WireMessage) {
    for range in graph.ranges(1) {
      guard let message = graph.message(range), let node = Node(message) else { return nil }
      for (input, result) in node.inputs.enumerated() {
        uses[result, default: []].append(Use(node: nodes.count, input: input))
      }
      indices[node.name] = nodes.count
      nodes.append(node)
    }
  }

  /// Reads the graph of a `MetaGraphDef`; `nil` if it has none or is damaged.
  init?(ofMetaGraph message: WireMessage) {
    guard let graph = message.range(2).flatMap({ message.message($0, most: Self.mostNodes) })
    else { return nil }
    self.init(graph)
  }

  /// Returns the operation that gives a result.
  func source(of result: String) -> Node? {
    let name = result.split(separator: ":", maxSplits: 1).first.map(String.init) ?? result
    return indices[name].map { nodes[$0] }
  }

  /// Returns the uses of a result.
  func uses(of result: String) -> [Use] { uses[result] ?? [] }

  /// Operations that pass a value on as it is.
  private static let passing: Set = [
    "Identity", "Enter", "RefEnter", "ReadVariableOp", "Snapshot", "StopGradient",
    "PreventGradient",
  ]

  /// Returns the uses of a result, also behind operations that pass it on.
  func usesOfValue(_ result: String) -> [Use] {
    var found: [Use] = []
    var pending = [result]
    var met: Set<String> = []
    while let result = pending.popLast() {
      guard met.insert(result).inserted else { continue }
      for use in uses(of: result) {
        let node = nodes[use.node]
        if Self.passing.contains(node.operation), use.input == 0 {
          pending.append(node.name)
        } else {
          found.append(use)
        }
      }
    }
    return found
  }

  /// Returns the operation that a value comes from, before operations that pass it on.
  func origin(of result: String) -> Node? {
    var node = source(of: result)
    var met: Set<String> = []
    while let passed = node, Self.passing.contains(passed.operation),
      let input = passed.inputs.first,
      met.insert(passed.name).inserted
    {
      node = source(of: input)
    }
    return node
  }

  /// Returns the number that a result is, if it is a constant without dimensions.
  func number(_ result: String) -> Double? {
    guard let node = origin(of: result), node.operation == "Const" else { return nil }
    return node.constant?.number
  }
}

extension OperationGraph {
  /// Returns an attribute of a `NodeDef`, an `AttrValue`.
  fileprivate static func attribute(_ name: String, of node: WireMessage) -> WireMessage? {
    for range in node.ranges(5) {
      guard let entry = node.message(range), entry.text(1) == name else { continue }
      return entry.range(2).flatMap(entry.message)
    }
    return nil
  }

  /// Returns the value of a constant, a `NodeDef`.
  static func constant(of node: WireMessage) -> ConstantValue? {
    guard let value = attribute("value", of: node),
      let tensor = value.range(8).flatMap(value.message)
    else { return nil }
    return ConstantValue(tensor)
  }
}

extension OperationGraph.Node {
  fileprivate init?(_ message: WireMessage) {
    guard let name = message.text(1), let operation = message.text(2) else { return nil }
    self.name = name
    self.operation = operation
    inputs = message.texts(3).filter { !$0.hasPrefix("^") }.map {
      $0.hasSuffix(":0") ? String($0.dropLast(2)) : $0
    }
    self.message = message
  }

  /// Returns an attribute that is a number.
  func float(_ name: String) -> Float? { OperationGraph.attribute(name, of: message)?.float(4) }

  /// Returns an attribute that is a truth value.
  func flag(_ name: String) -> Bool? { OperationGraph.attribute(name, of: message)?.bool(5) }

  /// The value of a constant.
  var constant: ConstantValue? { OperationGraph.constant(of: message) }
}

/// The value of a constant, a `TensorProto`.
struct ConstantValue {
  private let message: WireMessage

  fileprivate init(_ message: WireMessage) { self.message = message }

  private var type: Int { message.int(1) ?? 0 }

  /// `true` if it has no dimensions.
  private var isScalar: Bool {
    guard let shape = message.range(2).flatMap(message.message) else { return true }
    return shape.ranges(2).isEmpty
  }

  /// The number, of a constant without dimensions.
  var number: Double? {
    guard isScalar else { return nil }
    let content = message.bytes(4) ?? []
    switch type {
    case 1:
      let bits = ByteScanner(content[...]).littleEndian()
      if content.count == 4 { return Double(Float(bitPattern: bits)) }
      // A field that is 0 is left out.
      return Double(message.floats(5)?.first ?? 0)
    case 2:
      if content.count == 8 {
        let bits = content.reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return Double(bitPattern: bits)
      }
      return message.doubles(6)?.first ?? 0
    default: return nil
    }
  }

  /// The texts of a list of strings.
  var texts: [[UInt8]]? {
    guard type == 7, !isScalar else { return nil }
    return message.ranges(8).map { range in message.copy(range) }
  }
}
