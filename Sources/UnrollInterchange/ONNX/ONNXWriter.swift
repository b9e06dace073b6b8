// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Writes a recurrent language model as an ONNX graph.

import UnrollFormat
import UnrollSerialization
import UnrollTensors

/// The message of a model; field numbers are those of `onnx/onnx.proto`.
struct ONNXWriter {
  /// The bytes of the file, in order.
  let parts: [ByteStorage]

  /// The operator set version; ONNX 1.12 and later support it.
  static let operatorSet = 17
  static let intermediateRepresentation = 8
  /// The maximum size of a Protocol Buffers message.
  private static let largestFile = 1 << 31 - 1

  /// Builds the message of a checkpoint.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - fusion: The interface of a language model of sherpa-onnx; `nil` for the graph of all states.
  /// - Throws: `InterchangeError` for variants and types that ONNX's operations do not support, and
  ///   for models beyond 2 GB.
  init(_ checkpoint: Checkpoint, fusion: FusionInterface? = nil) throws {
    func refuse(_ place: String, _ expected: String, _ found: String, _ fix: String) -> Error {
      InterchangeError(
        file: "the checkpoint", place: place, expected: expected, found: found, fix: fix)
    }
    let (architecture, parameters) = (checkpoint.architecture, checkpoint.parameters)
    let types = Set(parameters.paths.compactMap { parameters[$0]?.dtype })
    guard let dtype = types.first, types.count == 1, dtype != .bfloat16,
      let type = ONNXTensor.types.first(where: { $0.dtype == dtype })?.number
    else {
      throw refuse(
        "/model", "all weights f32, or all f16 or f64",
        list(types.map(\.rawValue).sorted()),
        "the recurrent operations of ONNX have one type, and no bf16: give --dtype f32")
    }
    for (index, layer) in architecture.layers.enumerated() {
      let found: String? =
        layer.projectionSize != nil
        ? "a projection" : layer.forgetBias != 0 ? "a forget bias of \(layer.forgetBias)" : nil
      guard let found else { continue }
      throw refuse(
        ParameterPath.layerGroup(index), "an LSTM, GRU or RNN as ONNX has it", found,
        "keep the checkpoint, or export to another format")
    }
    guard !architecture.hasOutputProjection else {
      throw refuse(
        "/model/output", "one linear output", "a projection before it", "keep the checkpoint")
    }
    let metadata = StateMetadata(besideConfigurationOf: checkpoint).json
    parts = try Self.model(architecture, parameters, type, metadata: metadata, fusion)
    let size = parts.reduce(0) { $0 + $1.count }
    guard size <= Self.largestFile else {
      throw refuse(
        "/model", "at most the 2 GB of a message of Protocol Buffers", "\(size) bytes",
        "give --dtype f16, or export to safetensors")
    }
  }

  /// Writes the message.
  ///
  /// - Throws: `FileError` if the file cannot be written.
  func write(to path: String, progress: (Int) -> Void) throws {
    var file = try SequentialFile(emptying: path)
    for part in parts {
      try part.withUnsafeBytes { bytes in
        for start in stride(from: 0, to: bytes.count, by: 16 << 20) {
          let block = bytes[start..<min(start + 16 << 20, bytes.count)]
          try file.write(UnsafeRawBufferPointer(rebasing: block))
          progress(block.count)
        }
      }
    }
    try file.close()
  }

  private static func model(
    _ architecture: Architecture, _ parameters: ParameterTree<Tensor>, _ type: Int,
    metadata: String, _ fusion: FusionInterface?
  ) throws -> [ByteStorage] {
    let initializers =
      try initializers(architecture, parameters)
      + constants(of: architecture, parameters, isWhole: fusion == nil)
      + (fusion == nil ? [] : FusionInterface.constants)
    var model = WireWriter()
    model.add(1, intermediateRepresentation)
    model.add(2, "unroll")
    model.add(3, UnrollVersion.number)
    model.add(7) { graph in
      for node in fusion?.nodes(of: architecture) ?? nodes(of: architecture) {
        graph.add(1, node.write)
      }
      graph.add(2, "language_model")
      for initializer in initializers {
        graph.add(5) { tensor in
          for size in initializer.dimensions { tensor.add(1, size) }
          tensor.add(2, initializer.isShape ? 7 : type)
          tensor.add(8, initializer.name)
          tensor.add(9, initializer.storages)
        }
      }
      if let fusion {
        fusion.addValues(of: architecture, type, to: &graph)
      } else {
        addValues(of: architecture, type, to: &graph)
      }
    }
    model.add(8) { $0.add(2, operatorSet) }
    let layers = architecture.layers.map { ONNXLayerMetadata($0).text }.joined(separator: ",")
    let texts = [(StateMetadata.key, metadata), (ONNXLayerMetadata.key, layers)]
    for (key, text) in (fusion?.metadata(of: architecture) ?? []) + texts {
      model.add(14) {
        $0.add(1, key)
        $0.add(2, text)
      }
    }
    return model.finished
  }

  /// Adds the inputs and results: tokens, log-probabilities, and the states of each layer.
  private static func addValues(
    of architecture: Architecture, _ type: Int, to graph: inout WireWriter
  ) {
    let states = states(of: architecture)
    graph.add(11) { value("tokens", 7, ["time", "batch"], &$0) }
    for (name, size) in states { graph.add(11) { value(name, type, [1, "batch", size], &$0) } }
    let V = architecture.vocabularySize
    graph.add(12) { value("log_probabilities", type, ["time", "batch", V], &$0) }
    for (name, size) in states {
      graph.add(12) { value("\(name)_after", type, [1, "batch", size], &$0) }
    }
  }

  /// Returns the names and widths of the state inputs.
  private static func states(of architecture: Architecture) -> [(name: String, size: Int)] {
    architecture.layers.enumerated().flatMap { index, layer in
      [("h\(index)", layer.hiddenSize)]
        + (layer.cell == .lstm ? [("c\(index)", layer.hiddenSize)] : [])
    }
  }

  // MARK: - Operations

  private static func nodes(of architecture: Architecture) -> [Node] {
    let (layers, top) = layers(of: architecture)
    return layers + [
      // A two-dimensional matrix product uses the weight unchanged, shared with the embedding if tied.
      Node("Reshape", [top, "rows"], ["states"]), output(of: architecture, states: "states"),
      Node("LogSoftmax", ["logits"], ["row_log_probabilities"], [("axis", .int(-1))]),
      Node("Shape", ["tokens"], ["tokens_shape"]),
      Node("Concat", ["tokens_shape", "vocabulary_size"], ["shape"], [("axis", .int(0))]),
      Node("Reshape", ["row_log_probabilities", "shape"], ["log_probabilities"]),
    ]
  }

  /// Returns the operations from ids to the hidden states of the last layer.
  ///
  /// - Parameters:
  ///   - architecture: The model's.
  ///   - prefix: Precedes the names of the states before and after each layer: `h0`, `c0`, `h0_after`, `c0_after`, `h1` ...
  /// - Returns: The operations, which read `tokens` `[time, batch]`, and the name of their result `[time, batch, H]`.
  static func layers(
    of architecture: Architecture, prefix: String = ""
  ) -> (nodes: [Node], top: String) {
    var nodes: [Node] = []
    switch architecture.input {
    case .embedding: nodes.append(Node("Gather", ["encoder.weight", "tokens"], ["input"]))
    case .oneHot:
      nodes.append(
        Node("OneHot", ["tokens", "vocabulary_size", "off_on"], ["input"], [("axis", .int(-1))]))
    }
    var below = "input"
    for (index, layer) in architecture.layers.enumerated() {
      let name = "layers.\(index)"
      let states = (layer.cell == .lstm ? ["h", "c"] : ["h"]).map { "\(prefix)\($0)\(index)" }
      let hasBias = layer.bias != .none
      nodes.append(
        Node(
          layer.cell.rawValue.uppercased(),
          [below, "\(name).W", "\(name).R", hasBias ? "\(name).B" : "", ""] + states,
          ["\(name).Y"] + states.map { "\($0)_after" },
          attributes(of: layer)))
      // Y is [time, 1, batch, H].
      nodes.append(Node("Squeeze", ["\(name).Y", "directions"], [name]))
      below = name
    }
    return (nodes, below)
  }

  /// Returns the product of states `[rows, H]` with the output weight, and the bias: `logits` `[rows, V]`.
  static func output(of architecture: Architecture, states: String) -> Node {
    Node(
      "Gemm",
      [states, architecture.isTied ? "encoder.weight" : "decoder.weight"]
        + (architecture.hasOutputBias ? ["decoder.bias"] : []), ["logits"], [("transB", .int(1))])
  }

  private static func attributes(of layer: LayerArchitecture) -> [(String, Node.Value)] {
    var attributes: [(String, Node.Value)] = [("hidden_size", .int(layer.hiddenSize))]
    var names: [String] =
      switch layer.cell {
      case .lstm: ["Sigmoid", "Tanh", "Tanh"]
      case .gru: ["Sigmoid", "Tanh"]
      default: [layer.activation == .relu ? "Relu" : "Tanh"]
      }
    if layer.cell != .rnn, case .hardSigmoid(let alpha, let beta) = layer.gateActivation {
      names[0] = "HardSigmoid"
      attributes.append(("activation_alpha", .floats([Float(alpha)])))
      attributes.append(("activation_beta", .floats([Float(beta)])))
    }
    attributes.append(("activations", .texts(names)))
    if layer.cell == .gru {
      attributes.append(("linear_before_reset", .int(layer.reset == .after ? 1 : 0)))
    }
    return attributes
  }

  // MARK: - Constants

  private static func initializers(
    _ architecture: Architecture, _ parameters: ParameterTree<Tensor>
  ) throws -> [Initializer] {
    func tensor(_ path: ParameterPath) throws -> Tensor {
      guard let tensor = parameters[path] else {
        throw InterchangeError(
          file: "the checkpoint", place: path.description, expected: "a parameter", found: "none",
          fix: "`unroll validate` shows what is wrong with it")
      }
      return tensor
    }
    var list: [Initializer] = []
    func add(_ name: String, _ path: ParameterPath) throws {
      let tensor = try tensor(path)
      list.append(
        Initializer(name: name, dimensions: tensor.shape.dimensions, storages: [tensor.storage]))
    }
    if architecture.input == .embedding { try add("encoder.weight", .embeddingWeight) }
    for (index, layer) in architecture.layers.enumerated() {
      list += try layerInitializers(layer, index) { try tensor(.layer(index, $0)) }
    }
    if !architecture.isTied { try add("decoder.weight", .outputWeight) }
    if architecture.hasOutputBias { try add("decoder.bias", .outputBias) }
    return list
  }

  /// Returns the sizes of axes, those of the log-probabilities of all steps among them if `isWhole`, and the values of
  /// one-hot vectors.
  private static func constants(
    of architecture: Architecture, _ parameters: ParameterTree<Tensor>, isWhole: Bool
  ) -> [Initializer] {
    let isOneHot = architecture.input == .oneHot
    var list = [Initializer("directions", sizes: [1])]
    if isWhole { list.append(Initializer("rows", sizes: [-1, architecture.outputInputSize])) }
    if isWhole || isOneHot {
      list.append(Initializer("vocabulary_size", sizes: [architecture.vocabularySize]))
    }
    guard isOneHot, let one = parameters[.layer(0, .weightIH)]?.dtype else { return list }
    return list + [Initializer(name: "off_on", dimensions: [2], storages: [.owned(offAndOn(one))])]
  }

  /// Returns 0 and 1 in a type.
  private static func offAndOn(_ dtype: DType) -> [UInt8] {
    switch dtype {
    case .float16: [0, 0, 0x00, 0x3C]
    case .float64: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F]
    default: [0, 0, 0, 0, 0, 0, 0x80, 0x3F]
    }
  }

  /// Returns `W` `[1, G*H, D]`, `R` `[1, G*H, H]` and `B` `[1, 2*G*H]` in ONNX's order of blocks.
  private static func layerInitializers(
    _ layer: LayerArchitecture, _ index: Int, _ tensor: (LayerParameter) throws -> Tensor
  ) throws -> [Initializer] {
    let order = GateOrder.onnx(layer.cell)?.blocksOfCheckpoint ?? [0]
    func blocks(_ parameter: LayerParameter) throws -> [ByteStorage] {
      let storage = try tensor(parameter).storage
      let size = storage.count / order.count
      return order.map { storage[$0 * size..<($0 + 1) * size] }
    }
    let (rows, H) = (layer.cell.gateCount * layer.hiddenSize, layer.hiddenSize)
    var list = [
      Initializer(
        name: "layers.\(index).W", dimensions: [1, rows, layer.inputSize],
        storages: try blocks(.weightIH)),
      Initializer(
        name: "layers.\(index).R", dimensions: [1, rows, H], storages: try blocks(.weightHH)),
    ]
    guard layer.bias != .none else { return list }
    let biases: [ByteStorage]
    if layer.bias == .single {
      let bias = try tensor(.bias)
      biases = try blocks(.bias) + [.owned([UInt8](repeating: 0, count: bias.storage.count))]
    } else {
      biases = try blocks(.biasIH) + blocks(.biasHH)
    }
    list.append(
      Initializer(name: "layers.\(index).B", dimensions: [1, 2 * rows], storages: biases))
    return list
  }
}
