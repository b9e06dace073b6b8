// The parts of an ONNX file that describe a recurrent language model (`onnx/onnx.proto`).

import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// The supported content of an ONNX file.
struct ONNXModel {
  /// The file.
  let file: MappedFile
  /// The metadata beside the graph, by key.
  let metadata: [String: String]
  /// The nodes, each after those that it depends on.
  private(set) var nodes: [ONNXNode]
  /// The constants, by their names.
  let initializers: [String: ONNXTensor]
  /// The names of graph inputs, without constants.
  let inputs: [String]
  /// The names of the results.
  private(set) var outputs: [String]
  /// The sizes of graph inputs, if stated; `nil` for a variable size.
  let shapes: [String: [Int?]]
  /// The version of ONNX's own operations.
  let operatorSet: Int

  /// The field numbers of `ModelProto` that a file may have.
  private static let modelFields: Set<Int> = [1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26]

  /// Returns `true` if a file is a message with the fields of a `ModelProto` and a graph.
  static func recognizes(_ file: MappedFile) -> Bool {
    guard file.copy(0..<1) == [0x08],
      let model = WireMessage(0..<file.count, of: .mapped(file, 0..<file.count))
    else {
      return false
    }
    return model.fields.allSatisfy { modelFields.contains($0.number) } && model.range(7) != nil
  }

  /// Reads the graph; data stay in the file.
  ///
  /// - Throws: `InterchangeError` if a message is damaged.
  init(_ file: MappedFile) throws {
    self.file = file
    let bytes = ByteStorage.mapped(file, 0..<file.count)
    func message(_ range: Range<Int>, _ place: String) throws -> WireMessage {
      guard let message = WireMessage(range, of: bytes) else {
        throw InterchangeError(
          file: file.path, place: place, expected: "a message of Protocol Buffers",
          found: "other bytes", fix: "the file is damaged, or not whole: export the model again")
      }
      return message
    }
    let model = try message(0..<file.count, "")
    metadata = Dictionary(
      try model.ranges(14).map { range in
        let entry = try message(range, "metadata")
        return (entry.text(1) ?? "", entry.text(2) ?? "")
      }
    ) { _, last in last }
    let graph = try message(model.range(7) ?? 0..<0, "graph")
    nodes = try graph.ranges(1).map { range in
      let node = try message(range, "graph: node")
      let name = node.text(3) ?? ""
      let attributes = try node.ranges(5).map { range in
        try ONNXAttribute(message(range, name)) { try message($0, name) }
      }
      return ONNXNode(
        name: name, operation: node.text(4) ?? "", domain: node.text(7) ?? "",
        inputs: node.texts(1), outputs: node.texts(2),
        attributes: Dictionary(attributes.map { ($0.name, $0) }) { _, last in last })
    }
    let tensors = try graph.ranges(5).map { range in
      try ONNXTensor(message(range, "graph: initializer")) { try message($0, "external data") }
    }
    initializers = Dictionary(tensors.map { ($0.name, $0) }) { first, _ in first }
    guard initializers.count == tensors.count else {
      throw InterchangeError(
        file: file.path, place: "graph: initializer", expected: "each name once",
        found: "one twice", fix: "export the model again")
    }
    let names = initializers
    inputs = try graph.ranges(11).compactMap { try message($0, "graph: input").text(1) }.filter {
      names[$0] == nil
    }
    outputs = try graph.ranges(12).compactMap { try message($0, "graph: output").text(1) }
    var shapes: [String: [Int?]] = [:]
    for range in graph.ranges(11) {
      let value = try message(range, "graph: value")
      guard let name = value.text(1), let type = value.range(2),
        let tensor = try message(type, "type").range(1),
        let shape = try message(tensor, "type").range(2)
      else { continue }
      shapes[name] = try message(shape, "shape").ranges(1).map { try message($0, "shape").int(1) }
    }
    self.shapes = shapes
    let sets = try model.ranges(8).map { try message($0, "opset_import") }
    operatorSet =
      sets.filter { ["", "ai.onnx"].contains($0.text(1) ?? "") }.compactMap { $0.int(2) }.max() ?? 1
  }

  /// Returns the graph with only some of its results and their dependencies.
  func keeping(results: [String]) -> ONNXModel {
    var model = self
    model.outputs = results
    let needed = values(behind: results)
    model.nodes = nodes.filter { node in node.outputs.contains(where: needed.contains) }
    return model
  }

  /// Returns the names of all values that some depend on, including themselves.
  func values(behind names: [String]) -> Set<String> {
    let inputs = Dictionary(nodes.flatMap { node in node.outputs.map { ($0, node.inputs) } }) {
      first, _ in first
    }
    var found: Set<String> = []
    var pending = names
    while let name = pending.popLast() {
      guard !name.isEmpty, found.insert(name).inserted else { continue }
      pending += inputs[name] ?? []
    }
    return found
  }

  /// Returns an error about a part of the file.
  func error(
    _ place: String, expected: String, found: String, fix: String
  ) -> InterchangeError {
    InterchangeError(file: file.path, place: place, expected: expected, found: found, fix: fix)
  }
}

/// An operation of a graph.
struct ONNXNode {
  let name: String
  let operation: String
  /// The domain; empty for ONNX's own operations.
  let domain: String
  /// The names of the inputs; empty for an optional one that is omitted.
  let inputs: [String]
  let outputs: [String]
  let attributes: [String: ONNXAttribute]

  /// The node in messages.
  var place: String { name.isEmpty ? outputs.first ?? operation : name }

  /// Returns the name of the input at an index, or `nil` if it is omitted.
  func input(_ index: Int) -> String? {
    inputs.indices.contains(index) && !inputs[index].isEmpty ? inputs[index] : nil
  }
}

/// An attribute of a node.
struct ONNXAttribute {
  let name: String
  let int: Int?
  let float: Float?
  let text: String?
  let ints: [Int]
  let floats: [Float]
  let texts: [String]
  let tensor: ONNXTensor?

  /// Reads an attribute.
  ///
  /// - Parameters:
  ///   - message: An `AttributeProto`.
  ///   - read: Reads a nested message.
  /// - Throws: The errors of `read`.
  init(_ message: WireMessage, read: (Range<Int>) throws -> WireMessage) throws {
    name = message.text(1) ?? ""
    (int, float, text) = (message.int(3), message.float(2), message.text(4))
    (ints, floats, texts) = (message.ints(8) ?? [], message.floats(7) ?? [], message.texts(9))
    tensor = try message.range(5).map { try ONNXTensor(read($0), read: read) }
  }
}

/// A constant and the location of its data.
struct ONNXTensor {
  enum Numbers {
    /// Little-endian, in the file.
    case raw(Range<Int>)
    /// Decoded from the field of their type.
    case list([UInt8])
    /// In another file: its location, offset and length.
    case external([String: String])
  }

  let name: String
  /// A `TensorProto.DataType`.
  let type: Int
  let dimensions: [Int]
  let numbers: Numbers

  /// Unroll's type, or `nil` for types that are not used for weights.
  var dtype: DType? { Self.types.first { $0.number == type }?.dtype }

  /// The types of weights, by their numbers in `TensorProto.DataType`.
  static let types: [(number: Int, dtype: DType)] = [
    (1, .float32), (10, .float16), (11, .float64), (16, .bfloat16),
  ]

  /// Reads a tensor.
  ///
  /// - Parameters:
  ///   - message: A `TensorProto`.
  ///   - read: Reads a nested message.
  /// - Throws: The errors of `read`.
  init(_ message: WireMessage, read: (Range<Int>) throws -> WireMessage) throws {
    name = message.text(8) ?? ""
    type = message.int(2) ?? 0
    dimensions = message.ints(1) ?? [-1]
    if message.int(14) == 1 {
      let entries = try message.ranges(13).map { range in
        let entry = try read(range)
        return (entry.text(1) ?? "", entry.text(2) ?? "")
      }
      numbers = .external(Dictionary(entries) { _, last in last })
    } else if let range = message.range(9) {
      numbers = .raw(range)
    } else {
      numbers = Self.listed(in: message, type: type)
    }
  }

  /// Returns the data from the field of their type; if packed, the bytes are those of `raw_data`.
  private static func listed(in message: WireMessage, type: Int) -> Numbers {
    let field = [1: 4, 11: 10][type]
    if let field, case let ranges = message.ranges(field), ranges.count == 1 {
      return .raw(ranges[0])
    }
    switch type {
    case 1:
      let values = message.floats(4) ?? []
      return .list(values.withUnsafeBytes { Array($0) })
    case 10, 16:
      let values = (message.ints(5) ?? []).map { UInt16(truncatingIfNeeded: $0) }
      return .list(values.withUnsafeBytes { Array($0) })
    case 9:
      return .list((message.ints(5) ?? []).map { $0 == 0 ? 0 : 1 })
    case 6:
      let values = (message.ints(5) ?? []).map { Int32(truncatingIfNeeded: $0) }
      return .list(values.withUnsafeBytes { Array($0) })
    case 7:
      let values = (message.ints(7) ?? []).map { Int64($0) }
      return .list(values.withUnsafeBytes { Array($0) })
    default: return .list([])
    }
  }
}
