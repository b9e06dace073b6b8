// The state_dict of a checkpoint: PyTorch's names, and one storage for each distinct tensor.

import UnrollFormat
import UnrollTensors

/// The tensors of a model as listed by `state_dict()` of pytorch/examples' word_language_model.
struct StateDictionary {
  /// A tensor under its name.
  struct Entry {
    let name: String
    let tensor: Tensor
    /// The class of its storage in PyTorch, such as `FloatStorage`.
    let storageClass: String
    /// The index of its storage; tied tensors share one.
    let storage: Int
  }

  /// The tensors in PyTorch's order.
  private(set) var entries: [Entry] = []
  /// The storages, each a whole tensor.
  private(set) var storages: [Tensor] = []
  /// The paths of the modules, the model's own first, as `_metadata` lists them.
  let modules: [String]

  /// Names the tensors of a checkpoint.
  ///
  /// - Parameters:
  ///   - checkpoint: The model.
  ///   - allowsVariants: `true` to allow variants that PyTorch's modules do not compute, if the
  ///     file describes them beside the tensors. A layer's single bias is then `bias_l0`, or has
  ///     its name in a map.
  ///   - naming: The naming scheme of the tensors.
  /// - Throws: `InterchangeError` for tensors that are missing or that a state_dict cannot
  ///   represent.
  init(
    _ checkpoint: Checkpoint, allowsVariants: Bool = false,
    naming: StateNaming = .wordLanguageModel
  ) throws {
    let architecture = checkpoint.architecture
    // A map can name a layer's single bias, which PyTorch's modules lack.
    let computed = naming.mapped == nil ? architecture : architecture.withoutSingleBiases
    if !allowsVariants, !naming.isOfQRNNs(architecture), let variant = computed.rareVariants.first {
      throw InterchangeError(
        file: "the checkpoint", place: "/model", expected: "what nn.LSTM, nn.GRU or nn.RNN compute",
        found: variant, fix: "keep the checkpoint: a state_dict cannot say so")
    }
    try naming.check(architecture)
    modules = naming.modules(of: architecture)
    var shapes = Dictionary(architecture.parameters.map { ($0.path, $0.shape) }) { first, _ in first
    }
    if architecture.isTied { shapes[.outputWeight] = shapes[.embeddingWeight] }
    var storageIndices: [ParameterPath: Int] = [:]
    for (path, name) in naming.names(of: architecture) {
      guard let shape = shapes[path] else { continue }  // The model has no such bias.
      let owner = path == .outputWeight && architecture.isTied ? .embeddingWeight : path
      let tensor = checkpoint.parameters[owner]
      guard let tensor, tensor.shape == shape, let storageClass = tensor.dtype.torchStorage else {
        throw Self.tensorError(owner, shape, found: tensor)
      }
      let storage = storageIndices[owner] ?? storages.count
      if storage == storages.count {
        let blocks = naming.mapped?.blocks[path]
        storages.append(blocks.map { tensor.reordered(blocks: $0) } ?? tensor)
      }
      storageIndices[owner] = storage
      entries.append(
        Entry(
          name: name, tensor: storages[storage], storageClass: storageClass, storage: storage))
    }
  }

  /// The tensors without those that share a previous tensor's storage.
  var owned: [Entry] {
    var seen: Set<Int> = []
    return entries.filter { seen.insert($0.storage).inserted }
  }

  private static func tensorError(
    _ path: ParameterPath, _ shape: Shape, found: Tensor?
  ) -> InterchangeError {
    InterchangeError(
      file: "the checkpoint", place: path.description,
      expected: "floating-point numbers of shape \(shape)",
      found: found.map { "\($0.dtype.rawValue) of shape \($0.shape)" } ?? "none",
      fix: "give the checkpoint a tensor for each of its architecture's parameters")
  }
}

extension LayerParameter {
  /// The parameters of PyTorch's modules in PyTorch's order, which have the same names here, and
  /// `bias`, which PyTorch lacks.
  static let torchNames: [LayerParameter] = [
    .weightIH, .weightHH, .biasIH, .biasHH, .weightHR, .bias,
  ]
}

extension DType {
  /// The storage class in the module `torch` for this type; `nil` for types that are not used for
  /// weights.
  var torchStorage: String? {
    switch self {
    case .float16: "HalfStorage"
    case .bfloat16: "BFloat16Storage"
    case .float32: "FloatStorage"
    case .float64: "DoubleStorage"
    default: nil
    }
  }
}
