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

  /// Brings the names that programs write to those of `state_dict()`: the caller's first, then prefixes
  /// and copies.
  ///
  /// - Parameter names: The names of tensors in the file, by those that they shall have.
  /// - Returns: What was removed or left behind.
  /// - Throws: `InterchangeError` if a name is not in the file, or given twice.
  mutating func normalize(_ names: [String: String] = [:]) throws -> [Note] {
    try rename(names)
    let notes = stripPrefixes() + takeRawWeights() + (try removeEmbeddingCopies())
    try checkNames(fix: "save the state_dict of one language model")
    return notes
  }

  private mutating func rename(_ names: [String: String]) throws {
    let places = Dictionary(tensors.indices.map { (tensors[$0].name, $0) }) { first, _ in first }
    for (name, fileName) in names.sorted(by: { $0.key < $1.key }) {
      guard let place = places[fileName] else {
        throw file.error(
          fileName, expected: "a tensor of this name, as the map says", found: self.names,
          fix: "give each tensor's name in the file: `{\"rnn.weight_ih_l0\": \"NAME\"}`")
      }
      tensors[place].name = name
    }
    try checkNames(fix: "give each tensor of the map a name of its own")
  }

  /// Removes what `DataParallel` and `torch.compile` put before every name.
  ///
  /// - Returns: What was removed.
  private mutating func stripPrefixes() -> [Note] {
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

  // MARK: - Copies

  /// Takes `weight_hh_l0_raw` for `weight_hh_l0`, as AWD-LSTM and fastai evaluate.
  ///
  /// Their WeightDrop keeps the weight under the first name, in the module or beside it, and under the
  /// second whatever was left of it after the last step of training.
  ///
  /// - Returns: What was left behind.
  private mutating func takeRawWeights() -> [Note] {
    let mark = "_raw"
    guard tensors.contains(where: { $0.name.hasSuffix(mark) }) else { return [] }
    let places = Dictionary(tensors.indices.map { (tensors[$0].name, $0) }) { first, _ in first }
    var copies: Set<Int> = []
    var notes: [Note] = []
    for index in tensors.indices where tensors[index].name.hasSuffix(mark) {
      let raw = tensors[index]
      let path = raw.name.dropLast(mark.count)
      let last = path.split(separator: ".").last ?? ""
      guard last.hasPrefix("weight_"), let layer = last.range(of: "_l")?.lowerBound else {
        continue
      }
      let module = path.dropLast(last.count)
      let isInside = places["\(module)module.weight_ih\(last[layer...])"] != nil
      let name = isInside ? "\(module)module.\(last)" : String(path)
      if let copy = places[name] {
        copies.insert(copy)
        if tensors[copy].tensor != raw.tensor {
          notes.append(
            Note(place: name, message: "not carried: \(raw.name) has the weight without dropout"))
        }
      }
      tensors[index].name = name
    }
    tensors = tensors.indices.filter { !copies.contains($0) }.map { tensors[$0] }
    return notes
  }

  /// The names under which fastai's embedding dropout lists the embedding once more.
  private static let embeddingCopies = [
    "encoder_dp.emb.weight", "encoder_with_dropout.embed.weight",
  ]

  /// Removes such a second listing where it has the same numbers.
  ///
  /// - Returns: What was left behind.
  private mutating func removeEmbeddingCopies() throws -> [Note] {
    guard
      let copy = tensors.first(where: { Self.embeddingCopies.contains(where: $0.name.hasSuffix) }),
      let ending = Self.embeddingCopies.first(where: copy.name.hasSuffix)
    else { return [] }
    let name = copy.name.dropLast(ending.count) + "encoder.weight"
    guard let original = tensors.first(where: { $0.name == name }),
      try hasEqualNumbers(copy, original)
    else { return [] }
    tensors.removeAll { $0.name == copy.name }
    return copy.tensor == original.tensor
      ? [] : [Note(place: copy.name, message: "not carried: equal to \(name)")]
  }

  private func hasEqualNumbers(_ first: NamedTensor, _ second: NamedTensor) throws -> Bool {
    if first.tensor == second.tensor { return true }
    guard first.tensor.shape == second.tensor.shape, first.tensor.element == second.tensor.element
    else { return false }
    var room = file.roomForCopies
    let numbers = try [first, second].map {
      try file.contents(of: $0.tensor, named: $0.name, room: &room)
    }
    return numbers[0].withUnsafeBytes { bytes in
      numbers[1].withUnsafeBytes { bytes.elementsEqual($0) }
    }
  }
}
