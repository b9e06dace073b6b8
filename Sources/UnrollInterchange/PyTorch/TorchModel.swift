// The named tensors of a torch file, as `state_dict()` would name them.

import UnrollTensors

/// The tensors of a state_dict or of a pickled module.
struct TorchModel {
  /// The file.
  let file: TorchFile
  /// The tensors, in the file's order, and the modules, if the file holds a whole one.
  private(set) var named: NamedTensors
  /// The state of an optimizer beside the model, if there is one.
  private(set) var optimizer: Extra?
  /// What a list holds beside its model and modules without parameters.
  private(set) var listed: [PickleReference] = []
  /// The lists of tokens beside the model.
  private(set) var lists: [PickledTokens] = []
  private var listBudget = PickledTokens.Budget()
  /// What was left behind or assumed.
  private(set) var notes: [Note]
  /// Entries that may still be looked at: a small pickle can describe a huge tree of shared modules.
  private var budget = 400_000
  /// How deep modules may be nested.
  private static let mostNested = 64

  /// Something beside the model, with its name.
  struct Extra: Sendable {
    let name: String
    let value: PickleReference
  }

  /// Finds the model in a file and lists its tensors.
  ///
  /// - Parameters:
  ///   - file: The file.
  ///   - names: The names of tensors in the file, by those that they shall have.
  /// - Throws: `InterchangeError` if the file holds no model, or several.
  init(_ file: TorchFile, names: [String: String] = [:]) throws {
    self.file = file
    named = NamedTensors(file: file)
    notes = file.notes
    let root = try unwrapped(file.graph.root)
    if isModule(root) {
      try visit(root, path: "", depth: 0)
    } else {
      try readStateDictionary(root)
    }
    try named.checkNames(fix: Self.saveWeights)
    notes += try named.normalize(names)
  }

  // MARK: - Finding the model

  private static let wrappers = ["model_state_dict", "state_dict", "model"]
  private static let optimizers = ["optimizer_state_dict", "optimizer", "optim"]
  private static let saveWeights =
    "save the weights of the language model: `torch.save(model.state_dict(), \"new.pt\")`"

  /// The model inside the dictionary or list of a training script.
  private mutating func unwrapped(_ root: PickleReference) throws -> PickleReference {
    guard let entries = file.graph.entries(root) else { return try modelInList(root) ?? root }
    try spend(entries.count)
    let named = entries.map { (key: file.graph.string($0.key), value: $0.value) }
    let inner = named.filter { entry in
      entry.key.map(Self.wrappers.contains) == true
        && (file.graph.entries(entry.value) != nil || isModule(entry.value))
    }
    guard let model = inner.first else { return root }
    guard inner.count == 1 else {
      throw file.error(
        file.pickleRecord, expected: "one model", found: list(inner.map { $0.key ?? "" }),
        fix: Self.saveWeights)
    }
    optimizer = named.first { $0.key.map(Self.optimizers.contains) == true }
      .map { Extra(name: $0.key ?? "", value: $0.value) }
    let rest = named.filter {
      $0.value != model.value && $0.value != optimizer?.value && !takeList($0.value, $0.key)
    }.map { $0.key ?? "an entry without name" }
    if !rest.isEmpty {
      notes.append(Note(place: file.pickleRecord, message: "not carried: \(list(rest))"))
    }
    return model.value
  }

  /// Keeps a value that lists tokens; false if it is another one.
  private mutating func takeList(_ value: PickleReference, _ name: String?) -> Bool {
    guard let name,
      let list = PickledTokens(value, named: name, in: file.graph, budget: &listBudget)
    else { return false }
    lists.append(list)
    return true
  }

  /// The module among `[model, criterion, optimizer]`, as AWD-LSTM saves, or `nil` if there is none.
  private mutating func modelInList(_ root: PickleReference) throws -> PickleReference? {
    let node = file.graph[root]
    guard node.value == .list || node.value == .tuple else { return nil }
    try spend(node.items.count)
    // A criterion is a module too, without parameters unless it is a part of the model.
    let models = try node.items.filter { try isModule($0) && hasParameters($0, depth: 0) }
    guard let model = models.first else { return nil }
    guard models.count == 1 else {
      throw file.error(
        file.pickleRecord, expected: "one model with parameters",
        found: list(models.map(file.graph.describe)), fix: Self.saveWeights)
    }
    listed = node.items.filter { $0 != model && !isModule($0) }
    return model
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

  /// Whether a value is a pickled `torch.nn.Module`, of whatever class.
  private func isModule(_ reference: PickleReference) -> Bool {
    file.graph.attribute("_parameters", of: reference) != nil
      && file.graph.attribute("_modules", of: reference) != nil
  }

  // MARK: - State dictionaries

  private mutating func readStateDictionary(_ root: PickleReference) throws {
    guard let entries = file.graph.entries(root) else {
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

  private mutating func addTensor(_ reference: PickleReference, name: String) throws {
    if let tensor = try file.tensor(at: reference, named: name) {
      named.tensors.append(NamedTensor(name: name, tensor: tensor))
    } else if takeList(reference, name) {
      return
    } else if let className = file.graph.className(reference) {
      throw file.error(
        name, expected: "a dense tensor", found: "an object made by \(className)",
        fix: Self.saveWeights)
    } else {
      let what = file.graph.describe(reference)
      notes.append(Note(place: name, message: "not carried: \(what) is not a tensor"))
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
    let isEmbedding = className == "torch.nn.modules.sparse.Embedding"
    return TorchModule(
      path: path, className: className, mode: attribute("mode").flatMap(file.graph.string),
      dropout: attribute(isDropout ? "p" : "dropout").flatMap(file.graph.double),
      maximumNorm: isEmbedding ? attribute("max_norm").flatMap(file.graph.double) : nil)
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

  /// `state_dict()` leaves out tensors that are plain attributes; so do we, but not silently.
  private mutating func noteLooseTensors(of module: PickleReference, path: String) throws {
    guard let state = file.graph[module].state else { return }
    for entry in file.graph[state].entries {
      let name = join(path, file.graph.string(entry.key) ?? "an attribute")
      if try file.tensor(at: entry.value, named: name) != nil {
        notes.append(
          Note(place: name, message: "not carried: a tensor that is no parameter or buffer"))
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
