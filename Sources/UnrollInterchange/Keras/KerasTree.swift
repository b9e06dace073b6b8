// Maps groups of a file of weights to layers by class names and by the shapes of variables.

import UnrollFormat
import UnrollHDF5
import UnrollTensors

/// A layer of a file of weights alone.
struct KerasModule {
  /// The group, or the name in a list of layers.
  let place: String
  /// The group or list that contains it; the numbers in names count the layers of a class there.
  let parent: String
  /// Its class in snake case; `nil` if the name is the user's.
  let className: String?
  /// Its number among the layers of its class.
  let number: Int
  /// The paths of its variables, in order.
  let variables: [String]
}

/// The groups of a file, each with its variables in `vars`.
struct KerasTree {
  /// The layers with variables, by group name.
  private(set) var modules: [KerasModule] = []
  /// The groups of layers without variables.
  private(set) var weightless: [(place: String, className: String)] = []
  private let container: ForeignContainer
  /// The visited groups; links may lead to one twice.
  private var met: Set<String> = []
  /// The visited groups of layers.
  private var layers: Set<String> = []

  /// Returns `true` if a file has such groups.
  static func isTree(_ container: ForeignContainer) -> Bool {
    KerasVariables.layerGroups.contains(where: container.exists)
      || (container.exists("/vars") && !container.isDataset("/vars"))
  }

  /// Returns the groups of layers without variables that may have an effect nevertheless.
  static func weightless(in container: ForeignContainer) -> [String] {
    KerasTree(container).weightless.map(\.place)
  }

  /// Reads the groups of a file.
  init(_ container: ForeignContainer) {
    self.container = container
    visitMembers(of: "", isList: false, depth: 0)
  }

  /// Groups of a saveable object that contain no layers.
  private static let parts: Set = [
    "vars", "optimizer", "seed_generator", "_random_generator", "random_generator", "metrics",
    "_metrics", "compile_metrics", "_compile_metrics", "loss_tracker", "_loss_tracker",
  ]

  private mutating func visitMembers(of group: String, isList: Bool, depth: Int) {
    guard depth < 16, met.insert(container.firstPath(group.isEmpty ? "/" : group)).inserted else {
      return
    }
    // If links lead to one layer twice, it gets its name in the group of all layers.
    let names = container.members(of: group.isEmpty ? "/" : group)
    let isRoot = { (name: String) in KerasVariables.layerGroups.contains("/\(name)") }
    for name in names.filter(isRoot) + names.filter({ !isRoot($0) })
    where !Self.parts.contains(name) && !container.isDataset("\(group)/\(name)") {
      visit("\(group)/\(name)", name, parent: group, isList: isList, depth: depth)
    }
  }

  private mutating func visit(
    _ group: String, _ name: String, parent: String, isList: Bool, depth: Int
  ) {
    let members = container.members(of: group)
    guard !layers.contains(container.firstPath(group)) else { return }
    guard members.contains("vars") || hasOwnVariables(group, members) else {
      // In a list of layers, names are those of classes.
      visitMembers(of: group, isList: true, depth: depth + 1)
      return
    }
    let (className, number) = className(of: group, name, isList: isList)
    let lists = members.filter { KerasVariables.layerGroups.contains("/\($0)") }
    if !lists.isEmpty,
      className.map({ ["sequential", "functional", "model"].contains($0) }) ?? true
    {
      visitMembers(of: group, isList: false, depth: depth + 1)
      return
    }
    layers.insert(container.firstPath(group))
    let found = variables(of: group)
    guard !found.isEmpty else {
      if !hasNumbers(group, depth: depth) {
        let isRandom = members.contains { ["seed_generator", "_random_generator"].contains($0) }
        weightless.append((group, isRandom ? "dropout" : className ?? name))
      }
      return add(group, parent, className, number, [])
    }
    for cell in found { add(group, parent, className, number, cell) }
  }

  private mutating func add(
    _ group: String, _ parent: String, _ className: String?, _ number: Int, _ variables: [String]
  ) {
    guard !variables.isEmpty || hasNumbers(group, depth: 0) else { return }
    modules.append(
      KerasModule(
        place: group, parent: parent, className: className, number: number, variables: variables))
  }

  /// Returns the class by a name that Keras gave: in a list the group's, else the recorded name if
  /// it is a Keras class.
  private func className(
    of group: String, _ name: String, isList: Bool
  ) -> (name: String?, number: Int) {
    if isList {
      let (base, number) = KerasKinds.split(name)
      return (base, number)
    }
    let noted = container.text("\(group)/vars", "name").map(KerasKinds.split)
    for (base, number) in [noted, KerasKinds.split(name)].compactMap({ $0 })
    where KerasRoles.classes.contains(base) || KerasKinds.harmlessGroups.contains(base) {
      return (base, number)
    }
    // A user's name does not determine the class.
    return (nil, noted?.number ?? 0)
  }

  private func hasOwnVariables(_ group: String, _ members: [String]) -> Bool {
    ["cell", "layer", "forward_layer"].contains { members.contains($0) }
  }

  /// Returns the variables of a layer; for several cells in one layer, those of each.
  private func variables(of group: String) -> [[String]] {
    let cells = "\(group)/cell/cells"
    if container.exists(cells) {
      // In the order of their numbers if they are of one class; else the order is unknown.
      let names = container.members(of: cells)
      let split = names.map { (name: $0, key: KerasKinds.split($0)) }
      guard Set(split.map(\.key.base)).count == 1 else {
        return names.map { numbered("\(cells)/\($0)/vars") }
      }
      return split.sorted { $0.key.number < $1.key.number }.map {
        numbered("\(cells)/\($0.name)/vars")
      }
    }
    for inner in ["cell/vars", "layer/vars", "vars"] {
      let places = numbered("\(group)/\(inner)")
      if !places.isEmpty { return [places] }
    }
    return []
  }

  private func numbered(_ group: String) -> [String] {
    container.members(of: group).compactMap { Int($0) }.sorted().map { "\(group)/\($0)" }
      .filter(container.exists)
  }

  /// Returns `true` if there are variables anywhere below a group, other than those of random
  /// generators.
  private func hasNumbers(_ group: String, depth: Int) -> Bool {
    container.members(of: group).contains { name in
      let path = "\(group)/\(name)"
      guard name != "seed_generator", name != "_random_generator", depth < 16 else { return false }
      if container.isDataset(path) { return true }
      // Links may form cycles.
      return container.firstPath(path) == path && hasNumbers(path, depth: depth + 1)
    }
  }
}
