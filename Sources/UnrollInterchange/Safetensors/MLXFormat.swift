// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Writes language models in safetensors under the names of MLX's layers.

import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// Safetensors with the parameters of MLX's `nn.LSTM`, `nn.GRU`, `nn.RNN`, `nn.Embedding` and
/// `nn.Linear`; `SafetensorsFormat` reads them.
///
/// The modules are `embedding`, `layers.0` and so on, and `output`.
public enum MLXFormat: ForeignFormat {
  /// The name in reports.
  public static let name = "mlx"
  /// The extension that distinguishes it from other files of safetensors.
  public static let fileExtensions = ["mlx.safetensors"]
  /// `false`: `SafetensorsFormat` reads its files.
  public static let isRead = false

  /// Returns `false`: `SafetensorsFormat` recognizes its files.
  public static func recognizes(_ file: MappedFile) -> Bool { false }

  /// Reads as `SafetensorsFormat` does.
  ///
  /// - Throws: The errors of `SafetensorsFormat.read`.
  public static func read(_ file: MappedFile, options: ReadingOptions) throws -> Conversion {
    try SafetensorsFormat.read(file, options: options)
  }

  /// Returns the model with the biases that MLX's layers have.
  ///
  /// - Throws: `InterchangeError` if MLX has no layers that compute the model.
  public static func held(_ checkpoint: Checkpoint) throws -> Checkpoint {
    try MLXVariant(checkpoint).checkpoint
  }

  /// Returns notes on changed biases, and on everything but weights, tokens and tokenizer.
  ///
  /// - Throws: `InterchangeError` if MLX has no layers that compute the model.
  public static func exportNotes(for checkpoint: Checkpoint) throws -> [Note] {
    try MLXVariant(checkpoint).notes + checkpoint.exportNotesBesideWeights
  }

  /// Writes a checkpoint for `load_weights` of a model with such modules.
  ///
  /// - Throws: `InterchangeError` if MLX has no layers that compute the model; `FileError` if the file
  ///   cannot be written.
  public static func write(
    _ checkpoint: Checkpoint, to path: String, progress: (Int) -> Void
  ) throws {
    let model = try MLXVariant(checkpoint).checkpoint
    try SafetensorsFormat.write(
      tensors(of: model),
      metadata: [("format", "mlx"), (StateMetadata.key, StateMetadata(model).json)], to: path,
      progress: progress)
  }

  /// Returns the parameters under MLX's names.
  private static func tensors(of model: Checkpoint) -> [(name: String, tensor: Tensor)] {
    var tensors: [(name: String, tensor: Tensor)] = []
    func add(_ name: String, _ path: ParameterPath) {
      if let tensor = model.parameters[path] { tensors.append((name, tensor)) }
    }
    add("embedding.weight", .embeddingWeight)
    for (index, layer) in model.architecture.layers.enumerated() {
      for (parameter, name) in names(of: layer.cell) {
        add("layers.\(index).\(name)", .layer(index, parameter))
      }
      guard layer.cell == .gru, let bias = model.parameters[.layer(index, .biasHH)] else {
        continue
      }
      // The block of the candidate; the others are 0.
      let candidate = bias.reordered(blocks: [2], of: 3).reshaped([layer.hiddenSize])
      tensors.append(("layers.\(index).bhn", candidate))
    }
    add("output.weight", .outputWeight)
    add("output.bias", .outputBias)
    return tensors
  }

  private static func names(of cell: Cell) -> [(LayerParameter, String)] {
    switch cell {
    case .lstm: [(.weightIH, "Wx"), (.weightHH, "Wh"), (.bias, "bias")]
    case .gru: [(.weightIH, "Wx"), (.weightHH, "Wh"), (.biasIH, "b")]
    default: [(.weightIH, "Wxh"), (.weightHH, "Whh"), (.bias, "bias")]
    }
  }
}

/// A model with the biases of MLX's layers: one of an LSTM or vanilla RNN; of a GRU, the sum of both,
/// except for the candidate's, whose second one is inside of the product with the reset gate.
private struct MLXVariant {
  private(set) var checkpoint: Checkpoint
  private(set) var notes: [Note] = []

  init(_ checkpoint: Checkpoint) throws {
    self.checkpoint = checkpoint
    try check()
    for index in checkpoint.architecture.layers.indices { try bring(index) }
  }

  private func check() throws {
    let architecture = checkpoint.architecture
    func refuse(_ found: String, fix: String) -> InterchangeError {
      InterchangeError(
        file: "the checkpoint", place: Layout.model, expected: "what MLX's layers compute",
        found: found, fix: fix)
    }
    let keep = "keep the checkpoint, or write safetensors, whose metadata says so"
    let isProjected = architecture.layers.contains { $0.projectionSize != nil }
    if isProjected { throw refuse("a projection of the hidden state", fix: keep) }
    if let variant = architecture.withoutSingleBiases.rareVariants.first {
      throw refuse(variant, fix: keep)
    }
    for (path, shape) in architecture.parameters {
      guard let tensor = checkpoint.parameters[path], tensor.shape == shape, tensor.dtype.isFloat
      else {
        throw refuse("no numbers of shape \(shape) in \(path)", fix: "validate the checkpoint")
      }
      if tensor.dtype == .float64 {
        throw refuse("f64 in \(path), which MLX does not compute on a GPU", fix: "give --dtype f32")
      }
    }
  }

  private mutating func bring(_ index: Int) throws {
    let layer = checkpoint.architecture.layers[index]
    if layer.cell == .rnn, layer.activation == .relu {
      notes.append(
        Note(
          place: ParameterPath.layerGroup(index),
          message: "the activation relu is not in the tensors: `nn.RNN(..., nonlinearity=nn.relu)`")
      )
    }
    switch (layer.cell, layer.bias) {
    case (.gru, .double): try gatherGRU(index, layer.hiddenSize)
    case (.gru, .single): splitGRU(index)
    case (_, .double): try addBiases(index)
    case (_, .single), (_, .none): break
    }
  }

  /// Returns both biases of a layer.
  private func biases(_ index: Int) -> (input: Tensor, state: Tensor)? {
    guard let input = checkpoint.parameters[.layer(index, .biasIH)],
      let state = checkpoint.parameters[.layer(index, .biasHH)]
    else { return nil }
    return (input, state)
  }

  private mutating func addBiases(_ index: Int) throws {
    guard let (input, state) = biases(index) else { return }
    let sum = zip(input.doubles, state.doubles).map(+)
    checkpoint.parameters[.layer(index, .bias)] = try Tensor(sum).converted(to: input.dtype)
    checkpoint.parameters[.layer(index, .biasIH)] = nil
    checkpoint.parameters[.layer(index, .biasHH)] = nil
    checkpoint.architecture.layers[index].bias = .single
    noteSum(.layer(index, .bias), "the sum of the two biases", input.dtype)
  }

  private mutating func gatherGRU(_ index: Int, _ H: Int) throws {
    guard let (input, state) = biases(index) else { return }
    let (first, second) = (input.doubles, state.doubles)
    let sum = first.indices.map { $0 < 2 * H ? first[$0] + second[$0] : first[$0] }
    let rest = second.indices.map { $0 < 2 * H ? 0 : second[$0] }
    checkpoint.parameters[.layer(index, .biasIH)] = try Tensor(sum).converted(to: input.dtype)
    checkpoint.parameters[.layer(index, .biasHH)] = try Tensor(rest).converted(to: state.dtype)
    guard second.prefix(2 * H).contains(where: { $0 != 0 }) else { return }
    noteSum(.layer(index, .biasIH), "the sums of the two biases of r and z", input.dtype)
  }

  private mutating func splitGRU(_ index: Int) {
    guard let bias = checkpoint.parameters[.layer(index, .bias)] else { return }
    checkpoint.parameters[.layer(index, .bias)] = nil
    checkpoint.parameters[.layer(index, .biasIH)] = bias
    checkpoint.parameters[.layer(index, .biasHH)] = Tensor(
      shape: bias.shape, dtype: bias.dtype,
      storage: .owned([UInt8](repeating: 0, count: bias.storage.count)))
    checkpoint.architecture.layers[index].bias = .double
    notes.append(
      Note(
        place: ParameterPath.layer(index, .biasHH).description,
        message: "0, which MLX has as bhn beside the only bias of the layer"))
  }

  private mutating func noteSum(_ path: ParameterPath, _ what: String, _ dtype: DType) {
    notes.append(
      Note(
        place: path.description,
        message: "\(what), rounded to \(dtype.rawValue): MLX has one"))
  }
}
