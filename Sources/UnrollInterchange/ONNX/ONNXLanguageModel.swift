// swift-format-ignore-file: AlwaysUseLowerCamelCase
// A recurrent language model found in a graph: from the ids of tokens to log-probabilities.

import UnrollFormat
import UnrollTensors

/// The layers of a graph, and the constants that they compute with.
struct ONNXLanguageModel {
  private(set) var architecture: Architecture
  private(set) var notes: [Note] = []
  /// The name of the result that is the model's: of the others some may be of the same numbers.
  let result: String
  /// The operations that the model is made of: embedding, layers, linear output, softmax.
  let parts: [ONNXNode]

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
    /// The name of what it reads.
    let input: String
    /// The operations from the matrix product to the result.
    let path: [ONNXNode]

    /// The result of the matrix product, as the graph names it.
    var product: String { path.first?.outputs.first ?? "" }
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
      try Self.checkSteps(trace, before: node, in: graph)
    }
    let (H, V) = try Self.matrix(output.weight, model, isTransposed: output.isTransposed)
    let top = layers[layers.count - 1].architecture.hiddenSize
    var trace = try Self.trace(output.input, from: last, width: top, in: graph, for: "the output")
    try graph.follow(&trace, output.path, classes: V)
    let D = layers[0].architecture.inputSize
    let input = try Self.embedding(of: first, width: D, in: graph)
    embedding = input.table
    notes = input.notes
    parts =
      (input.node.map { [$0] } ?? []) + nodes
      + output.path.filter { ONNXGraph.computing.contains($0.operation) }
    if trace.isLastStep {
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

  /// Refuses a layer that does not read the states of every time step, one after the other.
  private static func checkSteps(
    _ trace: ONNXTrace, before node: ONNXNode, in graph: ONNXGraph
  ) throws {
    guard trace.axes != [.time, .one, .features] else { return }
    throw graph.model.error(
      node.place, expected: "an input of the axes T, 1, F: time steps, batch, features",
      found: trace.axes.map { "the axes " + list($0.map(\.rawValue)) } ?? "computed axes",
      fix: "only a stack of layers over all time steps is converted")
  }

  /// The embedding that the first layer reads, or `nil` for one-hot input; and the operation that gives its
  /// rows or the one-hot vectors, if the graph has one.
  private static func embedding(
    of first: ONNXNode, width D: Int, in graph: ONNXGraph
  ) throws -> (table: ONNXTensor?, node: ONNXNode?, notes: [Note]) {
    let (origin, path) = graph.path(to: first.input(0) ?? "", isPicking: false)
    guard let (node, _) = graph.producer(of: origin) else {
      guard graph.model.inputs.contains(origin) else { throw unknownInput(origin, graph) }
      try checkSteps(of: origin, ids: [], path, before: first, width: D, isVector: true, in: graph)
      return (
        nil, nil,
        [Note(place: origin, message: "assumed: the input is one-hot, a vector for each token")]
      )
    }
    // The ids are those of the text as it is fed in: nothing computes others.
    let ids = node.operation == "Gather" ? node.input(1) : node.input(0)
    let (fed, idPath) = ids.map { graph.path(to: $0, isPicking: false) } ?? ("", [])
    guard graph.model.inputs.contains(fed) else {
      throw graph.model.error(
        fed, expected: "ids of tokens as they are fed in",
        found: graph.producer(of: fed).map { "the operation \($0.node.operation)" } ?? "a constant",
        fix: "export a language model whose input is the ids of tokens")
    }
    let table: ONNXTensor?
    if node.operation == "OneHot" {
      try checkOneHot(node, depth: D, in: graph)
      table = nil
    } else {
      guard node.operation == "Gather", node.attributes["axis"]?.int ?? 0 == 0,
        let name = node.input(0), let (tensor, isTransposed) = graph.constant(name), !isTransposed
      else { throw unknownInput(origin, graph) }
      table = tensor
    }
    try checkSteps(
      of: fed, ids: idPath + [node], path, before: first, width: D, isVector: false, in: graph)
    return (table, node, [])
  }

  /// Refuses a first layer that does not read the tokens of one sequence in their order.
  private static func checkSteps(
    of fed: String, ids: [ONNXNode], _ path: [ONNXNode], before first: ONNXNode, width: Int,
    isVector: Bool, in graph: ONNXGraph
  ) throws {
    for node in ids where node.operation == "Cast" {
      let type = node.attributes["to"]?.int ?? 0
      guard [6, 7].contains(type) else {
        throw graph.changed(node, "a cast of ids to the data type \(type)")
      }
    }
    // Either of two axes of ids may be that of time.
    let results = graph.axes(ofInput: fed, isVector: isVector).map { axes in
      Result {
        var trace = ONNXTrace(axes: axes)
        try graph.follow(&trace, ids.dropLast().filter { $0.operation != "Cast" })
        if let axis = ids.last?.attributes["axis"]?.int, ids.last?.operation == "OneHot",
          axis != -1, axis != trace.axes?.count
        {
          throw graph.changed(ids[ids.count - 1], "one-hot vectors along the axis \(axis)")
        }
        trace.addFeatures(width)
        try graph.follow(&trace, path)
        try checkSteps(trace, before: first, in: graph)
      }
    }
    guard !results.contains(where: { (try? $0.get()) != nil }) else { return }
    guard let first = results.first else { throw unknownInput(fed, graph) }
    try first.get()
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

  /// The only linear output, and the first of the graph's results that it is in front of.
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
        found: list(graph.model.outputs), fix: "export the model with its output layer")
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
    // The producer of a value, before operations that hand it on; all of these are kept.
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
    // One softmax, with or without a logarithm behind it, or none.
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
      // Either of the two may be the bias.
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

  /// The matrix of a product, and its bias.
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
