// Builds the objects of a TensorFlow 2 checkpoint: a model of Keras and its optimizer.

import UnrollFormat
import UnrollSerialization
import UnrollTensors

/// The `TrackableObjectGraph` of a checkpoint that is written
/// (`tensorflow/core/protobuf/trackable_object_graph.proto`).
struct ObjectGraphWriter {
  /// An object, such as a layer or a variable.
  private struct Node {
    var children: [(name: String, node: Int)] = []
    /// The name that a program would give the variable, and that of its tensor.
    var variable: (fullName: String, key: String)?
  }

  private var nodes: [Node] = []
  /// The tensors of variables, by their names in the checkpoint.
  private(set) var tensors: [(key: String, tensor: Tensor)] = []

  /// Adds an object with its attributes, and returns its number.
  mutating func object(_ children: [(String, Int)]) -> Int {
    nodes.append(Node(children: children))
    return nodes.count - 1
  }

  /// Adds a list, whose attributes are numbers.
  mutating func list(_ items: [Int]) -> Int {
    object(items.enumerated().map { ("\($0)", $1) })
  }

  /// Adds a variable.
  ///
  /// - Parameters:
  ///   - path: The attributes that lead to it, for the name of its tensor.
  ///   - fullName: The name that a program would give it.
  ///   - tensor: Its value.
  /// - Returns: Its number.
  mutating func variable(_ path: String, _ fullName: String, _ tensor: Tensor) -> Int {
    let key = path + TrackableGraph.suffix
    nodes.append(Node(variable: (fullName, key)))
    tensors.append((key, tensor))
    return nodes.count - 1
  }

  /// Gives an object further attributes.
  mutating func add(_ children: [(String, Int)], to node: Int) {
    nodes[node].children += children.map { (name: $0.0, node: $0.1) }
  }

  /// The message.
  var bytes: [UInt8] {
    var graph = WireWriter()
    for node in nodes {
      graph.add(1) { message in
        for child in node.children {
          message.add(1) { reference in
            reference.add(1, child.node)
            reference.add(2, child.name)
          }
        }
        if let variable = node.variable {
          message.add(2) { attribute in
            attribute.add(1, "VARIABLE_VALUE")
            attribute.add(2, variable.fullName)
            attribute.add(3, variable.key)
          }
        }
        // It has values, or leads to some.
        message.add(5) { $0.add(1, 1) }
      }
    }
    return graph.bytes
  }
}

extension ObjectGraphWriter {
  /// Creates the objects of a model.
  ///
  /// A program restores it as `tf.train.Checkpoint(model)` or as `tf.train.Checkpoint(model=model)`, with
  /// `optimizer=` if it likes; the layers have the attributes of Keras 3 and those of Keras 2, the optimizer has those of
  /// Keras 3.
  ///
  /// - Parameter model: The model, in variants of Keras.
  init(_ model: Checkpoint) {
    let root = object([])
    let layers = zip(KerasWriter.layers(of: model), model.architecture.kerasLayers).enumerated().map
    {
      number, pair in layer(pair.0, pair.1, "layer_with_weights-\(number)", of: model)
    }
    let input = object([])
    // After the reversed embedding comes a layer for the softmax.
    let softmax = model.architecture.isReversible ? [object([])] : []
    let operations = list([input] + layers.map(\.node) + softmax)
    var attributes = [
      ("_functional", object([("_operations", operations)])), ("_operations", operations),
    ]
    for (number, layer) in layers.enumerated() {
      attributes += [("layer_with_weights-\(number)", layer.node), ("layer-\(number)", layer.node)]
    }
    if let optimizer = model.optimizer {
      let variables = layers.flatMap(\.variables)
      attributes.append(("optimizer", self.optimizer(optimizer, of: model.architecture, variables)))
    }
    let counter = Tensor(scalar: Int64(1), .int64).map {
      variable("save_counter", "save_counter", $0)
    }
    add(
      attributes + [("root", root), ("model", object(attributes))]
        + (counter.map { [("save_counter", $0)] } ?? []), to: root)
  }

  /// Adds a layer with its variables.
  private mutating func layer(
    _ layer: KerasWriter.Layer, _ forms: [KerasVariableForm], _ path: String, of model: Checkpoint
  ) -> (node: Int, variables: [Int]) {
    let isRecurrent = layer.group.hasSuffix("/cell/vars")
    let owner = isRecurrent ? "\(path)/cell" : path
    let scope = isRecurrent ? "\(layer.name)/\(layer.name)_cell" : layer.name
    // The attribute of Keras 2, and that of Keras 3 if it is another.
    let names: [[String]] =
      isRecurrent
      ? [["kernel"], ["recurrent_kernel"], ["bias"]]
      : layer.className == "Dense"
        ? [["kernel", "_kernel"], ["bias"]] : [["embeddings", "_embeddings"]]
    var attributes: [(String, Int)] = []
    for (names, form) in zip(names, forms) {
      guard let name = names.first, let tensor = form.variable(of: model.parameters) else {
        continue
      }
      let node = variable("\(owner)/\(name)", "\(scope)/\(name)", tensor)
      attributes += names.map { ($0, node) }
    }
    var variables: [Int] = []
    for (_, node) in attributes where !variables.contains(node) { variables.append(node) }
    let node = object(attributes)
    return (isRecurrent ? object([("cell", node)]) : node, variables)
  }

  /// Adds an optimizer with its counters, and with its slots if there are any.
  private mutating func optimizer(
    _ state: OptimizerState, of architecture: Architecture, _ variables: [Int]
  ) -> Int {
    let name = state.kind.rawValue
    var list: [Int] = []
    var bySlot: [OptimizerSlot: [Int]] = [:]
    for (slot, tensor) in KerasOptimizer.variables(state, of: architecture) {
      let number = list.count
      let label = slot?.rawValue ?? (number == 0 ? "iteration" : "learning_rate")
      let node = variable("optimizer/_variables/\(number)", "\(name)/\(label)", tensor)
      list.append(node)
      if let slot { bySlot[slot, default: []].append(node) }
    }
    var attributes = [
      ("_variables", self.list(list)), ("_trainable_variables", self.list(variables)),
    ]
    attributes += zip(["_iterations", "_learning_rate"], list).map { ($0, $1) }
    for (slot, nodes) in bySlot.sorted(by: { $0.key < $1.key }) {
      attributes.append((KerasOptimizer.attribute(of: slot, state.kind), self.list(nodes)))
    }
    return object(attributes)
  }
}
