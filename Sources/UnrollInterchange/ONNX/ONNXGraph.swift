// The paths of values through a graph.

/// A graph whose operations are all supported.
struct ONNXGraph {
  let model: ONNXModel
  private let producers: [String: Int]

  /// Operations that compute parts of a language model.
  static let computing: Set = [
    "LSTM", "GRU", "RNN", "Gather", "OneHot", "MatMul", "Gemm", "Add", "Softmax", "LogSoftmax",
    "Log",
  ]
  /// Operations that pass a value on in another shape or under another name.
  private static let passing: Set = [
    "Identity", "Dropout", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Transpose",
  ]
  /// Operations on shapes and states.
  private static let plumbing: Set = [
    "Constant", "ConstantOfShape", "Shape", "Concat", "Slice", "Split", "Expand", "Range", "Equal",
    "Where", "Mul", "Sub", "Max", "Min", "Size",
  ]

  /// Checks the operations of a graph.
  ///
  /// - Throws: `InterchangeError` for an unsupported operation, by its name, and for a value with
  ///   two producers.
  init(_ model: ONNXModel) throws {
    self.model = model
    var producers: [String: Int] = [:]
    for (index, node) in model.nodes.enumerated() {
      let isKnown =
        ["", "ai.onnx"].contains(node.domain)
        && (Self.computing.contains(node.operation) || Self.passing.contains(node.operation)
          || Self.plumbing.contains(node.operation))
      guard isKnown else {
        let domain = node.domain.isEmpty ? "" : " of \(node.domain)"
        throw model.error(
          node.place,
          expected: "an embedding, LSTM, GRU or RNN layers, a linear output and a softmax",
          found: "the operation \(node.operation)\(domain)",
          fix: ["Tanh", "Sigmoid", "Loop", "Scan"].contains(node.operation)
            ? "the exporter cut the cells into single operations: convert the weights instead, "
              + "`torch.save(model.state_dict(), \"new.pt\")`, or export layers of nn.LSTM, nn.GRU or nn.RNN, "
              + "which torch.onnx.export keeps whole"
            : "only recurrent language models of these parts are converted; quantised ones before they "
              + "are quantised")
      }
      for output in node.outputs where !output.isEmpty {
        guard producers.updateValue(index, forKey: output) == nil else {
          throw model.error(
            output, expected: "one node that makes this value", found: "two",
            fix: "export the model again")
        }
      }
    }
    self.producers = producers
  }

  /// Returns the node that produces a value, and the index among its outputs.
  func producer(of name: String) -> (node: ONNXNode, output: Int)? {
    guard let index = producers[name], let output = model.nodes[index].outputs.firstIndex(of: name)
    else { return nil }
    return (model.nodes[index], output)
  }

  /// Returns the operations that pass a value on, between the parts that compute.
  ///
  /// - Parameters:
  ///   - name: The value.
  ///   - isPicking: `true` if elements of time steps and layers may be selected.
  /// - Returns: The value that is passed on, and the operations in the order of computation.
  func path(to name: String, isPicking: Bool = true) -> (origin: String, nodes: [ONNXNode]) {
    var (name, nodes) = (name, [ONNXNode]())
    // A valid graph has no cycles; the bound also ends the walk of one that has.
    for _ in model.nodes {
      guard let (node, output) = producer(of: name), output == 0, let input = node.input(0) else {
        break
      }
      let isHandedOn =
        Self.passing.contains(node.operation)
        || isPicking && ["Gather", "Slice"].contains(node.operation) && constant(input) == nil
      guard isHandedOn else { break }
      nodes.append(node)
      name = lastStates(picked: node) ?? input
    }
    return (name, nodes.reversed())
  }

  /// Returns the last states of the layer that a node selects from those of all layers.
  private func lastStates(picked node: ONNXNode) -> String? {
    guard node.operation == "Gather", node.attributes["axis"]?.int ?? 0 == 0,
      let (join, _) = node.input(0).flatMap({ producer(of: $0) }), join.operation == "Concat",
      join.attributes["axis"]?.int == 0,
      join.inputs.allSatisfy({
        producer(of: $0).map { Self.isLayer($0.node) && $0.output == 1 } ?? false
      }),
      let index = node.input(1).flatMap({ integers($0) }), index.count == 1
    else { return nil }
    return index[0] == -1 ? join.inputs.last : index[0] == 0 ? join.inputs.first : nil
  }

  /// Returns `true` for recurrent layers.
  static func isLayer(_ node: ONNXNode) -> Bool { ["LSTM", "GRU", "RNN"].contains(node.operation) }

  /// Tracks a value through operations.
  ///
  /// - Throws: `InterchangeError` naming an operation that changes values or moves the features.
  func follow(_ trace: inout ONNXTrace, _ nodes: [ONNXNode], classes: Int = 0) throws {
    for node in nodes {
      if let change = trace.apply(node, in: self, classes: classes) { throw changed(node, change) }
    }
  }

  /// Returns the meanings that the axes of a graph input may have, for one sequence.
  ///
  /// - Parameters:
  ///   - input: The name of the input.
  ///   - isVector: `true` if its last axis is that of feature vectors.
  /// - Returns: The possible meanings.
  func axes(ofInput input: String, isVector: Bool) -> [[ONNXAxis]] {
    let sizes = model.shapes[input].map { isVector ? $0.dropLast() : $0[...] }.map(Array.init)
    let ranks = sizes.map { [$0.count] } ?? [2, 1]
    let all = ranks.filter { (1...4).contains($0) }.flatMap { rank in
      (0..<rank).map { time in (0..<rank).map { $0 == time ? ONNXAxis.time : .one } }
    }
    guard let sizes, !sizes.allSatisfy({ $0 == 1 }) else { return all }
    // An axis of fixed size 1 is not the time axis, and one of another fixed size is not a batch of
    // one.
    let fitting = all.filter { axes in
      zip(axes, sizes).allSatisfy { axis, size in
        axis == .time ? size != 1 : size == nil || size == 1
      }
    }
    return fitting.isEmpty ? all : fitting
  }

  /// Returns an error about an operation with an unsupported effect.
  func changed(_ node: ONNXNode, _ change: String) -> InterchangeError {
    model.error(
      node.place, expected: "operations that leave every number with its token", found: change,
      fix: "export the language model alone: embedding, recurrent layers, linear output, softmax")
  }

  /// Returns a constant: an initializer or a `Constant`, through operations that rename it.
  ///
  /// - Parameter name: Its name.
  /// - Returns: The constant, and `true` if it is transposed; `nil` if the value is computed.
  func constant(_ name: String) -> (tensor: ONNXTensor, isTransposed: Bool)? {
    source(of: name).map { ($0.tensor, $0.isTransposed) }
  }

  /// Returns a constant and its name in the file: that of an initializer, or of the result of a
  /// `Constant`.
  func source(of name: String) -> (name: String, tensor: ONNXTensor, isTransposed: Bool)? {
    var name = name
    var isTransposed = false
    for _ in 0...model.nodes.count {
      if let tensor = model.initializers[name] { return (name, tensor, isTransposed) }
      guard let (node, _) = producer(of: name) else { return nil }
      switch node.operation {
      case "Constant":
        guard let tensor = node.attributes["value"]?.tensor else { return nil }
        return (name, tensor, isTransposed)
      case "Identity": break
      case "Transpose" where [[1, 0], []].contains(node.attributes["perm"]?.ints ?? []):
        isTransposed.toggle()
      default: return nil
      }
      guard let input = node.input(0) else { return nil }
      name = input
    }
    return nil
  }
}
