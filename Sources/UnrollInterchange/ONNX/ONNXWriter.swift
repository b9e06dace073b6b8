// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Writes a recurrent language model as an ONNX graph.

import UnrollFormat
import UnrollTensors

/// The message of a model; field numbers are those of `onnx/onnx.proto`.
struct ONNXWriter {
  /// The bytes of the file, in order.
  let parts: [ByteStorage]

  /// The operator set version; ONNX 1.12 and later support it.
  private static let operatorSet = 17
  private static let intermediateRepresentation = 8
  /// The maximum size of a Protocol Buffers message.
  private static let largestFile = 1 << 31 - 1

  /// Builds the message of a checkpoint.
  ///
  /// - Throws: `InterchangeError` for variants and types that ONNX's operations do not support, and
  ///   for models beyond 2 GB.
  init(_ checkpoint: Checkpoint) throws {
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
    parts = try Self.model(architecture, parameters, type, metadata: metadata)
    let size = parts.reduce(0) { $0 + $1.count }
    guard size <= Self.largestFile else {
      throw refuse(
        "/model", "at most the 2 GB of a message of Protocol Buffers", "\(size) bytes",
        "give --dtype f16, or export to safetensors")
    }
  }

  private static func model(
    _ architecture: Architecture, _ parameters: ParameterTree<Tensor>, _ type: Int, metadata: String
  ) throws -> [ByteStorage] {
    let initializers = try initializers(architecture, parameters)
    var model = WireWriter()
    model.add(1, intermediateRepresentation)
    model.add(2, "unroll")
    model.add(3, UnrollVersion.number)
    model.add(7) { graph in
      for node in nodes(of: architecture) { graph.add(1, node.write) }
      graph.add(2, "language_model")
      for initializer in initializers {
        graph.add(5) { tensor in
          for size in initializer.dimensions { tensor.add(1, size) }
          tensor.add(2, initializer.isShape ? 7 : type)
          tensor.add(8, initializer.name)
          tensor.add(9, initializer.storages)
        }
      }
      let states = states(of: architecture)
      graph.add(11) { value("tokens", 7, ["time", "batch"], &$0) }
      for (name, size) in states { graph.add(11) { value(name, type, [1, "batch", size], &$0) } }
      let V = architecture.vocabularySize
      graph.add(12) { value("log_probabilities", type, ["time", "batch", V], &$0) }
      for (name, size) in states {
        graph.add(12) { value("\(name)_after", type, [1, "batch", size], &$0) }
      }
    }
    model.add(8) { $0.add(2, operatorSet) }
    let layers = architecture.layers.map { ONNXLayerMetadata($0).text }.joined(separator: ",")
    for (key, text) in [(StateMetadata.key, metadata), (ONNXLayerMetadata.key, layers)] {
      model.add(14) {
        $0.add(1, key)
        $0.add(2, text)
      }
    }
    return model.finished
  }

  /// Returns the names and widths of the state inputs.
  private static func states(of architecture: Architecture) -> [(name: String, size: Int)] {
    architecture.layers.enumerated().flatMap { index, layer in
      [("h\(index)", layer.hiddenSize)]
        + (layer.cell == .lstm ? [("c\(index)", layer.hiddenSize)] : [])
    }
  }

  /// Adds a value's name, type and sizes; a size may be symbolic.
  private static func value(
    _ name: String, _ type: Int, _ sizes: [any Sendable], _ message: inout WireWriter
  ) {
    message.add(1, name)
    message.add(2) {
      $0.add(1) { tensor in
        tensor.add(1, type)
        tensor.add(2) { shape in
          for size in sizes {
            shape.add(1) { dimension in
              if let number = size as? Int { dimension.add(1, number) }
              if let name = size as? String { dimension.add(2, name) }
            }
          }
        }
      }
    }
  }

  // MARK: - Operations

  private struct Node {
    enum Value {
      case int(Int)
      case text(String)
      case floats([Float])
      case texts([String])
    }

    let operation: String
    let inputs: [String]
    let outputs: [String]
    var attributes: [(name: String, value: Value)] = []

    func write(_ message: inout WireWriter) {
      for input in inputs { message.add(1, input) }
      for output in outputs { message.add(2, output) }
      message.add(3, outputs.first ?? operation)
      message.add(4, operation)
      for (name, value) in attributes {
        message.add(5) { attribute in
          attribute.add(1, name)
          // The last field is the `AttributeType`.
          switch value {
          case .int(let number):
            attribute.add(3, number)
            attribute.add(20, 2)
          case .text(let text):
            attribute.add(4, text)
            attribute.add(20, 3)
          case .floats(let numbers):
            for number in numbers { attribute.add(7, number) }
            attribute.add(20, 6)
          case .texts(let texts):
            for text in texts { attribute.add(9, text) }
            attribute.add(20, 8)
          }
        }
      }
    }
  }

  private static func nodes(of architecture: Architecture) -> [Node] {
    var nodes: [Node] = []
    func add(
      _ operation: String, _ inputs: [String], _ outputs: [String],
      _ attributes: [(String, Node.Value)] = []
    ) {
      nodes.append(
        Node(operation: operation, inputs: inputs, outputs: outputs, attributes: attributes))
    }
    switch architecture.input {
    case .embedding: add("Gather", ["encoder.weight", "tokens"], ["input"])
    case .oneHot:
      add("OneHot", ["tokens", "vocabulary_size", "off_on"], ["input"], [("axis", .int(-1))])
    }
    var below = "input"
    for (index, layer) in architecture.layers.enumerated() {
      let name = "layers.\(index)"
      let isLSTM = layer.cell == .lstm
      let hasBias = layer.bias != .none
      add(
        layer.cell.rawValue.uppercased(),
        [below, "\(name).W", "\(name).R", hasBias ? "\(name).B" : "", "", "h\(index)"]
          + (isLSTM ? ["c\(index)"] : []),
        ["\(name).Y", "h\(index)_after"] + (isLSTM ? ["c\(index)_after"] : []),
        attributes(of: layer))
      // Y is [time, 1, batch, H].
      add("Squeeze", ["\(name).Y", "directions"], [name])
      below = name
    }
    // A two-dimensional matrix product uses the weight unchanged, shared with the embedding if
    // tied.
    add("Reshape", [below, "rows"], ["states"])
    add(
      "Gemm",
      ["states", architecture.isTied ? "encoder.weight" : "decoder.weight"]
        + (architecture.hasOutputBias ? ["decoder.bias"] : []), ["logits"], [("transB", .int(1))])
    add("LogSoftmax", ["logits"], ["row_log_probabilities"], [("axis", .int(-1))])
    add("Shape", ["tokens"], ["tokens_shape"])
    add("Concat", ["tokens_shape", "vocabulary_size"], ["shape"], [("axis", .int(0))])
    add("Reshape", ["row_log_probabilities", "shape"], ["log_probabilities"])
    return nodes
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

  private struct Initializer {
    let name: String
    let dimensions: [Int]
    let storages: [ByteStorage]
    /// `true` if the data are 64-bit sizes.
    var isShape = false
  }

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
    func add(_ name: String, sizes: [Int], isScalar: Bool = false) {
      let bytes = sizes.flatMap { withUnsafeBytes(of: Int64($0).littleEndian, Array.init) }
      list.append(
        Initializer(
          name: name, dimensions: isScalar ? [] : [sizes.count], storages: [.owned(bytes)],
          isShape: true))
    }
    if architecture.input == .embedding { try add("encoder.weight", .embeddingWeight) }
    for (index, layer) in architecture.layers.enumerated() {
      list += try layerInitializers(layer, index) { try tensor(.layer(index, $0)) }
    }
    if !architecture.isTied { try add("decoder.weight", .outputWeight) }
    if architecture.hasOutputBias { try add("decoder.bias", .outputBias) }
    add("directions", sizes: [1])
    add("rows", sizes: [-1, architecture.outputInputSize])
    add("vocabulary_size", sizes: [architecture.vocabularySize])
    guard architecture.input == .oneHot else { return list }
    let one = try tensor(.layer(0, .weightIH)).dtype
    list.append(
      Initializer(name: "off_on", dimensions: [2], storages: [.owned(offAndOn(one))]))
    return list
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
    // The index in a checkpoint of each block of ONNX.
    let ours = ONNXLayer.blocks(of: layer.cell)
    let order = ours.indices.compactMap { ours.firstIndex(of: $0) }
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
