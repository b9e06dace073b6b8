// swift-format-ignore-file: AlwaysUseLowerCamelCase
// An LSTM, GRU or RNN of ONNX: its attributes, and its weights in the gate order of a checkpoint.

import UnrollFormat
import UnrollTensors

/// A recurrent node.
struct ONNXLayer {
  let architecture: LayerArchitecture
  /// The node in messages.
  let place: String
  private let weightIH: ONNXTensor
  private let weightHH: ONNXTensor
  private let bias: ONNXTensor?

  /// Reads a node.
  ///
  /// - Parameters:
  ///   - node: The node.
  ///   - graph: The graph with its constants.
  ///   - kept: The properties of the original layer, if the file has them.
  /// - Throws: `InterchangeError` naming an unsupported feature.
  init(_ node: ONNXNode, in graph: ONNXGraph, kept: ONNXLayerMetadata?) throws {
    place = node.place
    let model = graph.model
    func refuse(_ expected: String, _ found: String) -> InterchangeError {
      model.error(
        node.place, expected: expected, found: found,
        fix: "a layer with this cannot be converted")
    }
    if let name = node.attributes.keys.sorted().first(where: { !Self.attributes.contains($0) }) {
      throw refuse("the attributes of ONNX's \(node.operation)", "the attribute \(name)")
    }
    guard node.attributes["layout"]?.int ?? 0 == 0 else {
      throw refuse("time before batch", "layout 1")
    }
    let direction = node.attributes["direction"]?.text ?? "forward"
    guard direction == "forward" else { throw refuse("a layer of direction forward", direction) }
    guard node.attributes["clip"] == nil else { throw refuse("no clipping", "the attribute clip") }
    guard node.attributes["input_forget"]?.int ?? 0 == 0 else {
      throw refuse("separate gates", "input_forget 1")
    }
    guard node.input(4) == nil else { throw refuse("whole sequences", "the input sequence_lens") }
    guard node.input(7) == nil else { throw refuse("no peepholes", "the input P") }
    for (index, state) in [(5, "initial_h"), (6, "initial_c")] {
      guard let name = node.input(index) else { continue }
      guard try Self.isFedOrZero(name, in: graph) else {
        throw refuse("a state of zeros, or one that is fed in", "another \(state)")
      }
    }
    guard let W = node.input(1).flatMap({ graph.constant($0) })?.tensor,
      let R = node.input(2).flatMap({ graph.constant($0) })?.tensor
    else {
      throw model.error(
        node.place, expected: "constant weights", found: "weights that are computed",
        fix: "export the model with its weights as initializers of the graph, not as its inputs")
    }
    let B = node.input(3).flatMap { graph.constant($0) }?.tensor
    if node.input(3) != nil && B == nil {
      throw model.error(
        node.place, expected: "a constant bias", found: "one that is computed",
        fix: "export the model with its weights as initializers of the graph, not as its inputs")
    }
    (weightIH, weightHH, self.bias) = (W, R, B)
    let cell: Cell =
      switch node.operation {
      case "LSTM": .lstm
      case "GRU": .gru
      default: .rnn
      }
    let G = cell.gateCount
    let sizes = W.dimensions
    guard sizes.count == 3, sizes[0] == 1, sizes[1] > 0, sizes[1] % G == 0,
      sizes.allSatisfy({ (1...Int(Int32.max)).contains($0) })
    else {
      throw model.error(
        W.name, expected: "weights [1, \(G)*H, D]", found: "dimensions \(sizes)",
        fix: "export the model again")
    }
    // ONNX Runtime takes the size from the attribute alone.
    let H = sizes[1] / G
    guard let stated = node.attributes["hidden_size"]?.int, stated == H else {
      throw model.error(
        node.place, expected: "the attribute hidden_size \(H), as the weights \(W.name) have it",
        found: node.attributes["hidden_size"]?.int.map(String.init) ?? "none",
        fix: "export the model again, with this attribute")
    }
    var layer = LayerArchitecture(
      cell: cell, inputSize: sizes[2], hiddenSize: H,
      bias: B == nil ? .none : kept?.bias == .single ? .single : .double)
    if let found = try Self.setActivations(of: &layer, node) {
      throw refuse("the activations of \(node.operation), or hard sigmoids of gates", found)
    }
    if let gates = kept?.gates, layer.gateActivation != .sigmoid { layer.gateActivation = gates }
    if cell == .gru, node.attributes["linear_before_reset"]?.int ?? 0 == 0 { layer.reset = .before }
    architecture = layer
  }

  private static let attributes: Set = [
    "activation_alpha", "activation_beta", "activations", "clip", "direction", "hidden_size",
    "input_forget", "layout", "linear_before_reset",
  ]

  /// Sets the activations of a node.
  ///
  /// - Returns: The unsupported activations.
  private static func setActivations(
    of layer: inout LayerArchitecture, _ node: ONNXNode
  ) throws -> String? {
    let usual = [
      Cell.lstm: ["sigmoid", "tanh", "tanh"], .gru: ["sigmoid", "tanh"], .rnn: ["tanh"],
    ]
    let given = node.attributes["activations"]?.texts ?? []
    var names = given.isEmpty ? usual[layer.cell] ?? [] : given.map { $0.lowercased() }
    let found = list(given)
    if layer.cell == .rnn {
      // ONNX Runtime reads the names of an RNN as they are written, and the others in any case.
      names = given.isEmpty ? ["Tanh"] : given
      guard names.count == 1,
        let activation = ["Tanh": Activation.tanh, "Relu": .relu][names[0]]
      else { return found }
      layer.activation = activation
      return nil
    }
    if names[0] == "hardsigmoid" {
      let alpha = node.attributes["activation_alpha"]?.floats.first ?? 0.2
      let beta = node.attributes["activation_beta"]?.floats.first ?? 0.5
      // 0.2 rather than 0.20000000298: the shortest decimal that rounds to this f32.
      layer.gateActivation = .hardSigmoid(
        alpha: Double("\(alpha)") ?? 0.2, beta: Double("\(beta)") ?? 0.5)
      names[0] = "sigmoid"
    }
    return names == usual[layer.cell] ? nil : found
  }

  /// Operations that reshape a state, or take a part of it.
  private static let shaping: Set = [
    "Identity", "Slice", "Squeeze", "Unsqueeze", "Reshape", "Transpose", "Cast", "Expand", "Split",
    "Concat",
  ]

  /// Returns `true` if a state is an input or zeros, reshaped or not.
  private static func isFedOrZero(_ name: String, in graph: ONNXGraph) throws -> Bool {
    var rest = [name]
    var seen: Set<String> = []
    while let name = rest.popLast() {
      guard seen.insert(name).inserted else { continue }
      if let (tensor, _) = graph.constant(name) {
        guard try isZero(tensor, graph.model) else { return false }
        continue
      }
      guard let (node, _) = graph.producer(of: name) else {
        guard graph.model.inputs.contains(name) else { return false }
        continue
      }
      if node.operation == "ConstantOfShape" {
        guard try node.attributes["value"]?.tensor.map({ try isZero($0, graph.model) }) ?? true
        else {
          return false
        }
        continue
      }
      guard shaping.contains(node.operation), graph.change(by: node) == nil else { return false }
      rest += node.operation == "Concat" ? node.inputs : Array(node.inputs.prefix(1))
    }
    return true
  }

  private static func isZero(_ constant: ONNXTensor, _ model: ONNXModel) throws -> Bool {
    var weights = ONNXWeights(model)
    guard constant.dimensions.allSatisfy({ $0 >= 0 }) else { return false }
    // By value: -0 is a zero, too.
    return try weights.tensor(constant, shape: constant.dimensions).doubles.allSatisfy { $0 == 0 }
  }

  /// Returns the parameters by name.
  ///
  /// - Throws: `InterchangeError` for constants of unsupported types or shapes.
  func parameters(_ weights: inout ONNXWeights) throws -> [(LayerParameter, Tensor)] {
    let (G, H) = (architecture.cell.gateCount, architecture.hiddenSize)
    let blocks = GateOrder.onnx(architecture.cell)?.blocks ?? [0]
    var parameters: [(LayerParameter, Tensor)] = [
      (
        .weightIH,
        try weights.blocks(of: weightIH, shape: [1, G * H, architecture.inputSize], blocks, of: G)
      ),
      (.weightHH, try weights.blocks(of: weightHH, shape: [1, G * H, H], blocks, of: G)),
    ]
    guard let bias else { return parameters }
    let shape = [1, 2 * G * H]
    let ih = try weights.blocks(of: bias, shape: shape, blocks, of: 2 * G)
    if architecture.bias == .single {
      parameters.append((.bias, ih))
    } else {
      parameters.append((.biasIH, ih))
      parameters.append(
        (.biasHH, try weights.blocks(of: bias, shape: shape, blocks.map { $0 + G }, of: 2 * G)))
    }
    return parameters
  }
}
