// The names of tensors, brought into one form and accounted for.

import UnrollFormat
import UnrollTensors

extension NamedTensors {
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
