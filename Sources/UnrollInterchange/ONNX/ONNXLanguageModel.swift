// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Extracts a recurrent language model from a graph: from token ids to log-probabilities.

import UnrollFormat
import UnrollTensors

/// The layers of a graph and their constants.
struct ONNXLanguageModel {
  private(set) var architecture: Architecture
  private(set) var notes: [Note] = []
  /// The name of the model's result; other results may have the same values.
  let result: String
  /// The operations of the model: embedding, layers, linear output, softmax.
  let parts: [ONNXNode]

  private let graph: ONNXGraph
  private let embedding: ONNXTensor?
  private let layers: [ONNXLayer]
  private let output: Output

  /// The linear output.
  private struct Output {
    /// `[V, H]`, or `[H, V]` if transposed.
    let weight: ONNXTensor
    let isTransposed: Bool
    let bias: ONNXTensor?
    /// The name of the input.
    let input: String
    /// The operations from the matrix product to the result.
    let path: [ONNXNode]

    /// The name of the matrix product's result.
    var product: String { path.first?.outputs.first ?? "" }
  }

  /// Finds the model.
  ///
  /// - Parameters:
  ///   - graph: The graph.
  ///   - kept: The properties of the original layers, if the file has them.
  /// - Throws: `InterchangeError` naming the part that does not belong to a recurrent language
  ///   model.
  init(_ graph: ONNXGraph, kept: [ONNXLayerMetadata]) throws {
    let model = graph.model
    self.graph = graph
    let all = model.nodes.filter(ONNXGraph.isLayer)
    guard !all.isEmpty else {
      throw model.error(
        "graph", expected: "a node LSTM, GRU or RNN", found: "none",
        fix: "export the model with its recurrent layers whole; loops over steps are not converted")
    }
    (result, output) = try Self.output(of: graph)
    let needed = model.values(behind: [result])
    let nodes = all.filter { $0.outputs.contains(where: needed.contains) }
    guard !nodes.isEmpty else {
      throw model.error(
        result, expected: "a result of recurrent layers", found: "one that they are not needed for",
        fix: "if another result is the model's, leave this one out: `--ignore \(result)`")
    }
    layers = try nodes.enumerated().map { index, node in
      try ONNXLayer(node, in: graph, kept: kept.indices.contains(index) ? kept[index] : nil)
    }
    let (first, last) = (nodes[0], nodes[nodes.count - 1])
    for (index, node) in nodes.enumerated().dropFirst() {
      let width = layers[index - 1].architecture.hiddenSize
      let trace = try Self.trace(
        node.input(0), from: nodes[index - 1], width: width, in: graph, for: node.place)
      try graph.checkSteps(trace, before: node)
    }
    let (H, V) = try Self.matrix(output.weight, model, isTransposed: output.isTransposed)
    let top = layers[layers.count - 1].architecture.hiddenSize
    var trace = try Self.trace(output.input, from: last, width: top, in: graph, for: "the output")
    try graph.follow(&trace, output.path, classes: V)
    let D = layers[0].architecture.inputSize
    let input = try ONNXInput(of: first, width: D, in: graph)
    embedding = input.table
    notes = input.notes
    try input.checkSizes(
      ofStates: nodes, widths: layers.map(\.architecture.hiddenSize), in: graph)
    parts =
      (input.node.map { [$0] } ?? []) + nodes
      + output.path.filter { ONNXGraph.computing.contains($0.operation) }
    if trace.isLastStep, !FusionInterface.isStated(in: model.metadata) {
      notes.append(
        Note(
          place: output.input,
          message:
            "the graph predicts from the last time step alone; the checkpoint predicts at each; "
            + "for one that was trained on windows of N tokens, give `--context N --pad TOKEN` to "
            + "evaluate (with --protocol window), score or generate"))
    }
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

  /// Returns the sizes of a matrix before transposition.
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

  /// Tracks a layer's states to the operation that reads them.
  private static func trace(
    _ input: String?, from layer: ONNXNode, width: Int, in graph: ONNXGraph, for place: String
  ) throws -> ONNXTrace {
    let (origin, path) = input.map { graph.path(to: $0) } ?? ("", [])
    if let (node, output) = graph.producer(of: origin), node.outputs == layer.outputs, output < 2 {
      var trace = ONNXTrace(output: output, width: width)
      try graph.follow(&trace, path)
      return trace
    }
    let found = graph.producer(of: origin).map { "\($0.node.operation) \(origin)" } ?? origin
    throw graph.model.error(
      place, expected: "the states of \(layer.place), one layer on the other", found: found,
      fix: "only a stack of layers is converted")
  }

  /// Returns the only linear output, and the first of the graph's results after it.
  private static func output(of graph: ONNXGraph) throws -> (result: String, output: Output) {
    var found: [(result: String, output: Output)] = []
    for name in graph.model.outputs {
      guard let output = try output(before: name, in: graph),
        !found.contains(where: { $0.output.product == output.product })
      else { continue }
      found.append((name, output))
    }
    guard let first = found.first else {
      throw graph.model.error(
        "graph", expected: "a result of a linear layer, with or without a softmax",
        found: list(
          graph.model.outputs.map { name in
            name
              + (graph.producer(of: name).map { ", of the operation \($0.node.operation)" } ?? "")
          }),
        fix: "export the model with its output layer, and with nothing but a softmax behind it")
    }
    guard found.count == 1 else {
      throw graph.model.error(
        found[1].result, expected: "one linear layer whose result is the next token",
        found: list(found.map { "\($0.result) of the weight \($0.output.weight.name)" }),
        fix:
          "leave out the results that are not the next token, such as `--ignore \(found[1].result)`"
      )
    }
    return first
  }

  private static func output(before result: String, in graph: ONNXGraph) throws -> Output? {
    var behind: [ONNXNode] = []
    // Returns the producer of a value before operations that pass it on, which are recorded.
    func producer(_ name: String?) -> ONNXNode? {
      let (origin, path) = name.map { graph.path(to: $0) } ?? ("", [])
      behind = path + behind
      return graph.producer(of: origin)?.node
    }
    var node = producer(result)
    func step() {
      guard let last = node else { return }
      behind = [last] + behind
      node = producer(last.input(0))
    }
    // An optional softmax, optionally followed by a logarithm.
    let hasLog = node?.operation == "Log"
    if hasLog { step() }
    let softmax = hasLog ? ["Softmax"] : ["LogSoftmax", "Softmax"]
    if softmax.contains(node?.operation ?? "") {
      step()
    } else if hasLog {
      return nil
    }
    var bias: ONNXTensor?
    if let add = node, add.operation == "Add" {
      // Either operand may be the bias.
      let sides = [add.input(0), add.input(1)].compactMap { $0 }
      guard let constant = sides.lazy.compactMap({ graph.constant($0) }).first,
        let other = sides.first(where: { graph.constant($0) == nil })
      else { return nil }
      bias = constant.tensor
      behind = [add] + behind
      node = producer(other)
    }
    guard let product = node else { return nil }
    return try output(of: product, bias: bias, before: [product] + behind, in: graph)
  }

  /// Returns the matrix of a product, and its bias.
  private static func output(
    of node: ONNXNode, bias: ONNXTensor?, before path: [ONNXNode], in graph: ONNXGraph
  ) throws -> Output? {
    guard ["MatMul", "Gemm"].contains(node.operation), let input = node.input(0),
      let (weight, isTransposed) = node.input(1).flatMap({ graph.constant($0) })
    else { return nil }
    let found = Output(
      weight: weight, isTransposed: !isTransposed, bias: bias, input: input, path: path)
    return node.operation == "Gemm" ? try gemm(node, found, in: graph) : found
  }

  private static func gemm(
    _ node: ONNXNode, _ product: Output, in graph: ONNXGraph
  ) throws -> Output? {
    let numbers = ["alpha", "beta"].map { node.attributes[$0]?.float ?? 1 }
    guard numbers == [1, 1], node.attributes["transA"]?.int ?? 0 == 0 else {
      throw graph.model.error(
        node.place, expected: "alpha and beta 1, and transA 0", found: "\(numbers)",
        fix: "export the model again")
    }
    let isTurned = node.attributes["transB"]?.int ?? 0 != 0
    var bias = product.bias
    if let name = node.input(2) {
      guard bias == nil, let constant = graph.constant(name) else { return nil }
      bias = constant.tensor
    }
    return Output(
      weight: product.weight, isTransposed: product.isTransposed != isTurned, bias: bias,
      input: product.input, path: product.path)
  }

  // MARK: - Parameters

  /// Returns the parameters; the output is tied if it has the embedding's values.
  ///
  /// - Returns: The parameters.
  /// - Throws: `InterchangeError` for constants of unsupported types or shapes.
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
