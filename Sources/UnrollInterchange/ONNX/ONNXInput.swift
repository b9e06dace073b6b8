// The input of a graph: token ids with an embedding, or one-hot vectors.

import UnrollFormat

/// The path from the graph's input to the first layer.
struct ONNXInput {
  /// The embedding, `[V, D]`; `nil` for one-hot input.
  let table: ONNXTensor?
  /// The operation that looks up the embedding or makes one-hot vectors; `nil` if vectors are the
  /// input.
  let node: ONNXNode?
  /// Notes on assumptions.
  let notes: [Note]
  /// The name of the graph input.
  private let fed: String
  /// The operations on ids, the last of which yields vectors; empty if vectors are the input.
  private let ids: [ONNXNode]
  /// The size of a vector.
  private let width: Int

  /// Finds the input of the first layer.
  ///
  /// - Parameters:
  ///   - first: The layer.
  ///   - width: The size of its input.
  ///   - graph: The graph.
  /// - Throws: `InterchangeError` naming a part that is not an embedding or one-hot vector of each
  ///   token in order.
  init(of first: ONNXNode, width: Int, in graph: ONNXGraph) throws {
    self.width = width
    let (origin, path) = graph.path(to: first.input(0) ?? "", isPicking: false)
    guard let (node, _) = graph.producer(of: origin) else {
      guard graph.model.inputs.contains(origin) else { throw Self.unknown(origin, graph) }
      fed = origin
      ids = []
      node = nil
      table = nil
      notes = [
        Note(place: origin, message: "assumed: the input is one-hot, a vector for each token")
      ]
      try checkSteps(path, before: first, in: graph)
      return
    }
    guard ["Gather", "OneHot"].contains(node.operation) else { throw Self.unknown(origin, graph) }
    // The ids are the graph input itself, not computed from it.
    let source = node.operation == "Gather" ? node.input(1) : node.input(0)
    let (fed, idPath) = source.map { graph.path(to: $0, isPicking: false) } ?? ("", [])
    guard graph.model.inputs.contains(fed) else {
      throw graph.model.error(
        fed, expected: "ids of tokens as they are fed in",
        found: graph.producer(of: fed).map { "the operation \($0.node.operation)" } ?? "a constant",
        fix: "export a language model whose input is the ids of tokens")
    }
    self.fed = fed
    self.node = node
    ids = idPath + [node]
    notes = []
    if node.operation == "OneHot" {
      try Self.checkOneHot(node, depth: width, in: graph)
      table = nil
    } else {
      guard node.operation == "Gather", node.attributes["axis"]?.int ?? 0 == 0,
        let name = node.input(0), let (tensor, isTransposed) = graph.constant(name), !isTransposed
      else { throw Self.unknown(origin, graph) }
      table = tensor
    }
    try checkSteps(path, before: first, in: graph)
  }

  // MARK: - Steps

  /// Refuses a first layer that does not read the tokens of a sequence in order.
  private func checkSteps(
    _ path: [ONNXNode], before first: ONNXNode, in graph: ONNXGraph
  ) throws {
    for node in ids where node.operation == "Cast" {
      let type = node.attributes["to"]?.int ?? 0
      guard [6, 7].contains(type) else {
        throw graph.changed(node, "a cast of ids to the data type \(type)")
      }
    }
    try requireOne(
      of: vectors(path, in: graph) { try graph.checkSteps($0, before: first) }, in: graph)
  }

  /// Returns the vectors of the tokens after operations, for each axis that may be the time axis.
  private func vectors(
    _ path: [ONNXNode], in graph: ONNXGraph, check: (ONNXTrace) throws -> Void = { _ in }
  ) -> [Result<Void, any Error>] {
    graph.axes(ofInput: fed, isVector: node == nil).map { axes in
      Result {
        var trace = ONNXTrace(axes: axes)
        try graph.follow(&trace, ids.dropLast().filter { $0.operation != "Cast" })
        if let node, let axis = node.attributes["axis"]?.int, node.operation == "OneHot",
          axis != -1, axis != trace.axes?.count
        {
          throw graph.changed(node, "one-hot vectors along the axis \(axis)")
        }
        trace.addFeatures(width)
        try graph.follow(&trace, path)
        try check(trace)
      }
    }
  }

  /// Throws the error of the first interpretation unless one succeeds.
  private func requireOne(of results: [Result<Void, any Error>], in graph: ONNXGraph) throws {
    guard !results.contains(where: { (try? $0.get()) != nil }) else { return }
    guard let first = results.first else { throw Self.unknown(fed, graph) }
    try first.get()
  }

  /// Refuses an initial state whose size depends on axes that differ from the model's: such a graph
  /// does not run on a sequence.
  ///
  /// - Parameters:
  ///   - layers: The layers.
  ///   - widths: The sizes of their hidden states.
  ///   - graph: The graph.
  /// - Throws: `InterchangeError` naming the operation that changes the axes.
  func checkSizes(ofStates layers: [ONNXNode], widths: [Int], in graph: ONNXGraph) throws {
    let states = graph.model.values(behind: layers.flatMap { $0.inputs.dropFirst(5) })
    for shape in graph.model.nodes where shape.operation == "Shape" {
      guard let data = shape.input(0), shape.outputs.contains(where: states.contains) else {
        continue
      }
      let (origin, path) = graph.path(to: data, isPicking: false)
      if let layer = layers.firstIndex(where: { $0.outputs.contains(origin) }) {
        let output = layers[layer].outputs.firstIndex(of: origin) ?? 0
        var trace = ONNXTrace(output: min(output, 1), width: widths[layer])
        try graph.follow(&trace, path)
      } else if node?.outputs.contains(origin) == true || (node == nil && origin == fed) {
        try requireOne(of: vectors(path, in: graph), in: graph)
      } else if origin == fed {
        let results = graph.axes(ofInput: fed, isVector: false).map { axes in
          Result {
            var trace = ONNXTrace(axes: axes)
            try graph.follow(&trace, path.filter { $0.operation != "Cast" })
          }
        }
        try requireOne(of: results, in: graph)
      }
    }
  }

  // MARK: - One-hot vectors

  /// Refuses one-hot vectors with other values than 0 and 1, or whose length differs from the
  /// layer's input.
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

  private static func unknown(_ name: String, _ graph: ONNXGraph) -> InterchangeError {
    graph.model.error(
      name, expected: "rows of an embedding, or one-hot vectors, as the first layer's input",
      found: graph.producer(of: name).map { "the operation \($0.node.operation)" }
        ?? "another value",
      fix: "export a language model whose input is the ids of tokens")
  }
}

extension ONNXGraph {
  /// Refuses a layer that does not read the states of every time step in order.
  ///
  /// - Throws: `InterchangeError` naming the layer.
  func checkSteps(_ trace: ONNXTrace, before node: ONNXNode) throws {
    guard trace.axes != [.time, .one, .features] else { return }
    throw model.error(
      node.place, expected: "an input of the axes T, 1, F: time steps, batch, features",
      found: trace.axes.map { "the axes " + list($0.map(\.rawValue)) } ?? "computed axes",
      fix: "only a stack of layers over all time steps is converted")
  }
}
