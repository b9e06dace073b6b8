// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Converts a checkpoint to layers that Keras supports: one bias where Keras has one, no unsupported
// features.

import UnrollFormat
import UnrollTensors

/// A model in variants that Keras 3 supports, with notes on the changes.
struct KerasVariant {
  /// The model; it may be tied even if Keras stores the weight twice.
  private(set) var checkpoint: Checkpoint
  /// Notes on changes.
  private(set) var notes: [Note] = []

  /// The slope of the program's `hard_sigmoid`.
  private let hardSigmoid: GateActivation

  /// Converts a model to Keras's variants.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - generation: The generation of Keras whose `hard_sigmoid` the program has.
  /// - Throws: `InterchangeError` if Keras has no layers that compute the model.
  init(_ checkpoint: Checkpoint, generation: Int = 3) throws {
    self.checkpoint = checkpoint
    hardSigmoid = GateActivation.hardSigmoid(ofKeras: generation)
    let architecture = checkpoint.architecture
    try Self.checkParameters(of: checkpoint)
    for index in architecture.layers.indices { try bring(index) }
    if architecture.isTied, !architecture.isReversible {
      notes.append(
        Note(
          place: ParameterPath.outputWeight.description,
          message:
            "the embedding's numbers, written twice: Keras's ReversibleEmbedding has no bias, and "
            + "trains the two apart"))
    }
    self.checkpoint.optimizer = optimizer()
    notes += Self.remarks(on: checkpoint)
  }

  /// Returns notes on layers that differ from the original Keras model without changing the
  /// function.
  private static func remarks(on checkpoint: Checkpoint) -> [Note] {
    var notes: [Note] = []
    if checkpoint.architecture.isReversible {
      notes.append(
        Note(
          place: ParameterPath.outputWeight.description,
          message:
            "the embedding in reverse: a layer ReversibleEmbedding, which Keras has from 3.12 on",
          isHarmless: true))
    }
    let isOfKeras = checkpoint.provenance.contains { entry in
      entry.operation == "convert" && entry.arguments.contains("format=keras")
    }
    guard isOfKeras else { return notes }
    notes.append(
      Note(
        place: "/model",
        message:
          "Keras gets predictions after each token (return_sequences true), a Dense layer without "
          + "TimeDistributed, and with an optimizer the loss sparse_categorical_crossentropy, whatever the "
          + "model had before", isHarmless: true))
    return notes
  }

  private static func refusal(_ place: String, _ variant: String) -> InterchangeError {
    InterchangeError(
      file: "the checkpoint", place: place, expected: "what Keras's layers compute", found: variant,
      fix: "keep the checkpoint, or write another format: Keras 3 cannot say so")
  }

  private static func checkParameters(of checkpoint: Checkpoint) throws {
    for (path, shape) in checkpoint.architecture.parameters {
      guard let tensor = checkpoint.parameters[path], tensor.shape == shape, tensor.dtype.isFloat
      else {
        throw InterchangeError(
          file: "the checkpoint", place: path.description,
          expected: "floating-point numbers of shape \(shape)",
          found: checkpoint.parameters[path].map { "\($0.dtype.rawValue) of shape \($0.shape)" }
            ?? "none",
          fix: "give the checkpoint a tensor for each of its architecture's parameters")
      }
    }
    for forms in checkpoint.architecture.kerasLayers {
      let types = Set(
        forms.flatMap(\.parameters).compactMap { checkpoint.parameters[$0]?.dtype.rawValue })
      guard types.count <= 1 else {
        throw InterchangeError(
          file: "the checkpoint", place: forms[0].parameters[0].description,
          expected: "one type of numbers in each layer", found: list(types.sorted()),
          fix: "give --dtype f32")
      }
    }
  }

  // MARK: - Layers

  private mutating func bring(_ index: Int) throws {
    var layer = checkpoint.architecture.layers[index]
    let place = ParameterPath.layerGroup(index)
    if layer.projectionSize != nil {
      throw Self.refusal(place, "a projection of the hidden state")
    }
    if layer.cell != .rnn, layer.gateActivation != .sigmoid,
      layer.gateActivation != hardSigmoid
    {
      throw Self.refusal(
        place,
        hardSigmoid == .hardSigmoid(ofKeras: 3)
          ? "a hard_sigmoid of another slope than Keras 3's 1/6 (Keras 2 has 0.2)"
          : "a hard_sigmoid of another slope than 0.2 (Keras 3 has 1/6)")
    }
    let hasTwo = layer.cell == .gru && layer.reset == .after
    switch layer.bias {
    case .double where !hasTwo: try addBiases(index, layer)
    case .single where hasTwo: splitBias(index)
    case .none where layer.forgetBias != 0:
      throw Self.refusal(place, "a forget bias without a bias")
    default:
      if layer.forgetBias != 0 { try addForgetBias(index, layer) }
    }
    if layer.bias != .none { layer.bias = hasTwo ? .double : .single }
    layer.forgetBias = 0
    checkpoint.architecture.layers[index] = layer
  }

  /// Replaces both biases by their sum, including the forget bias.
  private mutating func addBiases(_ index: Int, _ layer: LayerArchitecture) throws {
    let paths = [LayerParameter.biasIH, .biasHH].map { ParameterPath.layer(index, $0) }
    let biases = paths.compactMap { checkpoint.parameters[$0] }
    guard let dtype = biases.first?.dtype, biases.count == 2 else { return }
    let sum = zip(biases[0].doubles, biases[1].doubles).map(+)
    try set(bias: sum, of: index, layer, dtype)
    for path in paths { checkpoint.parameters[path] = nil }
    let isExact =
      layer.forgetBias == 0 && checkpoint.parameters[.layer(index, .bias)]?.doubles == sum
    notes.append(
      Note(
        place: ParameterPath.layer(index, .bias).description,
        message:
          "Keras has one bias: the sum of the two\(isExact ? "" : ", rounded to \(dtype.rawValue)"); further training with SGD "
          + "moves it half as far"
      ))
  }

  private mutating func addForgetBias(_ index: Int, _ layer: LayerArchitecture) throws {
    guard let bias = checkpoint.parameters[.layer(index, .bias)] else { return }
    try set(bias: bias.doubles, of: index, layer, bias.dtype)
    notes.append(
      Note(
        place: ParameterPath.layer(index, .bias).description,
        message: "with the forget bias of \(layer.forgetBias) in it, rounded to "
          + bias.dtype.rawValue))
  }

  /// Sets a single bias, with the forget bias added to its second block.
  private mutating func set(
    bias: [Double], of index: Int, _ layer: LayerArchitecture, _ dtype: DType
  ) throws {
    var bias = bias
    let H = layer.hiddenSize
    if layer.forgetBias != 0 {
      for row in H..<2 * H { bias[row] += layer.forgetBias }
    }
    checkpoint.parameters[.layer(index, .bias)] = try Tensor(bias).converted(to: dtype)
  }

  /// Replaces the single bias by an input bias; the recurrent bias is 0.
  private mutating func splitBias(_ index: Int) {
    guard let bias = checkpoint.parameters[.layer(index, .bias)] else { return }
    checkpoint.parameters[.layer(index, .bias)] = nil
    checkpoint.parameters[.layer(index, .biasIH)] = bias
    checkpoint.parameters[.layer(index, .biasHH)] = Tensor(
      shape: bias.shape, dtype: bias.dtype,
      storage: .owned([UInt8](repeating: 0, count: bias.storage.count)))
    notes.append(
      Note(
        place: ParameterPath.layer(index, .biasHH).description,
        message: "0, which Keras has beside the only bias of the layer and will train"))
  }

  // MARK: - The optimizer

  /// Returns the optimizer, if Keras supports it and its slots belong to Keras's variables.
  private mutating func optimizer() -> OptimizerState? {
    guard let optimizer = checkpoint.optimizer else { return nil }
    func lose(_ reason: String) -> OptimizerState? {
      notes.append(
        Note(
          place: "/optimizer",
          message:
            "not preserved: \(optimizer.kind.rawValue) after \(optimizer.step) steps: \(reason)"))
      return nil
    }
    let isSame = notes.isEmpty
    guard isSame else { return lose("its numbers are of parameters that are others in Keras") }
    let kept = KerasOptimizer.kept(optimizer, of: checkpoint.architecture)
    switch kept {
    case .lost(let reason): return lose(reason)
    case .kept(let optimizer, let approximations):
      notes += approximations.map { Note(place: "/optimizer", message: "approximate: \($0)") }
      return optimizer
    }
  }
}
