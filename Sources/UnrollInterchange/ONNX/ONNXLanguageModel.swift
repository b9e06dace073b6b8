// swift-format-ignore-file: AlwaysUseLowerCamelCase
// A recurrent language model found in a graph: from the ids of tokens to log-probabilities.

import UnrollFormat
import UnrollTensors

/// The layers of a graph, and the constants that they compute with.
struct ONNXLanguageModel {
  private(set) var architecture: Architecture
  private(set) var notes: [Note] = []

  private let graph: ONNXGraph
  private let embedding: ONNXTensor?
  private let layers: [ONNXLayer]
  private let output: Output

  /// The linear output.
  private struct Output {
    /// `[V, H]`, or `[H, V]` where it is transposed.
    let weight: ONNXTensor
    let isTransposed: Bool
    let bias: ONNXTensor?
    /// The name of the top layer's states.
    let input: String
  }

  /// Finds the model.
  ///
  /// - Parameters:
  ///   - graph: The graph.
  ///   - kept: What each layer was before it was ONNX's, where the file says so.
  /// - Throws: `InterchangeError` naming the part that is of no recurrent language model.
  init(_ graph: ONNXGraph, kept: [ONNXLayerMetadata]) throws {
    let model = graph.model
    self.graph = graph
    let nodes = model.nodes.filter { ["LSTM", "GRU", "RNN"].contains($0.operation) }
    guard !nodes.isEmpty else {
      throw model.error(
        "graph", expected: "a node LSTM, GRU or RNN", found: "none",
        fix: "export the model with its recurrent layers whole; loops over steps are not converted")
    }
    layers = try nodes.enumerated().map { index, node in
      try ONNXLayer(node, in: graph, kept: kept.indices.contains(index) ? kept[index] : nil)
    }
    output = try Self.output(of: graph)
    let (first, last) = (nodes[0], nodes[nodes.count - 1])
    for (index, node) in nodes.enumerated().dropFirst() {
      let width = layers[index - 1].architecture.hiddenSize
      let trace = try Self.trace(
        node.input(0), from: nodes[index - 1], width: width, in: graph, for: node.place)
      guard !trace.isLastStep, trace.axes.map({ $0 == [.time, .batch, .features] }) ?? true else {
        throw model.error(
          node.place, expected: "the states of \(nodes[index - 1].place) at every time step",
          found: "states whose axes are "
            + (trace.axes ?? []).map(\.rawValue).joined(separator: ", "),
          fix: "only a stack of layers is converted")
      }
    }
    let top = layers[layers.count - 1].architecture.hiddenSize
    let trace = try Self.trace(
      output.input, from: last, width: top, in: graph, for: "the output")
    let D = layers[0].architecture.inputSize
    (embedding, notes) = try Self.embedding(of: first, width: D, in: graph)
    if trace.isLastStep {
      notes.append(
        Note(
          place: output.input,
          message: "the graph predicts from the last time step alone; the checkpoint predicts at each"))
    }
    let (H, V) =
      try Self.matrix(output.weight, model, isTransposed: output.isTransposed)
    var architecture = Architecture(
      vocabularySize: V, embeddingSize: D, layers: layers.map(\.architecture), isTied: false,
      hasOutputBias: output.bias != nil)
    if embedding == nil { architecture.input = .oneHot }
    self.architecture = architecture
    var width = try embedding.map { try Self.matrix($0, model, isTransposed: false).columns } ?? V
    for layer in layers {
      guard layer.architecture.inputSize == width else {
        throw model.error(
          layer.place, expected: "weights for an input of \(width)",
          found: "weights for \(layer.architecture.inputSize)", fix: "export the model again")
      }
      width = layer.architecture.hiddenSize
    }
    guard H == width else {
      throw model.error(
        output.weight.name, expected: "a matrix for states of \(width)", found: "one for \(H)",
        fix: "export the model again")
    }
  }

  /// Rows and columns of a matrix, as if it were not transposed.
  private static func matrix(
    _ constant: ONNXTensor, _ model: ONNXModel, isTransposed: Bool
  ) throws -> (columns: Int, rows: Int) {
    let sizes = constant.dimensions
    guard sizes.count == 2, sizes.allSatisfy({ (1...Int(Int32.max)).contains($0) }) else {
      throw model.error(
        constant.name, expected: "a matrix", found: "dimensions \(sizes)",
        fix: "export the model again")
    }
    return isTransposed ? (sizes[0], sizes[1]) : (sizes[1], sizes[0])
  }

  /// The way of a layer's states to the operation that reads them.
  private static func trace(
    _ input: String?, from layer: ONNXNode, width: Int, in graph: ONNXGraph, for place: String
  ) throws -> ONNXTrace {
    if let trace = try input.flatMap({ try graph.trace($0, from: layer, width: width) }) {
      return trace
    }
    let origin = try input.map { try graph.origin(of: $0) } ?? ""
    let found = graph.producer(of: origin).map { "\($0.node.operation) \(origin)" } ?? origin
    throw graph.model.error(
      place, expected: "the states of \(layer.place), one layer on the other", found: found,
      fix: "only a stack of layers is converted")
  }

  /// The embedding that the first layer reads, or `nil` for one-hot input.
  private static func embedding(
    of first: ONNXNode, width D: Int, in graph: ONNXGraph
  ) throws -> (ONNXTensor?, [Note]) {
    let origin = try graph.origin(of: first.input(0) ?? "", width: D)
    guard let (node, _) = graph.producer(of: origin) else {
      guard graph.model.inputs.contains(origin) else { throw unknownInput(origin, graph) }
      return (
        nil,
        [Note(place: origin, message: "assumed: the input is one-hot, a vector for each token")]
      )
    }
    // The ids are those of the text as it is fed in: nothing computes others.
    let ids = node.operation == "Gather" ? node.input(1) : node.input(0)
    let fed = try ids.map { try graph.originOfIDs($0) } ?? ""
    guard graph.model.inputs.contains(fed) else {
      throw graph.model.error(
        fed, expected: "ids of tokens as they are fed in",
        found: graph.producer(of: fed).map { "the operation \($0.node.operation)" } ?? "a constant",
        fix: "export a language model whose input is the ids of tokens")
    }
    if node.operation == "OneHot", node.attributes["axis"]?.int ?? -1 == -1 {
      try checkOneHot(node, depth: D, in: graph)
      return (nil, [])
    }
    guard node.operation == "Gather", node.attributes["axis"]?.int ?? 0 == 0,
      let name = node.input(0), let (tensor, isTransposed) = graph.constant(name), !isTransposed
    else { throw unknownInput(origin, graph) }
    return (tensor, [])
  }

  /// Refuses one-hot vectors of other values than 0 and 1, or of another length than the layer reads.
  private static func checkOneHot(_ node: ONNXNode, depth: Int, in graph: ONNXGraph) throws {
    let file = graph.model.file
    func values(_ index: Int) -> [Double]? {
      node.input(index).flatMap { graph.constant($0) }?.tensor.values(in: file)
    }
    guard values(2) == [0, 1] else {
      throw graph.model.error(
        node.place, expected: "the values 0 and 1 of a one-hot vector",
        found: values(2).map { "\($0)" } ?? "values that are computed",
        fix: "export the model with plain one-hot vectors")
    }
    guard let length = values(1), length == [Double(depth)] else {
      throw graph.model.error(
        node.place, expected: "one-hot vectors of \(depth) numbers",
        found: values(1).map { "\($0)" } ?? "a length that is computed",
        fix: "export the model again")
    }
  }

  private static func unknownInput(_ name: String, _ graph: ONNXGraph) -> InterchangeError {
    graph.model.error(
      name, expected: "rows of an embedding, or one-hot vectors, as the first layer's input",
      found: graph.producer(of: name)?.node.operation ?? "another value",
      fix: "export a language model whose input is the ids of tokens")
  }

  /// The linear output in front of one of the graph's results.
  private static func output(of graph: ONNXGraph) throws -> Output {
    for name in graph.model.outputs {
      if let output = try output(before: name, in: graph) { return output }
    }
    throw graph.model.error(
      "graph", expected: "a result of a linear layer, with or without a softmax",
      found: list(graph.model.outputs), fix: "export the model with its output layer")
  }

  private static func output(
    before name: String, width: Int? = nil, in graph: ONNXGraph
  ) throws -> Output? {
    let result = name
    var name = try graph.origin(of: name, width: width)
    // One softmax, with or without a logarithm behind it, or none.
    let hasLog = graph.producer(of: name)?.node.operation == "Log"
    if hasLog {
      name = try graph.origin(of: graph.producer(of: name)?.node.input(0) ?? "", width: width)
    }
    let softmax = graph.producer(of: name)?.node
    if let softmax, (hasLog ? ["Softmax"] : ["LogSoftmax", "Softmax"]).contains(softmax.operation) {
      try checkAxis(of: softmax, in: graph)
      name = try graph.origin(of: softmax.input(0) ?? "", width: width)
    } else if hasLog {
      return nil
    }
    guard var (node, _) = graph.producer(of: name) else { return nil }
    var bias: ONNXTensor?
    if node.operation == "Add" {
      // Either of the two may be the bias.
      let sides = [node.input(0), node.input(1)].compactMap { $0 }
      guard let constant = sides.lazy.compactMap({ graph.constant($0) }).first,
        let other = sides.first(where: { graph.constant($0) == nil }),
        let product = try graph.producer(of: graph.origin(of: other, width: width))
      else { return nil }
      (bias, node) = (constant.tensor, product.node)
    }
    guard ["MatMul", "Gemm"].contains(node.operation), let input = node.input(0),
      let (weight, isTransposed) = node.input(1).flatMap({ graph.constant($0) })
    else { return nil }
    var isColumns = !isTransposed
    if node.operation == "Gemm" {
      let numbers = ["alpha", "beta"].map { node.attributes[$0]?.float ?? 1 }
      guard numbers == [1, 1], node.attributes["transA"]?.int ?? 0 == 0 else {
        throw graph.model.error(
          node.place, expected: "alpha and beta 1, and transA 0", found: "\(numbers)",
          fix: "export the model again")
      }
      if node.attributes["transB"]?.int ?? 0 != 0 { isColumns.toggle() }
      if let name = node.input(2) {
        guard bias == nil, let constant = graph.constant(name) else { return nil }
        bias = constant.tensor
      }
    }
    let found = Output(weight: weight, isTransposed: isColumns, bias: bias, input: input)
    let sizes = weight.dimensions
    guard width == nil, sizes.count == 2 else { return found }
    // Once more, now that the number of logits is known.
    return try output(before: result, width: sizes[isColumns ? 1 : 0], in: graph)
  }

  /// Refuses a softmax over anything but the tokens.
  private static func checkAxis(of softmax: ONNXNode, in graph: ONNXGraph) throws {
    let usual = graph.model.operatorSet < 13 ? 1 : -1
    let axis = softmax.attributes["axis"]?.int ?? usual
    let last = softmax.outputs.first.flatMap { graph.model.ranks[$0] }.map { $0 - 1 }
    guard axis != -1, axis != last else { return }
    throw graph.model.error(
      softmax.place, expected: "\(softmax.operation) over the tokens, the last axis",
      found: "axis \(axis)", fix: "export the model with axis -1")
  }

  // MARK: - Numbers

  /// The parameters; where the output has the embedding's numbers, it is tied to it.
  ///
  /// - Returns: The parameters and notes.
  /// - Throws: `InterchangeError` for constants of other types or shapes.
  mutating func parameters() throws -> ParameterTree<Tensor> {
    var weights = ONNXWeights(graph.model)
    var tree = ParameterTree<Tensor>()
    let V = architecture.vocabularySize
    if let embedding {
      tree[.embeddingWeight] = try weights.tensor(
        embedding, shape: [V, architecture.embeddingSize])
    }
    for (index, layer) in layers.enumerated() {
      for (parameter, tensor) in try layer.parameters(&weights) {
        tree[.layer(index, parameter)] = tensor
      }
    }
    let weight =
      output.isTransposed
      ? try weights.transposed(output.weight, shape: [architecture.topSize, V])
      : try weights.tensor(output.weight, shape: [V, architecture.topSize])
    let isSame = embedding.map { $0.name == output.weight.name && !output.isTransposed } ?? false
    if isSame || hasEqualBytes(tree[.embeddingWeight], weight) {
      architecture.isTied = true
      if !isSame {
        notes.append(
          Note(
            place: output.weight.name,
            message: "assumed: the output is tied, since its numbers are the embedding's"))
      }
    } else {
      tree[.outputWeight] = weight
    }
    tree[.outputBias] = try output.bias.map { try weights.tensor($0, shape: [V]) }
    return tree
  }

  private func hasEqualBytes(_ first: Tensor?, _ second: Tensor) -> Bool {
    guard let first, first.shape == second.shape, first.dtype == second.dtype else { return false }
    return first.withUnsafeBytes { a in second.withUnsafeBytes { a.elementsEqual($0) } }
  }
}
