// Converts an optimizer to `torch.optim.Optimizer.state_dict()`.

import UnrollFormat
import UnrollTensors

/// The dictionary of an optimizer: hyperparameters of its groups, and tensors of its parameters.
struct TorchOptimizerDictionary {
  /// A setting of a group.
  enum Setting {
    case number(Double)
    case numbers([Double])
    case flag(Bool)
    case none
  }

  /// The settings of a group in PyTorch's order, and the indices of its parameters.
  struct Group {
    let settings: [(name: String, value: Setting)]
    let parameters: [Int]
  }

  /// The tensors of a parameter by PyTorch's names, in PyTorch's order.
  struct Entry {
    let parameter: Int
    let tensors: [(name: String, tensor: Tensor)]
  }

  /// The groups.
  private(set) var groups: [Group] = []
  /// The slots by parameter; empty for an optimizer without slots.
  private(set) var entries: [Entry] = []

  /// Creates the dictionary.
  ///
  /// - Parameters:
  ///   - optimizer: The optimizer.
  ///   - order: The parameters in the order of `model.parameters()`.
  /// - Throws: `InterchangeError` for formulas that PyTorch does not support.
  init(_ optimizer: OptimizerState, order: [ParameterPath]) throws {
    let numbers = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
    guard let form = TorchOptimizerForm.all[optimizer.kind] else {
      throw Self.unsupported(optimizer.kind, found: "an optimizer that PyTorch does not have")
    }
    for group in optimizer.groups {
      try Self.check(group, optimizer.kind)
      groups.append(
        Group(
          settings: Self.settings(of: group, form),
          parameters: group.parameters.compactMap { numbers[$0] }))
      guard group.step > 0 else { continue }
      let slots = group.slots(of: optimizer.kind)
      guard !slots.isEmpty else { continue }
      for path in group.parameters {
        guard let parameter = numbers[path] else { continue }
        entries.append(
          Entry(
            parameter: parameter, tensors: try Self.tensors(of: path, group, optimizer, slots, form)
          ))
      }
    }
    entries.sort { $0.parameter < $1.parameter }
  }

  /// Refuses settings with which a step of PyTorch's optimizers would differ.
  private static func check(_ group: ParameterGroup, _ kind: OptimizerKind) throws {
    let found: String? =
      if group[.learningRateInBuffer] == 1 {
        "a velocity with the learning rate inside, as Keras has it"
      } else if let position = group.epsilonPosition, position != kind.epsilonPositions.first {
        "an epsilon in another place (\(position.rawValue)), as Keras has it"
      } else if group.weightDecayKind == .decoupled, kind != .adam, group[.weightDecay] > 0 {
        "decoupled weight decay"
      } else {
        nil
      }
    if let found { throw unsupported(kind, found: found) }
  }

  private static func unsupported(_ kind: OptimizerKind, found: String) -> InterchangeError {
    InterchangeError(
      file: "the checkpoint", place: "/optimizer",
      expected: "the formulas of PyTorch's \(kind.rawValue)", found: found,
      fix: "`--to pytorch` writes the weights alone")
  }

  private static func settings(
    of group: ParameterGroup, _ form: TorchOptimizerForm
  ) -> [(String, Setting)] {
    form.settings.map { name, setting in
      let value: Setting =
        switch setting {
        case .number(let hyperparameter): .number(group[hyperparameter])
        case .pair(let first, let second): .numbers([group[first], group[second]])
        case .flag(let hyperparameter): .flag(group[hyperparameter] == 1)
        case .decoupling: .flag(group.weightDecayKind == .decoupled)
        case .fixed(let flag): flag.map(Setting.flag) ?? .none
        }
      return (name, value)
    }
  }

  private static func tensors(
    of path: ParameterPath, _ group: ParameterGroup, _ optimizer: OptimizerState,
    _ slots: [OptimizerSlot], _ form: TorchOptimizerForm
  ) throws -> [(String, Tensor)] {
    // PyTorch's SGD does not count steps.
    var tensors: [(String, Tensor)] =
      optimizer.kind == .sgd ? [] : [("step", scalar(Double(group.step)))]
    if let averaging = group.averaging {
      tensors += [("eta", scalar(averaging.eta)), ("mu", scalar(averaging.mu))]
    }
    for (name, slot) in form.slots where slots.contains(slot) {
      guard let tensor = optimizer.slots[slot]?[path] else {
        throw InterchangeError(
          file: "the checkpoint", place: "/optimizer", expected: "\(slot.rawValue) of \(path)",
          found: "none", fix: "`unroll validate` shows what is wrong with it")
      }
      tensors.append((name, tensor))
    }
    return tensors
  }

  /// Returns a tensor without dimensions: f32 like PyTorch's, f64 for a number that f32 cannot
  /// represent.
  private static func scalar(_ value: Double) -> Tensor {
    let isExact = Double(Float(value)) == value
    let bytes =
      isExact
      ? withUnsafeBytes(of: Float(value).bitPattern.littleEndian, Array.init)
      : withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init)
    guard
      let tensor = Tensor(
        shape: [], dtype: isExact ? .float32 : .float64, storage: .owned(bytes))
    else { preconditionFailure("a scalar has the bytes of one number") }
    return tensor
  }
}
