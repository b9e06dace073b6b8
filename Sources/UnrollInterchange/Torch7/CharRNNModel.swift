// swift-format-ignore-file: AlwaysUseLowerCamelCase
// The networks of char-rnn: graphs of linear layers around one-hot characters.

import UnrollFormat
import UnrollTensors

/// A network of char-rnn.
///
/// The gates of an LSTM are i, f, o, g. The GRU has `h' = z n + (1 - z) h`, where a checkpoint has
/// `(1 - z) n + z h`: since σ(-x) = 1 - σ(x), the weights and biases of z have the other sign. Its
/// reset gate acts before the product.
struct CharRNNModel {
  private(set) var architecture: Architecture
  private(set) var parameters = ParameterTree<Tensor>()
  /// The rates of dropout.
  let dropouts: Set<Double>

  private let file: Torch7File
  private let graph: Torch7Graph
  private var room: Int

  /// The linear modules of a layer, for each gate in the order of a checkpoint; an LSTM has one for
  /// all gates.
  private struct Layer {
    let cell: Cell
    let input: [Int]
    let state: [Int]
  }

  static let place = "protos.rnn"

  /// Recognizes the network of a file.
  ///
  /// - Throws: `InterchangeError` if the graph is another one, or its tensors do not fit.
  init(_ file: Torch7File) throws {
    self.file = file
    room = file.roomForTensors
    let module = file.field("rnn", of: file.field("protos", of: file.root)) ?? .null
    let graph = try Torch7Graph(module, in: file, place: Self.place)
    self.graph = graph
    dropouts = graph.dropouts
    guard let (input, V) = graph.oneHot(ofInput: 1),
      let layers = Cell.usual.lazy.compactMap({ Self.layers($0, graph, input) }).first,
      let decoder = Self.decoder(graph)
    else {
      throw file.error(
        Self.place, expected: "the equations of char-rnn's LSTM, GRU or RNN",
        found: "a graph with others", fix: Torch7Graph.fix)
    }
    architecture = Architecture(vocabularySize: V, embeddingSize: V, layers: [], isTied: false)
    architecture.input = .oneHot
    let used = Set(layers.flatMap { $0.input + $0.state } + [decoder])
    guard used.count == graph.linears.count else {
      throw file.error(
        Self.place, expected: "linear layers of the model alone", found: "others beside them",
        fix: Torch7Graph.fix)
    }
    try checkIdentities(V)
    for layer in layers { try add(layer) }
    let (weight, bias) = try linear(decoder, rows: V, columns: architecture.topSize)
    parameters[.outputWeight] = weight
    parameters[.outputBias] = bias
    architecture.hasOutputBias = bias != nil
  }

  // MARK: - Equations

  private static func decoder(_ graph: Torch7Graph) -> Int? {
    let outputs = graph.outputs
    guard outputs.count >= 2, let logits = graph.operandOfSoftmax(outputs[outputs.count - 1]),
      let (module, source) = graph.linear(logits), source == outputs[outputs.count - 2]
    else { return nil }
    return module
  }

  /// Returns the layers if the outputs before the last are the states of such cells; `nil` if not.
  private static func layers(_ cell: Cell, _ graph: Torch7Graph, _ input: Int) -> [Layer]? {
    let states = graph.outputs.dropLast()
    let stateCount = cell == .lstm ? 2 : 1
    guard states.count.isMultiple(of: stateCount), states.count / stateCount <= 100 else {
      return nil
    }
    var source = input
    var layers: [Layer] = []
    for first in stride(from: 0, to: states.count, by: stateCount) {
      // The first input is the token, the others are the states in the order of the outputs.
      let old = (0..<stateCount).compactMap { graph.find(.input(first + $0 + 2)) }
      let new = Array(states[first..<first + stateCount])
      guard old.count == stateCount,
        let layer = layer(cell, graph, reading: source, old: old, new: new)
      else { return nil }
      layers.append(layer)
      source = new[stateCount - 1]
    }
    return layers
  }

  private static func layer(
    _ cell: Cell, _ graph: Torch7Graph, reading x: Int, old: [Int], new: [Int]
  ) -> Layer? {
    let h = old[old.count - 1]
    let (ofInput, ofState) = (graph.linears(reading: x), graph.linears(reading: h))
    // A layer has at most three of them.
    guard max(ofInput.count, ofState.count) <= 8 else { return nil }
    func sum(_ input: Int, _ state: Int) -> Int? {
      graph.find(
        Torch7Term.sum, graph.find(.linear(input, of: x)), graph.find(.linear(state, of: h)))
    }
    switch cell {
    case .lstm:
      for input in ofInput {
        for state in ofState {
          guard let sums = sum(input, state) else { continue }
          let isLSTM = graph.widths(ofColumnsOf: sums).contains { H in
            Self.isLSTM(graph, sums: sums, H: H, old: (old[0], old[1]), new: (new[0], new[1]))
          }
          if isLSTM { return Layer(cell: cell, input: [input], state: [state]) }
        }
      }
    case .gru:
      // Both gates: a linear layer for the input and one for the state each.
      let gates = ofInput.flatMap { input in
        ofState.compactMap { state in
          graph.find(sum(input, state).map { .sigmoid($0) }).map { (input, state, gate: $0) }
        }
      }
      for reset in gates {
        for update in gates where update.gate != reset.gate {
          guard let candidate = candidate(graph, x, h, reset: reset.gate),
            isGRU(graph, update: update.gate, candidate: candidate.term, old: h, new: new[0])
          else { continue }
          return Layer(
            cell: cell, input: [reset.0, update.0, candidate.input],
            state: [reset.1, update.1, candidate.state])
        }
      }
    default:
      for input in ofInput {
        for state in ofState where graph.find(sum(input, state).map { .tanh($0) }) == new[0] {
          return Layer(cell: cell, input: [input], state: [state])
        }
      }
    }
    return nil
  }

  /// Returns `true` if a state follows from sums of i, f, o, g:
  /// `c' = σ(f) c + σ(i) tanh(g)`, `h' = σ(o) tanh(c')`.
  private static func isLSTM(
    _ graph: Torch7Graph, sums: Int, H: Int, old: (c: Int, h: Int), new: (c: Int, h: Int)
  ) -> Bool {
    func block(_ index: Int) -> Int? { graph.find(.columns(index * H..<(index + 1) * H, of: sums)) }
    func gate(_ index: Int) -> Int? { graph.find(block(index).map { .sigmoid($0) }) }
    let candidate = graph.find(block(3).map { .tanh($0) })
    let kept = graph.find(Torch7Term.product, gate(1), old.c)
    let added = graph.find(Torch7Term.product, gate(0), candidate)
    return graph.find(Torch7Term.sum, kept, added) == new.c
      && graph.find(Torch7Term.product, gate(2), graph.find(.tanh(new.c))) == new.h
  }

  /// Returns the term `tanh(W x + U (r h))`, and its linear layers.
  private static func candidate(
    _ graph: Torch7Graph, _ x: Int, _ h: Int, reset: Int
  ) -> (term: Int, input: Int, state: Int)? {
    guard let product = graph.find(Torch7Term.product, reset, h) else { return nil }
    for input in graph.linears(reading: x) {
      for state in graph.linears(reading: product) {
        let sum = graph.find(
          Torch7Term.sum, graph.find(.linear(input, of: x)),
          graph.find(.linear(state, of: product)))
        if let term = graph.find(sum.map { .tanh($0) }) { return (term, input, state) }
      }
    }
    return nil
  }

  /// Returns `true` if `h' = z n + (1 - z) h`.
  private static func isGRU(
    _ graph: Torch7Graph, update: Int, candidate: Int, old: Int, new: Int
  ) -> Bool {
    let rest = graph.find(graph.find(.scaled(by: -1, update)).map { .shifted(by: 1, $0) })
    return graph.find(
      Torch7Term.sum, graph.find(Torch7Term.product, update, candidate),
      graph.find(Torch7Term.product, rest, old)) == new
  }

  // MARK: - Tensors

  /// Checks that `OneHot` has the matrix from which it takes rows.
  private mutating func checkIdentities(_ V: Int) throws {
    for identity in graph.identities {
      let matrix = try file.tensor(identity, "OneHot._eye", rank: 2, room: &room)
      let values = matrix.doubles
      let isIdentity =
        matrix.shape == [V, V]
        && values.indices.allSatisfy { values[$0] == ($0 / V == $0 % V ? 1 : 0) }
      guard isIdentity else {
        throw file.error(
          "OneHot._eye", expected: "the identity matrix of \(V) rows",
          found: "another matrix \(matrix.shape)", fix: Torch7Graph.fix)
      }
    }
  }

  private mutating func linear(
    _ index: Int, rows: Int, columns: Int
  ) throws -> (weight: Tensor, bias: Tensor?) {
    let module = graph.linears[index]
    let place = "\(Self.place), linear layer \(index + 1)"
    let weight = try file.tensor(
      file.field("weight", of: module), "\(place), weight", rank: 2, room: &room)
    guard weight.shape == [rows, columns] else {
      throw file.error(
        "\(place), weight", expected: "shape [\(rows), \(columns)]", found: "\(weight.shape)")
    }
    guard let stored = file.field("bias", of: module) else { return (weight, nil) }
    let bias = try file.tensor(stored, "\(place), bias", rank: 1, room: &room)
    guard bias.shape == [rows] else {
      throw file.error("\(place), bias", expected: "shape [\(rows)]", found: "\(bias.shape)")
    }
    return (weight, bias)
  }

  private mutating func add(_ layer: Layer) throws {
    let D = architecture.layers.isEmpty ? architecture.vocabularySize : architecture.topSize
    let state = try file.tensor(
      file.field("weight", of: graph.linears[layer.state[0]]), "\(Self.place), weight", rank: 2,
      room: &room)
    let H = state.shape.dimensions[1]
    let rows = layer.cell == .lstm ? state.shape.dimensions[0] : H
    guard layer.cell != .lstm || rows == H.multipliedReportingOverflow(by: 4).partialValue else {
      throw file.error(
        "\(Self.place), weight", expected: "4 rows for each of \(H) columns",
        found: "shape \(state.shape)")
    }
    let ofInput = try layer.input.map { try linear($0, rows: rows, columns: D) }
    let ofState = try layer.state.map { try linear($0, rows: rows, columns: H) }
    let biases = (ofInput + ofState).compactMap(\.bias)
    guard biases.isEmpty || biases.count == 2 * ofInput.count else {
      throw file.error(
        Self.place, expected: "linear layers with biases, or without", found: "both",
        fix: Torch7Graph.fix)
    }
    let index = architecture.layers.count
    func set(_ parameter: LayerParameter, _ parts: [Tensor]) throws {
      guard let tensor = Self.gates(layer.cell, parts) else {
        throw file.error(
          Self.place, expected: "numbers of one type in a layer",
          found: UnrollInterchange.list(parts.map(\.dtype.rawValue)))
      }
      parameters[.layer(index, parameter)] = tensor
    }
    try set(.weightIH, ofInput.map(\.weight))
    try set(.weightHH, ofState.map(\.weight))
    if !biases.isEmpty {
      try set(.biasIH, ofInput.compactMap(\.bias))
      try set(.biasHH, ofState.compactMap(\.bias))
    }
    var description = LayerArchitecture(
      cell: layer.cell, inputSize: D, hiddenSize: H, bias: biases.isEmpty ? .none : .double)
    if layer.cell == .gru { description.reset = .before }
    architecture.layers.append(description)
  }

  /// Returns the gate blocks in the order of a checkpoint; `nil` if their types or shapes differ.
  private static func gates(_ cell: Cell, _ parts: [Tensor]) -> Tensor? {
    guard Set(parts.map(\.shape)).count == 1 else { return nil }
    return switch cell {
    case .lstm: parts[0].gates(from: .torch7)
    case .gru: Tensor(stacking: parts)?.negatingBlock(1, of: 3)
    default: parts[0]
    }
  }
}
