// Reads an optimizer's state_dict beside the model's.

import UnrollFormat
import UnrollTensors

/// The content of `torch.optim.Optimizer.state_dict()` that a checkpoint can represent.
struct TorchOptimizer {
  /// The optimizer; `nil` if it is not preserved, which a note states.
  private(set) var state: OptimizerState?
  /// Notes on assumptions and on properties that are not preserved.
  private(set) var notes: [Note] = []

  private let file: TorchFile
  private let place: String
  private let parameters: [ParameterPath]
  private let architecture: Architecture
  /// The number of bytes of tensors that may still be copied.
  private var room: Int
  /// The records whose CRC-32 was checked: tensors may share one.
  private var verified: Set<String> = []
  /// The maximum number of entries in a dictionary of settings, which is searched repeatedly.
  private static let mostEntries = 64

  /// Reads an optimizer's state.
  ///
  /// - Parameters:
  ///   - entry: The optimizer's state_dict and its name.
  ///   - parameters: The parameters in the order of the model's `parameters()`.
  ///   - architecture: The model's architecture.
  ///   - file: The file.
  /// - Throws: `InterchangeError` if its tensors are damaged.
  init(
    _ entry: TorchModel.Extra, parameters: [ParameterPath], architecture: Architecture,
    file: TorchFile
  ) throws {
    self.file = file
    room = file.roomForCopies
    (place, self.parameters, self.architecture) = (entry.name, parameters, architecture)
    do throws(Obstacle) {
      state = try read(entry.value)
    } catch {
      state = nil
      switch error {
      case .loss(let reason):
        notes.append(Note(place: place, message: "the optimizer is not preserved: \(reason)"))
      case .damage(let damage): throw damage
      }
    }
  }

  /// The reason why there is no state.
  private enum Obstacle: Error {
    /// The optimizer is unsupported.
    case loss(String)
    /// The tensors are damaged.
    case damage(InterchangeError)
  }

  // MARK: - Groups

  private mutating func read(_ root: PickleReference) throws(Obstacle) -> OptimizerState {
    guard let groups = value("param_groups", in: root).map({ file.graph[$0].items }),
      let first = groups.first, let entries = value("state", in: root)
    else { throw .loss("it is no state_dict of an optimizer") }
    guard max(groups.count, file.graph.entries(entries)?.count ?? 0) <= parameters.count else {
      throw .loss("it is of more than the model's \(parameters.count) parameters")
    }
    let (kind, form) = try kind(of: first)
    var state = OptimizerState(kind: kind, step: 0, groups: [])
    var seen: Set<Int> = []
    for group in groups {
      guard try self.kind(of: group).kind == kind,
        let indices = value("params", in: group).flatMap(file.graph.ints),
        indices.allSatisfy({ parameters.indices.contains($0) && seen.insert($0).inserted })
      else { throw .loss("its groups are not of the model's \(parameters.count) parameters") }
      var result = ParameterGroup(
        kind, parameters: indices.sorted().map { parameters[$0] })
      try readHyperparameters(of: group, form, into: &result)
      try readState(entries, indices, of: &result, kind, form, into: &state)
      state.groups.append(result)
    }
    guard seen.count == parameters.count else {
      throw .loss("it has \(seen.count) of the model's \(parameters.count) parameters")
    }
    state.step = state.groups.map(\.step).max() ?? 0
    return state
  }

  /// Returns the kind, from the names of a group's hyperparameters: the file does not name the
  /// class.
  private func kind(
    of group: PickleReference
  ) throws(Obstacle) -> (kind: OptimizerKind, form: TorchOptimizerForm) {
    let names = Set(settings(in: group).compactMap { file.graph.string($0.key) })
    // Hyperparameters of other optimizers with otherwise equal names.
    let foreign: Set = ["momentum_decay", "rebound", "etas", "max_iter"]
    let kinds = TorchOptimizerForm.all.filter { _, form in
      names.isSuperset(of: form.signs) && names.isDisjoint(with: foreign)
    }
    guard let found = kinds.first, kinds.count == 1 else {
      throw .loss("its numbers are of no optimizer that the format has: \(list(names.sorted()))")
    }
    if flag("maximize", in: group) == true { throw .loss("it maximises") }
    return (found.key, found.value)
  }

  private mutating func readHyperparameters(
    of group: PickleReference, _ form: TorchOptimizerForm, into result: inout ParameterGroup
  ) throws(Obstacle) {
    func set(_ hyperparameter: Hyperparameter, _ number: Double) throws(Obstacle) {
      guard hyperparameter.allows(number) else {
        throw .loss("\(hyperparameter.rawValue) is \(number), not \(hyperparameter.domain)")
      }
      result[hyperparameter] = number
    }
    for (name, setting) in form.settings {
      switch setting {
      case .number(let hyperparameter), .flag(let hyperparameter):
        if let number = try number(name, in: group) { try set(hyperparameter, number) }
      case .pair(let first, let second):
        guard let both = value(name, in: group).flatMap(file.graph.tuple), both.count == 2 else {
          continue
        }
        for (hyperparameter, value) in zip([first, second], both) {
          guard let number = file.graph.double(value) else {
            throw .loss("its \(name) are no numbers")
          }
          try set(hyperparameter, number)
        }
      case .decoupling:
        readDecoupling(flag(name, in: group), into: &result)
      case .fixed: continue
      }
    }
  }

  /// Takes the form of weight decay, which old versions of PyTorch do not tell.
  private mutating func readDecoupling(_ isDecoupled: Bool?, into result: inout ParameterGroup) {
    if let isDecoupled {
      result.weightDecayKind = isDecoupled ? .decoupled : .l2
    } else if result[.weightDecay] > 0 {
      notes.append(
        Note(
          place: place,
          message: "assumed: weight decay is added to the gradient (Adam); of this version of "
            + "PyTorch the file does not tell Adam from AdamW"))
    }
  }

  // MARK: - State

  /// Reads the slots of a group's parameters.
  private mutating func readState(
    _ entries: PickleReference, _ indices: [Int], of group: inout ParameterGroup,
    _ kind: OptimizerKind, _ form: TorchOptimizerForm, into state: inout OptimizerState
  ) throws(Obstacle) {
    let shapes = Dictionary(
      uniqueKeysWithValues: architecture.parameters.map { ($0.path, $0.shape) })
    let wanted = group.slots(of: kind)
    var shared: [String: Set<Double>] = [:]
    var found = 0
    for index in indices {
      guard let entry = entry(index, in: entries) else { continue }
      found += 1
      for name in ["step", "eta", "mu"] {
        if let number = try number(name, in: entry) { shared[name, default: []].insert(number) }
      }
      for (name, slot) in form.slots where wanted.contains(slot) {
        guard let tensor = try tensor(name, of: index, in: entry) else { continue }
        guard tensor.shape == shapes[parameters[index]] else {
          throw .loss("\(name) of parameter \(index) has the shape \(tensor.shape)")
        }
        state.slots[slot, default: ParameterTree()][parameters[index]] = tensor
      }
    }
    guard found == 0 || found == indices.count else {
      throw .loss("it remembers \(found) of the \(indices.count) parameters of a group")
    }
    for (name, numbers) in shared where numbers.count > 1 {
      throw .loss("the parameters of a group have several numbers \(name)")
    }
    let step = shared["step"]?.first ?? 0
    guard let count = Int(exactly: step), count >= 0 else { throw .loss("its step is \(step)") }
    // SGD does not count steps; the presence of velocities shows that there was one.
    group.step = kind == .sgd && found > 0 ? max(count, 1) : count
    if let eta = shared["eta"]?.first, let mu = shared["mu"]?.first, kind == .asgd {
      group.averaging = ParameterGroup.Averaging(eta: eta, mu: mu)
    }
    for slot in wanted where group.step > 0 {
      guard group.parameters.allSatisfy({ state.slots[slot]?[$0] != nil }) else {
        throw .loss("it lacks \(slot.rawValue) of a parameter")
      }
    }
  }

  private func entry(_ index: Int, in state: PickleReference) -> PickleReference? {
    (file.graph.entries(state) ?? []).last { file.graph.int($0.key) == index }?.value
  }

  // MARK: - Values

  private func value(_ name: String, in dictionary: PickleReference) -> PickleReference? {
    settings(in: dictionary).last { file.graph.string($0.key) == name }?.value
  }

  /// Returns the entries of a dictionary; none if there are too many for settings.
  private func settings(
    in dictionary: PickleReference
  ) -> [(key: PickleReference, value: PickleReference)] {
    let entries = file.graph.entries(dictionary) ?? []
    return entries.count <= Self.mostEntries ? entries : []
  }

  private func flag(_ name: String, in group: PickleReference) -> Bool? {
    guard let value = value(name, in: group), case .bool(let flag) = file.graph[value].value
    else { return nil }
    return flag
  }

  /// Returns a Python number, or the value of a tensor without dimensions.
  private mutating func number(
    _ name: String, in group: PickleReference
  ) throws(Obstacle) -> Double? {
    guard let value = value(name, in: group) else { return nil }
    if let flag = flag(name, in: group) { return flag ? 1 : 0 }
    if let number = file.graph.double(value) { return number }
    guard let tensor = try tensor(at: value, named: name), tensor.elementCount == 1 else {
      return nil
    }
    guard tensor.dtype == .float64 else { return tensor.floats().flatMap(\.first).map(Double.init) }
    return tensor.withUnsafeBytes { $0.elements(of: UInt64.self) { Double(bitPattern: $0) } }.first
  }

  private mutating func tensor(
    _ name: String, of index: Int, in entry: PickleReference
  ) throws(Obstacle) -> Tensor? {
    guard let value = value(name, in: entry) else { return nil }
    return try tensor(at: value, named: "state.\(index).\(name)")
  }

  private mutating func tensor(
    at value: PickleReference, named name: String
  ) throws(Obstacle) -> Tensor? {
    do {
      let name = "\(place).\(name)"
      guard let tensor = try file.tensor(at: value, named: name) else { return nil }
      if verified.insert(tensor.record).inserted { _ = try file.verifyStorages(of: [tensor]) }
      return try file.contents(of: tensor, named: name, room: &room)
    } catch let error as InterchangeError {
      throw .damage(error)
    } catch {
      throw .loss("\(name) cannot be read: \(error)")
    }
  }
}
