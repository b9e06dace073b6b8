// The computation of TensorFlow 1's cells, found in the graph by following their kernels.

import UnrollFormat
import UnrollTensors

/// The properties of a cell that its variables do not show, as the graph has them.
struct CellGraph {
  /// The constants that are added to the forget gate.
  private(set) var forgetBiases: Set<Double> = []
  /// The operations that make the candidate, such as `Tanh`.
  private(set) var activations: Set<String> = []
  /// Operations that no cell here has, with their meaning.
  private(set) var obstacles: Set<String> = []
  /// `true` if the graph uses the kernel in a form that is known.
  var isFound: Bool { !activations.isEmpty || !forgetBiases.isEmpty }

  private let graph: OperationGraph

  /// Follows the kernels of a cell through a graph.
  init(_ cell: CellVariables, in graph: OperationGraph) {
    self.graph = graph
    switch cell.kind.cell {
    case .lstm:
      readGates(sums(of: cell.names[.kernel]))
      readFused(cell.names[.kernel])
      if let projection = cell.names[.projection],
        !users(of: products(with: projection), among: Self.clips).isEmpty
      {
        obstacles.insert("a clipped projection (proj_clip)")
      }
    case .gru: readActivation(sums(of: cell.names[.candidateKernel]))
    default: readActivation(sums(of: cell.names[.kernel]))
    }
  }

  /// Operations that look at a value for gradients, and compute nothing of the model.
  private static let ofGradients: Set = [
    "Shape", "ShapeN", "Size", "Rank", "ZerosLike", "StackPush", "StackPushV2",
  ]

  /// Returns the operations of the model that use a result, and the positions among their inputs.
  private func users(of result: String) -> [(node: OperationGraph.Node, input: Int)] {
    graph.usesOfValue(result).map { (graph.nodes[$0.node], $0.input) }.filter {
      !Self.ofGradients.contains($0.node.operation) && !$0.node.operation.hasSuffix("Grad")
    }
  }

  /// Returns the names of operations of some kinds that use one of some results.
  private func users(of results: Set<String>, among operations: Set<String>) -> Set<String> {
    Set(
      results.flatMap { result in
        users(of: result).map(\.node).filter { operations.contains($0.operation) }.map(\.name)
      })
  }

  private static let additions: Set = ["Add", "AddV2", "BiasAdd"]
  private static let clips: Set = ["Minimum", "Maximum", "ClipByValue"]

  /// Returns the sums of products with a kernel and a bias.
  private func sums(of kernel: String?) -> Set<String> {
    kernel.map { users(of: products(with: $0), among: Self.additions) } ?? []
  }

  /// Returns the products with a matrix.
  private func products(with matrix: String) -> Set<String> {
    Set(
      users(of: matrix).compactMap { node, input in
        let isProduct = node.operation == "MatMul" && input == 1
        return isProduct && node.flag("transpose_b") != true ? node.name : nil
      })
  }

  private mutating func readActivation(_ sums: Set<String>) {
    for sum in sums { activations.formUnion(users(of: sum).map(\.node.operation)) }
  }

  /// Reads the gates of an LSTM: i, j, f, o are the results of a `Split`.
  private mutating func readGates(_ sums: Set<String>) {
    let splits = users(of: sums, among: ["Split"])
    for split in splits {
      activations.formUnion(users(of: split + ":1").map(\.node.operation))
      noteOthers(of: split)
      noteOthers(of: split + ":3")
      for (node, input) in users(of: split + ":2") { readForgetGate(node, input) }
    }
    // c' = f c + i j, h' = o tanh(c').
    let candidates = users(of: Set(splits.map { $0 + ":1" }), among: ["Tanh"])
    let products = users(of: candidates, among: ["Mul"])
    let states = users(of: products, among: ["Add", "AddV2"])
    if !users(of: states, among: Self.clips).isEmpty {
      obstacles.insert("a clipped cell state (cell_clip)")
    }
    let gates = users(of: Set(splits.map { $0 + ":3" }), among: ["Sigmoid"])
    let outputs = users(of: gates, among: ["Mul"])
    if !users(of: outputs, among: ["Add", "AddV2"]).isEmpty {
      obstacles.insert("an addition to its output (a residual connection)")
    }
  }

  private mutating func readForgetGate(_ node: OperationGraph.Node, _ input: Int) {
    switch node.operation {
    case "Sigmoid": forgetBiases.insert(0)
    case "Add", "AddV2":
      let other = node.inputs.indices.first { $0 != input }.map { node.inputs[$0] }
      guard let number = other.flatMap(graph.number) else {
        obstacles.insert("something that is no constant added to the forget gate")
        return
      }
      forgetBiases.insert(number)
      noteOthers(of: node.name)
    default: obstacles.insert("\(node.operation) of the forget gate")
    }
  }

  /// Notes functions of a gate other than the logistic one.
  private mutating func noteOthers(of gate: String) {
    for (node, _) in users(of: gate) where node.operation != "Sigmoid" {
      obstacles.insert("\(node.operation) of a gate")
    }
  }

  /// Reads cells that are one operation.
  private mutating func readFused(_ kernel: String?) {
    guard let kernel else { return }
    for (node, _) in users(of: kernel)
    where ["LSTMBlockCell", "BlockLSTM"].contains(node.operation) {
      forgetBiases.insert(Double(node.float("forget_bias") ?? 1))
      activations.insert("Tanh")
      if node.flag("use_peephole") == true { obstacles.insert("peepholes") }
      if node.float("cell_clip") ?? 3 > 0 { obstacles.insert("a clipped cell state (cell_clip)") }
    }
  }
}
