// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Recurrent layers under the names of MLX: `Wx`, `Wh`, `bias`; `b`, `bhn`; `Wxh`, `Whh`.

import UnrollFormat
import UnrollTensors

/// The parameters of `nn.LSTM`, `nn.GRU` and `nn.RNN` of MLX as those of PyTorch's cells.
///
/// | layer | MLX | here |
/// |---|---|---|
/// | LSTM | `Wx` `[4H, D]`, `Wh` `[4H, H]`, `bias` | `weight_ih`, `weight_hh`, `bias`; gates i, f, g, o |
/// | GRU | `Wx` `[3H, D]`, `Wh` `[3H, H]`, `b` `[3H]`, `bhn` `[H]` | `weight_ih`, `weight_hh`, `bias_ih`; `bias_hh` is 0, 0, `bhn` |
/// | RNN | `Wxh` `[H, D]`, `Whh` `[H, H]`, `bias` | `weight_ih`, `weight_hh`, `bias` |
///
/// The first versions of MLX had the transposed matrices, which shapes show where they are not square.
struct MLXTensors: TensorContainer {
  /// A parameter that is computed from a stored tensor.
  private struct Computed {
    let tensor: NamedTensor
    let isTransposed: Bool
  }

  /// The tensors under PyTorch's names.
  private(set) var named: [NamedTensor] = []
  /// The order of the gates, if all layers with gates are of one kind.
  private(set) var gates: GateOrder?
  /// `true` if the matrices are transposed, as the first versions of MLX have them.
  private(set) var isEarly = false

  private let base: any TensorContainer
  private var computed: [String: Computed] = [:]

  private static let fix =
    "give a file of `model.save_weights(\"model.safetensors\")` of MLX, or say with --map which tensor is which"

  /// Renames the tensors of a file; `nil` if they are not MLX's.
  ///
  /// - Throws: `InterchangeError` if parameters of a layer are missing or misshapen, or the shapes do
  ///   not tell whether matrices are transposed.
  init?(_ tensors: [NamedTensor], of base: any TensorContainer) throws {
    self.base = base
    let byName = Dictionary(tensors.map { ($0.name, $0) }) { first, _ in first }
    let layers = tensors.compactMap { Layer($0.name, among: byName) }
    guard !layers.isEmpty else { return nil }
    try chooseLayout(layers)
    var used: Set<String> = []
    for layer in layers { try add(layer, used: &used) }
    named += tensors.filter { !used.contains($0.name) }.map { tensor in
      NamedTensor(
        name: Self.names[tensor.name] ?? tensor.name, fileName: tensor.fileName,
        tensor: tensor.tensor)
    }
    let cells = Set(layers.map(\.cell)).subtracting([.rnn])
    gates = cells.count == 1 ? cells.first.flatMap(GateOrder.usual) : nil
  }

  /// A note on transposed matrices.
  var note: Note? {
    guard isEarly else { return nil }
    return Note(
      place: place,
      message: "matrices are transposed, as in the first versions of MLX: their shapes show it")
  }

  /// The names of the other parameters in the files that Unroll writes.
  private static let names = [
    "embedding.weight": "encoder.weight", "output.weight": "decoder.weight",
    "output.bias": "decoder.bias",
  ]

  /// A layer by its stored tensors.
  private struct Layer {
    let prefix: String
    let cell: Cell
    let input: NamedTensor
    let state: NamedTensor
    let bias: NamedTensor?
    /// The bias of a GRU's candidate, inside of the product with the reset gate.
    let candidateBias: NamedTensor?

    /// Finds the layer of which a tensor is the matrix of the input; `nil` for others.
    init?(_ name: String, among tensors: [String: NamedTensor]) {
      guard let dot = name.lastIndex(of: ".") else { return nil }
      let path = String(name[...dot])
      let isPlain = name.hasSuffix(".Wxh")
      guard isPlain || name.hasSuffix(".Wx"), let input = tensors[name],
        let state = tensors[path + (isPlain ? "Whh" : "Wh")], input.tensor.shape.rank == 2,
        state.tensor.shape.rank == 2
      else { return nil }
      let (rows, columns) = (state.tensor.shape.dimensions[0], state.tensor.shape.dimensions[1])
      let (three, isHuge) = min(rows, columns).multipliedReportingOverflow(by: 3)
      let isGRU = tensors[path + "bhn"] != nil || (max(rows, columns) == three && !isHuge)
      cell = isPlain ? .rnn : isGRU ? .gru : .lstm
      prefix = path
      self.input = input
      self.state = state
      bias = tensors[path + (cell == .gru ? "b" : "bias")]
      candidateBias = cell == .gru ? tensors[path + "bhn"] : nil
    }

    /// `true` if the matrices are transposed, `false` if not; `nil` if both are square.
    var isEarly: Bool? {
      let (state, input) = (state.tensor.shape.dimensions, input.tensor.shape.dimensions)
      if state[0] != state[1] { return state[0] < state[1] }
      return input[0] == input[1] ? nil : input[0] != state[0]
    }
  }

  private mutating func chooseLayout(_ layers: [Layer]) throws {
    let layouts = Set(layers.compactMap(\.isEarly))
    guard layouts.count == 1, let layout = layouts.first else {
      throw base.error(
        layers[0].input.fileName,
        expected:
          "matrices whose shapes tell whether they are transposed, as in the first versions "
          + "of MLX",
        found: layouts.isEmpty ? "square ones" : "both",
        fix: "say with --map which tensor is which: it takes them as newer versions have them")
    }
    isEarly = layout
  }

  private mutating func add(_ layer: Layer, used: inout Set<String>) throws {
    let H = layer.state.tensor.shape.dimensions.min() ?? 0
    func set(_ tensor: NamedTensor?, _ name: String) {
      guard let tensor else { return }
      used.insert(tensor.name)
      let isMatrix = tensor.tensor.shape.rank == 2
      guard isMatrix && isEarly else {
        named.append(
          NamedTensor(
            name: layer.prefix + name, fileName: tensor.fileName, tensor: tensor.tensor))
        return
      }
      compute(tensor, layer.prefix + name, tensor.tensor.shape.dimensions.reversed(), true)
    }
    set(layer.input, "weight_ih")
    set(layer.state, "weight_hh")
    guard layer.cell == .gru else { return set(layer.bias, "bias") }
    guard (layer.bias == nil) == (layer.candidateBias == nil) else {
      throw base.error(
        layer.prefix + "bhn", expected: "b and bhn of a GRU, or none of them", found: "one",
        fix: Self.fix)
    }
    set(layer.bias, "bias_ih")
    guard let bias = layer.candidateBias else { return }
    guard bias.tensor.shape == [H] else {
      throw base.error(
        bias.fileName, expected: "shape [\(H)]", found: "\(bias.tensor.shape)", fix: Self.fix)
    }
    used.insert(bias.name)
    // H numbers are in the file, so 3 H is no overflow.
    compute(bias, layer.prefix + "bias_hh", [3 * H], false)
  }

  /// Adds a parameter that is computed when it is read.
  private mutating func compute(
    _ stored: NamedTensor, _ name: String, _ sizes: [Int], _ isTransposed: Bool
  ) {
    let record = "computed \(stored.name)"
    guard
      let tensor = StoredTensor(record: record, element: stored.tensor.element, sizes: sizes)
    else { return }
    computed[record] = Computed(tensor: stored, isTransposed: isTransposed)
    named.append(NamedTensor(name: name, fileName: stored.fileName, tensor: tensor))
  }

  // MARK: - TensorContainer

  var path: String { base.path }
  var place: String { base.place }
  var roomForCopies: Int { base.roomForCopies }
  var keepsOrder: Bool { base.keepsOrder }

  func error(_ place: String, expected: String, found: String, fix: String) -> InterchangeError {
    base.error(place, expected: expected, found: found, fix: fix)
  }

  func verifyStorages(of tensors: [StoredTensor]) throws -> [Note] {
    try base.verifyStorages(of: tensors.map { computed[$0.record]?.tensor.tensor ?? $0 })
  }

  func contents(of tensor: StoredTensor, named name: String, room: inout Int) throws -> Tensor {
    guard let computed = computed[tensor.record] else {
      return try base.contents(of: tensor, named: name, room: &room)
    }
    let stored = try base.contents(of: computed.tensor.tensor, named: name, room: &room)
    if computed.isTransposed { return stored.transposed() }
    let zeros = [UInt8](repeating: 0, count: 2 * stored.storage.count)
    let bytes = stored.withUnsafeBytes { zeros + Array($0) }
    guard let padded = Tensor(shape: tensor.shape, dtype: stored.dtype, storage: .owned(bytes))
    else {
      throw error(name, expected: "a bias", found: "another tensor", fix: Self.fix)
    }
    return padded
  }
}

extension NamedTensors {
  /// Takes the layers of MLX among the tensors under PyTorch's names, and normalizes the others.
  ///
  /// - Parameter options: The caller's map, which states all names, and the names to ignore.
  /// - Returns: Notes on transposed matrices, and those of `normalize`.
  /// - Throws: The errors of both.
  mutating func normalizeWithMLX(_ options: ReadingOptions) throws -> [Note] {
    guard options.map.isEmpty, let mlx = try MLXTensors(tensors, of: file) else {
      return try normalize(options)
    }
    self = NamedTensors(file: mlx, tensors: mlx.named)
    let notes = try normalize(options)
    if let gates = mlx.gates { try take(gates) }
    return (mlx.note.map { [$0] } ?? []) + notes
  }
}
