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
  func verifyStorages(of tensors: [TorchTensor]) throws -> [Note]

  /// Returns the elements of a tensor, mapped if they are contiguous, else copied.
  ///
  /// - Parameters:
  ///   - tensor: The tensor.
  ///   - name: Its name, for messages.
  ///   - room: The number of bytes that may be copied. Out: reduced by the copied bytes.
  /// - Returns: The tensor.
  /// - Throws: `InterchangeError` for types that are not used for weights, and for copies beyond
  ///   `room`.
  func contents(of tensor: TorchTensor, named name: String, room: inout Int) throws -> Tensor
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
  let tensor: TorchTensor
  /// `true` if the caller's map assigns its role.
  var isMapped = false
  /// The computation of the parameter, if the file stores it in parts.
  var recipe: WeightRecipe?
  /// The names in the file of the tensors that the parameter is computed from.
  var parts: [String] = []

  /// Creates a tensor, by default under its name in the file.
  init(
    name: String, fileName: String? = nil, tensor: TorchTensor, recipe: WeightRecipe? = nil
  ) {
    self.name = name
    self.fileName = fileName ?? name
    self.tensor = tensor
    self.recipe = recipe
  }

  /// `true` if the tensor holds indices or counts: 32- or 64-bit integers, not under the name of a
  /// weight.
  fileprivate var isIndex: Bool {
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
  private(set) var ledger: Ledger?
  /// The order of gate blocks in the rows of recurrent parameters, if the caller states it.
  private(set) var gates: GateOrder?
  /// The tensors that duplicate others, by their names in the file.
  private(set) var copies: [String] = []
  /// The paths, with a dot, of modules that are QRNN layers.
  var qrnnModules: Set<String> = []
  /// `true` if the caller states that the output shares the embedding's weight.
  private(set) var isTied = false

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

  /// Normalizes names to those of `state_dict()`: applies the caller's map, then removes prefixes
  /// and copies.
  ///
  /// - Parameter options: The caller's map and the names to ignore.
  /// - Returns: Notes on names that were removed, computed or not preserved.
  /// - Throws: `InterchangeError` if a name is not in the file, or given twice.
  mutating func normalize(_ options: ReadingOptions = ReadingOptions()) throws -> [Note] {
    var ledger = try Ledger(
      tensors.map(\.fileName) + modules.map(\.path),
      ignoring: options.ignored.union(options.map.ignored), of: file.path)
    try TorchModuleClass.check(modules, ledger: ledger, file: file)
    for module in modules { ledger.use(module.path) }
    tensors.removeAll { ledger.isIgnored($0.fileName) }
    var notes = try computeWeights()
    try rename(options.map)
    notes += stripPrefixes() + takeRawWeights() + takeQRNNs() + (try removeEmbeddingCopies())
    tensors.removeAll { tensor in
      guard tensor.isIndex, !tensor.isMapped else { return false }
      ledger.pass(
        tensor.fileName,
        noting: "not preserved: integers (\(tensor.tensor.element.name)) are no weights")
      return true
    }
    self.ledger = ledger
    try checkNames(fix: "save the state_dict of one language model")
    return notes
  }

  /// Accounts for the tensors with a role, and closes the account.
  ///
  /// - Parameter used: The tensors in the model.
  /// - Returns: The settlement.
  /// - Throws: `InterchangeError` naming unused tensors.
  func settled(using used: some Sequence<NamedTensor>) throws -> Ledger.Settlement {
    var ledger = try ledger ?? Ledger(tensors.map(\.fileName), ignoring: [], of: file.path)
    for tensor in used {
      ledger.use(tensor.fileName)
      for part in tensor.parts { ledger.use(part) }
    }
    for copy in copies { ledger.pass(copy) }
    return try ledger.settle(
      expected: "no tensors but embedding, recurrent layers and output",
      fix: "a model that computes with them cannot be converted")
  }

  /// Renames tensors by the caller's map, and adopts its gate order.
  ///
  /// A tensor that is assigned to two parameters is listed twice: the parameters are tied.
  private mutating func rename(_ map: NameMap) throws {
    let places = Dictionary(tensors.indices.map { (tensors[$0].name, $0) }) { first, _ in first }
    var taken: Set<Int> = []
    for (name, fileName) in map.names.sorted(by: { $0.key < $1.key }) {
      guard let place = places[fileName] else {
        throw file.error(
          fileName, expected: "a tensor of this name, as the map says", found: self.names,
          fix: "give each tensor's name in the file; `unroll convert --print-map MODEL` lists them")
      }
      if taken.insert(place).inserted {
        tensors[place].name = name
        tensors[place].isMapped = true
      } else {
        var copy = tensors[place]
        copy.name = name
        tensors.append(copy)
      }
    }
    gates = map.gates
    isTied = map.isTied
    try checkNames(fix: "give each tensor of the map a name of its own")
  }

  /// Takes the order of the gate blocks that the file itself states.
  ///
  /// - Throws: `InterchangeError` if the map states another one.
  mutating func take(_ written: GateOrder) throws {
    if let gates, gates != written {
      throw file.error(
        NameMap.Key.gates, expected: "\(written.letters), as the metadata of the file says",
        found: "\(gates.letters) in the map", fix: "leave `\"gates\"` out of the map")
    }
    gates = written
  }

  /// Removes the prefixes that `DataParallel` and `torch.compile` add to every name.
  ///
  /// - Returns: Notes on the removed prefixes.
  private mutating func stripPrefixes() -> [Note] {
    var notes: [Note] = []
    for _ in 0..<4 {
      let prefix = ["module.", "_orig_mod."].first { prefix in
        !tensors.isEmpty && tensors.allSatisfy { $0.name.hasPrefix(prefix) }
      }
      guard let prefix else { return notes }
      for index in tensors.indices { tensors[index].name.removeFirst(prefix.count) }
      // The model itself takes the place of the module around it.
      if let model = modules.firstIndex(where: { $0.path + "." == prefix }) {
        modules[model].path = prefix
        modules.removeAll { $0.path.isEmpty }
      }
      for index in modules.indices where modules[index].path.hasPrefix(prefix) {
        modules[index].path.removeFirst(prefix.count)
      }
      notes.append(Note(place: file.place, message: "prefix `\(prefix)` removed from all names"))
    }
    return notes
  }

  // MARK: - Copies

  /// Renames `weight_hh_l0_raw` to `weight_hh_l0`, since AWD-LSTM and fastai evaluate with it.
  ///
  /// Their WeightDrop stores the weight under the first name, in the module or beside it, and under
  /// the second its remainder after dropout in the last training step.
  ///
  /// - Returns: Notes on weights that are not preserved.
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
        if !tensors[copy].isSame(as: raw) {
          notes.append(
            Note(place: name, message: "not preserved: \(raw.name) has the weight without dropout"))
        }
      }
      tensors[index].name = name
    }
    pass(copies: Array(copies))
    return notes
  }

  /// Removes tensors that duplicate others, and remembers them for the account.
  mutating func pass(copies: [Int]) {
    self.copies += copies.map { tensors[$0].fileName }
    let kept = Set(tensors.indices).subtracting(copies).sorted()
    tensors = kept.map { tensors[$0] }
  }

  /// The names under which fastai's embedding dropout lists the embedding again.
  private static let embeddingCopies = [
    "encoder_dp.emb.weight", "encoder_with_dropout.embed.weight",
  ]

  /// Removes such a duplicate if it has the same values.
  ///
  /// - Returns: Notes on the duplicate.
  private mutating func removeEmbeddingCopies() throws -> [Note] {
    guard
      let copy = tensors.first(where: { Self.embeddingCopies.contains(where: $0.name.hasSuffix) }),
      let ending = Self.embeddingCopies.first(where: copy.name.hasSuffix)
    else { return [] }
    let name = copy.name.dropLast(ending.count) + "encoder.weight"
    guard let original = tensors.first(where: { $0.name == name }),
      try hasEqualNumbers(copy, original)
    else { return [] }
    copies.append(copy.fileName)
    tensors.removeAll { $0.name == copy.name }
    return copy.isSame(as: original)
      ? [] : [Note(place: copy.name, message: "not preserved: equal to \(name)")]
  }

  private func hasEqualNumbers(_ first: NamedTensor, _ second: NamedTensor) throws -> Bool {
    if first.isSame(as: second) { return true }
    guard first.tensor.shape == second.tensor.shape, first.tensor.element == second.tensor.element
    else { return false }
    var room = file.roomForCopies
    let numbers = try [first, second].map { try contents(of: $0, room: &room) }
    return numbers[0].withUnsafeBytes { bytes in
      numbers[1].withUnsafeBytes { bytes.elementsEqual($0) }
    }
  }
}
