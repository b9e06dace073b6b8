// Tensors with the names of a state_dict, whatever file they lie in.

import UnrollTensors

/// A file that tensors with names lie in.
protocol TensorContainer: Sendable {
  /// The place of messages about the names as a whole.
  var place: String { get }
  /// How many bytes of tensors may be copied.
  var roomForCopies: Int { get }

  /// An error about a tensor or another part.
  func error(_ place: String, expected: String, found: String, fix: String) -> InterchangeError

  /// Checks the bytes of tensors, where the file says what they should be.
  ///
  /// - Returns: What could not be checked.
  /// - Throws: `InterchangeError` if they are damaged.
  func verifyStorages(of tensors: [TorchTensor]) throws -> [Note]

  /// The numbers of a tensor: mapped where they lie in order, else copied in order.
  ///
  /// - Parameters:
  ///   - tensor: The tensor.
  ///   - name: Its name, for messages.
  ///   - room: How many bytes may be copied. Out: less those of this tensor.
  /// - Returns: The tensor.
  /// - Throws: `InterchangeError` for types that models are not made of, and for copies that there is
  ///   no room for.
  func contents(of tensor: TorchTensor, named name: String, room: inout Int) throws -> Tensor
}

/// A tensor with its dotted name.
struct NamedTensor: Sendable {
  var name: String
  let tensor: TorchTensor
}

/// A pickled module with its dotted path.
struct TorchModule: Sendable {
  var path: String
  let className: String
  /// `nn.RNNBase.mode`, such as `RNN_TANH`.
  let mode: String?
  /// The rate of a dropout module, or of the dropout between layers.
  let dropout: Double?
  /// What the rows of an embedding are renormalised to.
  let maximumNorm: Double?
}

/// Tensors as `state_dict()` names them, and the modules of a whole model.
struct NamedTensors: Sendable {
  /// The file.
  let file: any TensorContainer
  /// The tensors, in the file's order.
  var tensors: [NamedTensor] = []
  /// The modules, if the file holds a whole one.
  var modules: [TorchModule] = []

  /// A module by its path.
  func module(_ path: String) -> TorchModule? { modules.first { $0.path == path } }

  /// The tensors' names for messages.
  var names: String { tensors.isEmpty ? "no tensors" : list(tensors.map(\.name)) }

  /// Refuses two tensors of one name.
  ///
  /// - Throws: `InterchangeError` naming the first.
  func checkNames(fix: String) throws {
    var seen: Set<String> = []
    for tensor in tensors where !seen.insert(tensor.name).inserted {
      throw file.error(
        tensor.name, expected: "one tensor of this name", found: "two", fix: fix)
    }
  }

  /// Removes what `DataParallel` and `torch.compile` put before every name.
  ///
  /// - Returns: What was removed.
  mutating func stripPrefixes() -> [Note] {
    var notes: [Note] = []
    for _ in 0..<4 {
      let prefix = ["module.", "_orig_mod."].first { prefix in
        !tensors.isEmpty && tensors.allSatisfy { $0.name.hasPrefix(prefix) }
      }
      guard let prefix else { return notes }
      for index in tensors.indices { tensors[index].name.removeFirst(prefix.count) }
      for index in modules.indices where modules[index].path.hasPrefix(prefix) {
        modules[index].path.removeFirst(prefix.count)
      }
      notes.append(Note(place: file.place, message: "prefix `\(prefix)` removed from all names"))
    }
    return notes
  }
}
