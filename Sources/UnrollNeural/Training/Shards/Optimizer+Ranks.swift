// The state of an optimizer that is divided among ranks.

import UnrollFormat

extension Optimizer {
  /// Keeps only this rank's slices of the slots of parameters that ranks own.
  ///
  /// - Parameter owned: The parameters.
  public mutating func divide(_ owned: OwnedParameters) {
    self.owned = owned
    for slot in Array(slots.keys) {
      for path in slots[slot]?.paths ?? [] where owned.contains(path) {
        _ = slots[slot]?.update(path) { $0 = owned.slices(of: $0) }
      }
    }
  }

  /// Gathers slots that are divided among ranks; they are kept until the next step.
  ///
  /// - Parameters:
  ///   - chosen: The slots; `nil` for all.
  ///   - root: The only rank that needs them; `nil` for all.
  ///   - architecture: The model's architecture.
  ///   - group: The ranks.
  /// - Throws: An error if the connection fails.
  public mutating func gatherSlots(
    _ chosen: OptimizerSlot? = nil, at root: Int? = nil, of architecture: Architecture,
    over group: any RankGroup
  ) throws {
    guard let owned else { return }
    for slot in kind.slots where chosen == nil || slot == chosen {
      guard let tree = slots[slot] else { continue }
      var whole = ParameterTree<[Float]>()
      for (path, shape) in architecture.parameters where owned.contains(path) {
        guard let own = tree[path] else { continue }
        let all = try owned.gathered(
          own, count: shape.elementCount ?? 0, at: root, over: group)
        if root == nil || root == group.rank { whole[path] = all }
      }
      if root == nil || root == group.rank { gathered[slot] = whole }
    }
  }

  /// `true` if this rank has the slots of all parameters, for `state(for:)`.
  public var isWhole: Bool { owned == nil || slots.keys.allSatisfy { gathered[$0] != nil } }
}
