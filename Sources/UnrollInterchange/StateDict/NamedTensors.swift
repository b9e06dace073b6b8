// Tensors with the names of a state_dict, independent of the file format.

import UnrollFormat
import UnrollTensors

/// A file of named tensors.
protocol TensorContainer: Sendable {
  /// The file's path.
  var path: String { get }
  /// The location for messages about all names.
  var place: String { get }
  /// The maximum number of bytes of tensors that may be copied.
  var roomForCopies: Int { get }
  /// `true` if the file lists tensors in the order in which the program registered them.
  var keepsOrder: Bool { get }

  /// Returns an error about a tensor or another part.
  func error(_ place: String, expected: String, found: String, fix: String) -> InterchangeError

  /// Checks the bytes of tensors, if the file has checksums.
  ///
  /// - Returns: Notes on tensors that could not be checked.
  /// - Throws: `InterchangeError` if they are damaged.
  func verifyStorages(of tensors: [StoredTensor]) throws -> [Note]

  /// Returns the elements of a tensor, mapped if they are contiguous, else copied.
  ///
  /// - Parameters:
  ///   - tensor: The tensor.
  ///   - name: Its name, for messages.
  ///   - room: The number of bytes that may be copied. Out: reduced by the copied bytes.
  /// - Returns: The tensor.
  /// - Throws: `InterchangeError` for types that are not used for weights, and for copies beyond
  ///   `room`.
  func contents(of tensor: StoredTensor, named name: String, room: inout Int) throws -> Tensor
}

extension TensorContainer {
  /// `true`: most files keep the order of the program.
  var keepsOrder: Bool { true }
}

/// A tensor with its dotted name.
struct NamedTensor: Sendable {
  /// The name in a state_dict.
  var name: String
  /// The name in the file.
  let fileName: String
  /// The stored tensor that has the shape of the parameter.
  let tensor: StoredTensor
  /// `true` if the caller's map assigns its role.
  var isMapped = false
  /// The computation of the parameter, if the file stores it in parts.
  var recipe: WeightRecipe?
  /// The names in the file of the tensors that the parameter is computed from.
  var parts: [String] = []

  /// Creates a tensor, by default under its name in the file.
  init(
    name: String, fileName: String? = nil, tensor: StoredTensor, recipe: WeightRecipe? = nil
  ) {
    self.name = name
    self.fileName = fileName ?? name
    self.tensor = tensor
    self.recipe = recipe
  }

  /// `true` if the tensor holds indices or counts: 32- or 64-bit integers, not under the name of a
  /// weight.
  var isIndex: Bool {
    ["int64", "int32"].contains(tensor.element.name)
      && !["weight", "bias"].contains { name.lowercased().contains($0) }
  }

  /// Returns `true` if both are the same data of the file, with the same computation.
  func isSame(as other: NamedTensor) -> Bool {
    tensor == other.tensor && recipe == other.recipe
  }
}

/// A pickled module with its dotted path.
struct TorchModule: Sendable {
  var path: String
  let className: String
  /// `nn.RNNBase.mode`, such as `RNN_TANH`.
  let mode: String?
  /// The rate of a dropout module, or of dropout between layers.
  let dropout: Double?
  /// The largest norm of an embedding's rows, to which PyTorch scales those that it looks up, and the order
  /// of the norm.
  let maximumNorm: (norm: Double, order: Double)?
}

/// Tensors under the names of `state_dict()`, and the modules of a whole model.
struct NamedTensors: Sendable {
  /// The file.
  let file: any TensorContainer
  /// The tensors, in the file's order.
  var tensors: [NamedTensor] = []
  /// The modules, if the file holds a whole model.
  var modules: [TorchModule] = []
  /// The activations of vanilla RNN cells that settings beside the tensors state.
  var statedActivations: [Stated<Activation>] = []
  /// The location of a setting beside the tensors that ties the output to the embedding, which decides if
  /// there is one matrix for both.
  var statedTie: String?
  /// The account of the file's tensors, after names are normalized.
  var ledger: Ledger?
  /// The order of gate blocks in the rows of recurrent parameters, if the caller states it.
  var gates: GateOrder?
  /// The tensors that duplicate others, by their names in the file.
  var copies: [String] = []
  /// The paths, with a dot, of modules that are QRNN layers.
  var qrnnModules: Set<String> = []
  /// `true` if the caller states that the output shares the embedding's weight.
  var isTied = false

  /// Creates a list of tensors without modules.
  init(file: any TensorContainer, tensors: [NamedTensor] = []) {
    self.file = file
    self.tensors = tensors
  }

  /// Returns a module by its path.
  func module(_ path: String) -> TorchModule? { modules.first { $0.path == path } }

  /// Returns the module that owns a tensor, by the name in the file.
  func module(of tensor: NamedTensor) -> TorchModule? {
    let path = tensor.fileName.lastIndex(of: ".").map { String(tensor.fileName[..<$0]) } ?? ""
    return module(path)
      ?? module(tensor.name.lastIndex(of: ".").map { String(tensor.name[..<$0]) } ?? "")
  }

  /// The names of the tensors, for messages.
  var names: String { tensors.isEmpty ? "no tensors" : list(tensors.map(\.name)) }

  /// Refuses duplicate names.
  ///
  /// - Throws: `InterchangeError` naming the first.
  func checkNames(fix: String) throws {
    var seen: Set<String> = []
    for tensor in tensors where !seen.insert(tensor.name).inserted {
      throw file.error(
        tensor.name, expected: "one tensor of this name", found: "two", fix: fix)
    }
  }
}
