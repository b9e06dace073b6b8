// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Language models of TensorFlow 1: cells, an embedding and a softmax, by the names of their variables.

import UnrollFormat
import UnrollTensors

/// The model in a checkpoint of `tf.train.Saver`, whose names are those of variables.
struct SessionModel {
  private(set) var architecture = Architecture(
    vocabularySize: 0, embeddingSize: 0, layers: [], isTied: false)
  private(set) var parameters = ParameterTree<Tensor>()
  private(set) var optimizer: OptimizerState?
  private(set) var notes: [Note] = []

  private let bundle: TensorBundle
  private let graph: OperationGraph?
  /// The account of every tensor.
  private var ledger: Ledger
  private var cells: [CellVariables] = []
  /// The variable of the embedding; `nil` for one-hot input.
  private var embedding: String?
  /// The variable of the output's weight, `[H, V]`; `nil` if it is the embedding.
  private var output: String?
  private var outputBias: String?

  private static let mostCells = 1000
  private static let fix = "other models of TensorFlow 1 are not converted"

  /// Returns `true` if a checkpoint has such cells.
  static func recognizes(_ bundle: TensorBundle) -> Bool {
    !CellVariables.all(in: bundle.names).isEmpty
  }

  /// Reads a model.
  ///
  /// - Parameters:
  ///   - bundle: The checkpoint.
  ///   - graph: The graph of its program, if there is one.
  ///   - options: The caller's forget bias and activation, and ignored names.
  /// - Throws: `InterchangeError` if something is missing, ambiguous or left over.
  init(_ bundle: TensorBundle, _ graph: OperationGraph?, _ options: ReadingOptions) throws {
    self.bundle = bundle
    self.graph = graph
    ledger = try Ledger(bundle.names, ignoring: options.ignored, of: bundle.path)
    let names = bundle.names.filter { [ledger] in !ledger.isIgnored($0) }
    let training = SessionTraining(names, of: bundle)
    let model = names.filter { !training.names.contains($0) }
    let found = CellVariables.all(in: model)
    guard found.count <= Self.mostCells, let ordered = CellVariables.ordered(found) else {
      throw bundle.error(
        "", expected: "cells in a row, told by one number in their names, as cell_0, cell_1",
        found: list(found.map(\.scope)), fix: Self.fix)
    }
    cells = ordered
    try addLayers(options)
    let ofCells = Set(cells.flatMap(\.names.values))
    try addEnds(model.filter { !ofCells.contains($0) })
    let ends = [embedding, output, outputBias]
    let variables = model.filter { ofCells.contains($0) || ends.contains($0) }
    for name in variables { ledger.use(name) }
    parameters = try tree { try bundle.tensor($0) }
    takeOptimizer(training, of: variables)
  }

  /// Closes the account of the checkpoint.
  ///
  /// - Throws: `InterchangeError` naming what is left.
  func settled() throws -> Ledger.Settlement {
    try ledger.settle(expected: "an embedding, recurrent cells and a softmax", fix: Self.fix)
  }

  /// Reads the optimizer, and accounts for everything of the training.
  private mutating func takeOptimizer(_ training: SessionTraining, of variables: [String]) {
    let found = SessionOptimizer.read(
      training, of: variables, graph, bundle, parameters: architecture.parameters.map(\.path)
    ) { try tree($0) }
    switch found?.kept {
    case .kept(let state, let approximation)?:
      optimizer = state
      if graph?.nodes.contains(where: { $0.name.contains("clip_by_") }) == true {
        notes.append(
          Note(
            place: "optimizer",
            message:
              "not preserved: that the program clips gradients; `--clip` of finetune states it"))
      }
      notes += approximation.map { [Note(place: "optimizer", message: "approximate: \($0)")] } ?? []
    case .lost(let reason)?:
      notes.append(Note(place: "optimizer", message: "not preserved: \(reason)"))
    case nil: break
    }
    for name in found?.names ?? [] { ledger.use(name) }
    for (names, note) in training.losses(besides: found?.names ?? []) {
      ledger.pass(names, noting: note)
    }
  }

  private func refusal(_ place: String, _ expected: String, _ found: String) -> InterchangeError {
    bundle.error(place, expected: expected, found: found, fix: Self.fix)
  }

  // MARK: - Layers

  private mutating func addLayers(_ options: ReadingOptions) throws {
    for index in cells.indices {
      var cell = cells[index]
      try cell.measure({ try bundle.tensor($0) }, refusal: refusal)
      cells[index] = cell
      if index > 0, cell.inputSize != cells[index - 1].outputSize {
        throw refusal(
          cell.scope,
          "a cell that reads the \(cells[index - 1].outputSize) numbers of the one before",
          "one that reads \(cell.inputSize)")
      }
      if bundle[cell.scope + "/w_f_diag"] != nil {
        throw refusal(cell.scope + "/w_f_diag", "a cell without peepholes", "one with peepholes")
      }
      let facts = graph.map { CellGraph(cell, in: $0) }
      if let obstacle = facts?.obstacles.sorted().first {
        throw refusal(cell.scope, "a cell as TensorFlow's class computes it", obstacle)
      }
      var layer = cell.layer
      layer.activation = try activation(of: cell, facts, options)
      if cell.kind.cell == .lstm { layer.forgetBias = try forgetBias(of: cell, facts, options) }
      architecture.layers.append(layer)
    }
  }

  /// Returns the constant that is added to the forget gate, from the graph or the caller.
  private mutating func forgetBias(
    of cell: CellVariables, _ facts: CellGraph?, _ options: ReadingOptions
  ) throws -> Double {
    if cell.kind == .cudnnLSTM { return 0 }
    let found = facts?.forgetBiases ?? []
    guard found.count <= 1 else {
      throw refusal(
        cell.scope, "one forget bias", list(found.sorted().map { "\($0)" }))
    }
    if let bias = found.first {
      guard options.forgetBias ?? bias == bias else {
        throw bundle.error(
          cell.scope, expected: "the forget bias \(options.forgetBias ?? 0), as requested",
          found: "\(bias) in the graph (.meta)", fix: "leave --forget-bias out: the file says it")
      }
      return bias
    }
    guard let bias = options.forgetBias else {
      let graph = self.graph == nil ? "no .meta file beside the index" : "none in the graph (.meta)"
      throw bundle.error(
        cell.scope, expected: "the constant that the cell adds to its forget gate", found: graph,
        fix:
          "put NAME.meta beside NAME.index, or give --forget-bias 1, the default of BasicLSTMCell and LSTMCell, "
          + "or 0 if the program says forget_bias=0.0, as TensorFlow's PTB tutorial does")
    }
    return bias
  }

  /// Returns the activation of a cell, from the graph or the caller; tanh where that is the default and nothing
  /// tells.
  private mutating func activation(
    of cell: CellVariables, _ facts: CellGraph?, _ options: ReadingOptions
  ) throws -> Activation {
    let names: [String: Activation] = ["Tanh": .tanh, "Relu": .relu]
    if let facts, facts.isFound {
      guard facts.activations.count == 1, let name = facts.activations.first,
        let activation = names[name], cell.kind.cell == .rnn || activation == .tanh
      else {
        throw refusal(
          cell.scope,
          cell.kind.cell == .rnn ? "the activation tanh or relu" : "the activation tanh",
          list(facts.activations.sorted()))
      }
      if cell.kind.cell == .rnn, let stated = options.nonlinearity, stated != activation {
        throw bundle.error(
          cell.scope, expected: "the activation \(stated.rawValue), as requested",
          found: "\(activation.rawValue) in the graph (.meta)",
          fix: "leave --nonlinearity out: the file says it")
      }
      return activation
    }
    if cell.kind.cell == .rnn {
      guard let stated = options.nonlinearity else {
        throw bundle.error(
          cell.scope, expected: "the activation of a BasicRNNCell",
          found: graph == nil ? "no .meta file beside the index" : "none in the graph (.meta)",
          fix: "give --nonlinearity tanh, TensorFlow's default, or relu")
      }
      return stated
    }
    notes.append(
      Note(
        place: cell.scope,
        message: "assumed: the activation tanh, TensorFlow's default, and no cell_clip"))
    return .tanh
  }

  // MARK: - Embedding and output

  private func shape(_ name: String) -> [Int] { bundle[name]?.shape.dimensions ?? [] }

  /// Finds the embedding and the output among the other variables.
  private mutating func addEnds(_ names: [String]) throws {
    let D = cells.first?.inputSize ?? 0
    let H = cells.last?.outputSize ?? 0
    let matrices = names.filter { shape($0).count == 2 }
    var pairs: [(embedding: String?, output: String?)] = []
    for output in matrices where shape(output)[0] == H {
      let V = shape(output)[1]
      let rest = matrices.filter { $0 != output }
      if rest.isEmpty, V == D { pairs.append((nil, output)) }
      if rest.count == 1, shape(rest[0]) == [V, D] { pairs.append((rest[0], output)) }
    }
    if matrices.count == 1, D == H, shape(matrices[0])[1] == D, isTied(matrices[0]) {
      pairs.append((matrices[0], nil))
    }
    if pairs.count > 1 {
      let told = pairs.filter { isEmbedding($0.embedding) && !isEmbedding($0.output) }
      if told.count == 1 { pairs = told }
    }
    guard pairs.count == 1, let pair = pairs.first else {
      let shapes = matrices.map { "\($0) \(Shape(shape($0)))" }
      throw bundle.error(
        "", expected: "an embedding [V, \(D)], or none, and a softmax weight [\(H), V]",
        found: shapes.isEmpty ? "no other matrices" : list(shapes),
        fix: matrices.count == 1 && graph == nil
          ? "put NAME.meta beside NAME.index, which tells whether the embedding is the output's weight, too"
          : Self.fix + "; what is no part of the model is left out with --ignore NAME")
    }
    (embedding, output) = pair
    let V = output.map { shape($0)[1] } ?? embedding.map { shape($0)[0] } ?? 0
    guard V > 0 else { throw refusal(output ?? "", "tokens", "none") }
    outputBias = names.first { shape($0) == [V] }
    architecture.input = embedding == nil ? .oneHot : .embedding
    architecture.vocabularySize = V
    architecture.embeddingSize = D
    architecture.isTied = output == nil
    architecture.hasOutputBias = outputBias != nil
    for name in [embedding, output, outputBias].compactMap({ $0 }) {
      let tensor = try bundle.tensor(name)
      guard tensor.dtype.isFloat else {
        throw refusal(name, "weights of f32, f16, bf16 or f64", tensor.dtype.rawValue)
      }
    }
    if graph == nil || outputBias == nil {
      let bias = outputBias.map { ", \($0) its bias" } ?? " without a bias"
      notes.append(
        Note(
          place: output ?? embedding ?? "",
          message: "assumed: the softmax is over the product with it\(bias), by names and shapes"))
    }
  }

  /// Returns `true` if a variable is an embedding by its name, or is looked up in the graph.
  private func isEmbedding(_ name: String?) -> Bool {
    guard let name else { return false }
    let lookups: Set = ["Gather", "GatherV2", "ResourceGather"]
    if let graph {
      return graph.usesOfValue(name).contains {
        $0.input == 0 && lookups.contains(graph.nodes[$0.node].operation)
      }
    }
    return name.lowercased().contains("emb")
  }

  /// Returns `true` if the graph multiplies with the transpose of the embedding.
  private func isTied(_ name: String) -> Bool {
    guard let graph, isEmbedding(name) else { return false }
    return graph.usesOfValue(name).contains { use in
      let node = graph.nodes[use.node]
      return node.operation == "MatMul" && use.input == 1 && node.flag("transpose_b") == true
    }
  }

  // MARK: - Parameters

  /// Returns the parameters with the values for each variable.
  ///
  /// - Parameter tensor: Returns the values for a variable: its own, or those that an optimizer keeps.
  /// - Returns: The parameters.
  /// - Throws: The errors of `tensor`; `InterchangeError` if weights of one cell have two types.
  private func tree(_ tensor: (String) throws -> Tensor) throws -> ParameterTree<Tensor> {
    var tree = ParameterTree<Tensor>()
    for (index, cell) in cells.enumerated() {
      guard let parameters = try cell.parameters(tensor) else {
        throw refusal(cell.scope, "weights of one type", "weights of two")
      }
      for (parameter, tensor) in parameters { tree[.layer(index, parameter)] = tensor }
    }
    if let embedding { tree[.embeddingWeight] = try tensor(embedding) }
    if let output { tree[.outputWeight] = try tensor(output).transposed() }
    if let outputBias { tree[.outputBias] = try tensor(outputBias) }
    return tree
  }
}
