// The tensors of a torch file under the names of `state_dict()`.

import UnrollTensors
import UnrollTokenization

/// The tensors of a state_dict or of a pickled module.
struct TorchModel {
  /// The file.
  let file: TorchFile
  /// The tensors, in the file's order, and the modules, if the file holds a whole model.
  private(set) var named: NamedTensors
  /// The state of an optimizer beside the model, if there is one.
  private(set) var optimizer: Extra?
  /// The values of a list other than the model and modules without parameters.
  private(set) var listed: [PickleReference] = []
  /// The token lists beside the model.
  private(set) var lists: [TokenList] = []
  private var search = TokenSearch()
  /// The settings beside the model.
  private var settings = TorchSettings()
  /// Notes on assumptions and on properties that are not preserved.
  private(set) var notes: [Note]
  /// The number of entries that may still be visited: a small pickle can describe a huge tree of
  /// shared modules.
  private var budget = 400_000
  /// The maximum nesting of modules.
  private static let mostNested = 64

  /// A named value beside the model.
  struct Extra: Sendable {
    let name: String
    let value: PickleReference
  }

  /// Finds the model in a file and lists its tensors.
  ///
  /// - Parameters:
  ///   - file: The file.
  ///   - options: The map of names, the names to ignore, and the path of the model in the file.
  /// - Throws: `InterchangeError` if the file has no model, or several.
  init(_ file: TorchFile, options: ReadingOptions = ReadingOptions()) throws {
    self.file = file
    named = NamedTensors(file: file)
    notes = file.notes
    let root = try modelRoot(options)
    if isModule(root) {
      try visit(root, path: "", depth: 0)
    } else {
      try readStateDictionary(root)
    }
    try named.checkNames(fix: Self.saveWeights)
    named.statedActivations = settings.activations
    named.statedTie = settings.ties.first
    var options = options
    options.ignored.subtract(settings.ignored)
    notes += settings.ignored.sorted().map { Note(place: $0, message: "ignored, as requested") }
    notes += try named.normalize(options)
  }

  // MARK: - Finding the model

  private static let optimizers = [
    "optimizer_state_dict", "optimizer", "optim", "optimizer_states", "optimizer_state",
  ]
  private static let saveWeights =
    "save the weights of the language model: `torch.save(model.state_dict(), \"new.pt\")`"
  /// The maximum nesting of a model in dictionaries and lists.
  private static let mostWrapped = 6

  /// A dictionary of tensors or a module with parameters, and its location.
  private struct Candidate {
    /// The keys and indices that lead to it.
    let path: [String]
    let value: PickleReference
    /// `true` if it has recurrent tensors under PyTorch's names.
    let isRecurrent: Bool

    var name: String { path.joined(separator: ".") }
  }

  /// Returns the only model in the dictionaries and lists of a training script, by content.
  ///
  /// - Throws: `InterchangeError` if there are several, or none at the caller's path.
  private mutating func modelRoot(_ options: ReadingOptions) throws -> PickleReference {
    var found: [Candidate] = []
    try findModels(file.graph.root, path: [], in: &found)
    if let root = options.root {
      guard let chosen = found.first(where: { $0.name == root }) else {
        throw file.error(
          root, expected: "a dictionary of tensors or a module at this path, as --root says",
          found: found.isEmpty ? "none" : list(found.map(\.name)),
          fix: "give --root one of these paths")
      }
      found = [chosen]
    } else if !options.map.isEmpty {
      let wanted = options.map.names.values
      let fitting = found.filter { candidate in
        let keys = Set(
          file.graph.entries(candidate.value)?.compactMap { file.graph.string($0.key) } ?? [])
        return wanted.allSatisfy(keys.contains)
      }
      if !fitting.isEmpty { found = fitting }
    }
    let recurrent = found.filter(\.isRecurrent)
    if !recurrent.isEmpty { found = recurrent }
    guard let model = found.first else { return file.graph.root }
    guard found.count == 1 else {
      throw file.error(
        file.pickleRecord, expected: "one model", found: "several: \(list(found.map(\.name)))",
        fix: "choose one, such as `--root \(model.name)`")
    }
    try accountForSurroundings(of: model, ignoring: options.ignored)
    return model.value
  }

  /// Collects dictionaries of tensors, modules with parameters, and lists of named tensors.
  private mutating func findModels(
    _ value: PickleReference, path: [String], in found: inout [Candidate]
  ) throws {
    guard path.count <= Self.mostWrapped, !found.contains(where: { $0.value == value }) else {
      return
    }
    if isModule(value) {
      guard try hasParameters(value, depth: 0) else { return }
      found.append(Candidate(path: path, value: value, isRecurrent: true))
      return
    }
    guard let members = try members(of: value) else { return }
    let tensors = members.filter { isTensor($0.value) }.map(\.key)
    let isRecurrent = tensors.contains { $0.contains("weight_ih") || $0.contains("weight_hh") }
    if isRecurrent || tensors.count >= 3 {
      found.append(Candidate(path: path, value: value, isRecurrent: isRecurrent))
      return
    }
    for member in members where !Self.optimizers.contains(member.key) {
      try findModels(member.value, path: path + [member.key], in: &found)
    }
  }

  /// Returns the values of a dictionary by key, or those of a list or tuple by name or index.
  private mutating func members(
    of value: PickleReference
  ) throws -> [(key: String, value: PickleReference)]? {
    if let entries = file.graph.entries(value) {
      try spend(entries.count)
      return entries.compactMap { entry in
        file.graph.string(entry.key).map { ($0, entry.value) }
      }
    }
    let node = file.graph[value]
    guard node.value == .list || node.value == .tuple else { return nil }
    try spend(node.items.count)
    return node.items.enumerated().map { ("\($0)", $1) }
  }

  private func isTensor(_ value: PickleReference) -> Bool {
    // An unsupported tensor counts as a tensor: it is refused by name later.
    do { return try file.tensor(at: value, named: "") != nil } catch { return true }
  }

  /// Adopts the optimizer and the token lists around a model, and notes other values.
  ///
  /// - Throws: `InterchangeError` for settings under which the model computes another function.
  private mutating func accountForSurroundings(
    of model: Candidate, ignoring ignored: Set<String>
  ) throws {
    var value = file.graph.root
    var rest: [String] = []
    for (depth, step) in model.path.enumerated() {
      let isList = file.graph.entries(value) == nil
      let members = try members(of: value) ?? []
      for member in members where member.key != step {
        let path = (model.path.prefix(depth) + [member.key]).joined(separator: ".")
        try settings.take(
          member.value, named: member.key, path: path, in: file, ignoring: ignored)
        guard !settings.ignored.contains(path) else { continue }
        if Self.optimizers.contains(member.key), optimizer == nil {
          optimizer = Extra(name: member.key, value: member.value)
        } else if isList, !takeList(member.value, member.key) {
          if !isModule(member.value) { listed.append(member.value) }
        } else if !isList, !takeList(member.value, path) {
          rest.append(path)
        }
      }
      let unnamed = (file.graph.entries(value)?.count ?? members.count) - members.count
      if unnamed > 0 { rest.append("\(unnamed) entries without names") }
      value = members.last { $0.key == step }?.value ?? value
    }
    if !rest.isEmpty {
      notes.append(Note(place: file.pickleRecord, message: "not preserved: \(list(rest))"))
    }
  }

  /// Adopts a value that lists tokens; returns `false` for other values.
  private mutating func takeList(_ value: PickleReference, _ name: String?) -> Bool {
    guard let name,
      let list = search.list(
        in: PickledValue(graph: file.graph, reference: value), named: name)
    else { return false }
    lists.append(list)
    return true
  }

  private mutating func hasParameters(_ module: PickleReference, depth: Int) throws -> Bool {
    guard depth < Self.mostNested else { return false }
    for (_, value) in try children("_parameters", of: module, path: "")
    where file.graph[value].value != .none { return true }
    for (_, child) in try children("_modules", of: module, path: "") where isModule(child) {
      if try hasParameters(child, depth: depth + 1) { return true }
    }
    return false
  }

  /// Returns `true` if a value is a pickled `torch.nn.Module` of any class.
  private func isModule(_ reference: PickleReference) -> Bool {
    file.graph.attribute("_parameters", of: reference) != nil
      && file.graph.attribute("_modules", of: reference) != nil
  }

  // MARK: - State dictionaries

  private mutating func readStateDictionary(_ root: PickleReference) throws {
    guard let entries = try stateEntries(root) else {
      let items = file.graph[root].items.map(file.graph.describe)
      throw file.error(
        file.pickleRecord, expected: "a state_dict, a module, or a dictionary that holds one",
        found: file.graph.describe(root) + (items.isEmpty ? "" : ": \(list(items, atMost: 4))"),
        fix: Self.saveWeights)
    }
    try spend(entries.count)
    for entry in entries {
      guard let name = file.graph.string(entry.key) else {
        throw file.error(
          file.pickleRecord, expected: "names of tensors",
          found: "\(file.graph.describe(entry.key)) as a key", fix: Self.saveWeights)
      }
      try addTensor(entry.value, name: name)
    }
  }

  /// Returns the entries of a dictionary, or of a list of pairs of a name and a tensor.
  private mutating func stateEntries(
    _ root: PickleReference
  ) throws -> [(key: PickleReference, value: PickleReference)]? {
    if let entries = file.graph.entries(root) { return entries }
    let node = file.graph[root]
    guard node.value == .list || node.value == .tuple, !node.items.isEmpty else { return nil }
    try spend(node.items.count)
    var pairs: [(key: PickleReference, value: PickleReference)] = []
    for item in node.items {
      let parts = file.graph[item].items
      guard parts.count == 2, file.graph.string(parts[0]) != nil else { return nil }
      pairs.append((parts[0], parts[1]))
    }
    return pairs
  }

  private mutating func addTensor(_ reference: PickleReference, name: String) throws {
    if let tensor = try file.tensor(at: reference, named: name) {
      named.tensors.append(NamedTensor(name: name, tensor: tensor))
    } else if takeList(reference, name) {
      return
    } else if let className = file.graph.className(reference),
      className.hasPrefix("torch.ScriptObject")
    {
      throw TorchModuleClass.quantised(name, className, file)
    } else if let className = file.graph.className(reference) {
      throw file.error(
        name, expected: "a dense tensor", found: "an object made by \(className)",
        fix: Self.saveWeights)
    } else {
      let what = file.graph.describe(reference)
      notes.append(Note(place: name, message: "not preserved: \(what) is not a tensor"))
    }
  }

  // MARK: - Modules

  /// Lists a module's tensors in the order of `state_dict()`: its own, then its children's.
  private mutating func visit(_ module: PickleReference, path: String, depth: Int) throws {
    guard depth < Self.mostNested else {
      throw file.error(
        path, expected: "modules nested at most \(Self.mostNested) deep", found: "more",
        fix: Self.saveWeights)
    }
    let className = file.graph.className(module) ?? "an unnamed class"
    named.modules.append(describe(module, path: path, className: className))
    for kind in ["_parameters", "_buffers"] {
      for (name, value) in try children(kind, of: module, path: path)
      where file.graph[value].value != .none {
        try addTensor(value, name: join(path, name))
      }
    }
    try noteLooseTensors(of: module, path: path)
    for (name, child) in try children("_modules", of: module, path: path)
    where file.graph[child].value != .none {
      guard isModule(child) else {
        throw file.error(
          join(path, name), expected: "a module", found: file.graph.describe(child),
          fix: Self.saveWeights)
      }
      try visit(child, path: join(path, name), depth: depth + 1)
    }
  }

  private func describe(
    _ module: PickleReference, path: String, className: String
  ) -> TorchModule {
    func attribute(_ name: String) -> PickleReference? { file.graph.attribute(name, of: module) }
    let isDropout = className.hasPrefix("torch.nn.modules.dropout.")
    var mode = attribute("mode").flatMap(file.graph.string)
    if className == "torch.nn.modules.rnn.RNNCell",
      let nonlinearity = attribute("nonlinearity").flatMap(file.graph.string)
    {
      mode = "RNN_" + nonlinearity.uppercased()
    }
    let norm = attribute("max_norm").flatMap(file.graph.double)
    return TorchModule(
      path: path, className: className, mode: mode,
      dropout: attribute(isDropout ? "p" : "dropout").flatMap(file.graph.double),
      maximumNorm: norm.map { ($0, attribute("norm_type").flatMap(file.graph.double) ?? 2) })
  }

  private mutating func children(
    _ kind: String, of module: PickleReference, path: String
  ) throws -> [(String, PickleReference)] {
    try spend(file.graph[module].state.map { file.graph[$0].entries.count } ?? 0)
    guard let group = file.graph.attribute(kind, of: module),
      let entries = file.graph.entries(group)
    else { return [] }
    try spend(entries.count)
    return try entries.map { entry in
      guard let name = file.graph.string(entry.key) else {
        throw file.error(
          join(path, kind), expected: "names", found: file.graph.describe(entry.key),
          fix: Self.saveWeights)
      }
      return (name, entry.value)
    }
  }

  /// Notes tensors that are plain attributes, which `state_dict()` also leaves out.
  private mutating func noteLooseTensors(of module: PickleReference, path: String) throws {
    guard let state = file.graph[module].state else { return }
    for entry in file.graph[state].entries {
      let name = join(path, file.graph.string(entry.key) ?? "an attribute")
      if try file.tensor(at: entry.value, named: name) != nil {
        notes.append(
          Note(place: name, message: "not preserved: a tensor that is no parameter or buffer"))
      }
    }
  }

  private func join(_ path: String, _ name: String) -> String {
    path.isEmpty ? name : "\(path).\(name)"
  }

  private mutating func spend(_ count: Int) throws {
    budget -= count + 1
    guard budget >= 0 else {
      throw file.error(
        file.pickleRecord, expected: "a model of at most 400000 entries", found: "more",
        fix: Self.saveWeights)
    }
  }
}
