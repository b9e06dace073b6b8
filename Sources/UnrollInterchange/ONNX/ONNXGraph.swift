// The paths through a graph: from what, through which operations, a value comes.

/// A graph whose operations are all known.
struct ONNXGraph {
  let model: ONNXModel
  private let producers: [String: Int]

  /// Operations that compute what a language model computes.
  private static let computing: Set = [
    "LSTM", "GRU", "RNN", "Gather", "OneHot", "MatMul", "Gemm", "Add", "Softmax", "LogSoftmax",
    "Log",
  ]
  /// Operations that hand a value on in another shape or under another name.
  private static let passing: Set = [
    "Identity", "Dropout", "Cast", "Squeeze", "Unsqueeze", "Reshape", "Flatten", "Transpose",
  ]
  /// Operations on shapes and states.
  private static let plumbing: Set = [
    "Constant", "ConstantOfShape", "Shape", "Concat", "Slice", "Split", "Expand", "Range", "Equal",
    "Where", "Mul", "Sub", "Max", "Min", "Size",
  ]

  /// - Throws: `InterchangeError` for an operation that is none of these, by its name, and for a value
  ///   that two nodes make.
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
            ? "the exporter cut the cells into single operations: export with one that keeps LSTM, GRU and "
              + "RNN whole, such as torch.onnx.export(dynamo=False)"
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

  /// The node that makes a value, and which of its results it is.
  func producer(of name: String) -> (node: ONNXNode, output: Int)? {
    guard let index = producers[name], let output = model.nodes[index].outputs.firstIndex(of: name)
    else { return nil }
    return (model.nodes[index], output)
  }

  /// The name of what a value is, before operations that only hand it on; each is shown to leave every number
  /// with its token.
  ///
  /// - Parameters:
  ///   - name: The value.
  ///   - width: The number of its features, if it is known.
  /// - Throws: `InterchangeError` naming an operation that changes numbers or moves the features.
  func origin(of name: String, width: Int? = nil) throws -> String {
    var name = name
    // A graph has no circles; one that has ends here, too.
    for _ in model.nodes {
      guard let (node, _) = producer(of: name), Self.passing.contains(node.operation),
        let input = node.input(0)
      else { break }
      var trace = ONNXTrace()
      if let change = trace.apply(node, in: self, width: width) { throw changed(node, change) }
      name = input
    }
    return name
  }

  /// The origin of ids of tokens: shapes and integer types may change.
  ///
  /// - Throws: `InterchangeError` naming a cast to a type that does not hold every id.
  func originOfIDs(_ name: String) throws -> String {
    var name = name
    for _ in model.nodes {
      guard let (node, _) = producer(of: name), Self.passing.contains(node.operation),
        let input = node.input(0)
      else { break }
      let type = node.attributes["to"]?.int ?? 0
      if node.operation == "Cast", ![6, 7].contains(type) {
        throw changed(node, "a cast of ids to the data type \(type)")
      }
      name = input
    }
    return name
  }

  /// Follows a value from the layer that makes it.
  ///
  /// - Parameters:
  ///   - name: The value.
  ///   - layer: The layer.
  ///   - width: The size of its hidden state.
  /// - Returns: What becomes of its axes; `nil` if the value is not the layer's.
  /// - Throws: `InterchangeError` naming an operation that changes numbers or picks others than the last
  ///   time step.
  func trace(_ name: String, from layer: ONNXNode, width: Int) throws -> ONNXTrace? {
    var name = name
    var path: [ONNXNode] = []
    for _ in 0...model.nodes.count {
      guard let (node, output) = producer(of: name) else { return nil }
      if let first = layer.outputs.first, node.outputs.first == first {
        var trace = ONNXTrace(output: output)
        guard output < 2 else { return nil }
        for node in path.reversed() {
          if let change = trace.apply(node, in: self, width: width) { throw changed(node, change) }
        }
        return trace
      }
      guard Self.passing.contains(node.operation) || ["Gather", "Slice"].contains(node.operation),
        let input = node.input(0)
      else { return nil }
      path.append(node)
      name = input
    }
    return nil
  }

  private func changed(_ node: ONNXNode, _ change: String) -> InterchangeError {
    model.error(
      node.place, expected: "operations that leave every number with its token", found: change,
      fix: "export the language model alone: embedding, recurrent layers, linear output, softmax")
  }

  /// A constant: an initializer, or what a `Constant` gives, through operations that rename it.
  ///
  /// - Parameter name: Its name.
  /// - Returns: The constant, and whether it is to be transposed; `nil` if the value is computed.
  func constant(_ name: String) -> (tensor: ONNXTensor, isTransposed: Bool)? {
    var (name, isTransposed) = (name, false)
    for _ in 0...model.nodes.count {
      if let tensor = model.initializers[name] { return (tensor, isTransposed) }
      guard let (node, _) = producer(of: name) else { return nil }
      switch node.operation {
      case "Constant":
        guard let tensor = node.attributes["value"]?.tensor else { return nil }
        return (tensor, isTransposed)
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
