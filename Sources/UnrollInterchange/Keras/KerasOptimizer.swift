// Converts Keras optimizers: names of hyperparameters, order of slots.

import UnrollFormat
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

/// Optimizers of both Keras and Unroll: SGD, Adam and RMSprop.
///
/// In Keras, weight decay is decoupled; Adam's epsilon is not bias-corrected, and RMSprop's is
/// under the root; velocities include the learning rate.
enum KerasOptimizer {
  /// The result of converting an optimizer to Keras: the optimizer with approximations, or the
  /// reason why there is none.
  enum Kept {
    case kept(OptimizerState, approximations: [String])
    case lost(String)
  }

  /// The classes and the kinds of optimizers.
  private static let classes: [(name: String, kind: OptimizerKind)] = [
    ("SGD", .sgd), ("Adam", .adam), ("AdamW", .adam), ("RMSprop", .rmsprop),
  ]

  /// The settings and the hyperparameters.
  private static let names: [(name: String, hyperparameter: Hyperparameter)] = [
    ("momentum", .momentum), ("nesterov", .nesterov), ("beta_1", .beta1), ("beta_2", .beta2),
    ("epsilon", .epsilon), ("amsgrad", .amsgrad), ("rho", .alpha), ("centered", .centered),
    ("weight_decay", .weightDecay),
  ]

  private static let clips: [(name: String, clip: @Sendable (Double) -> GradientClip)] = [
    ("clipnorm", { .parameterNorm($0) }), ("global_clipnorm", { .globalNorm($0) }),
    ("clipvalue", { .value($0) }),
  ]

  private static let globalNorm =
    "the norm of all gradients is taken with 10^-6 more than Keras takes"

  /// Returns the slots in Keras's order: some variable by variable, then others, slot by slot.
  private static func slots(
    of group: ParameterGroup, _ kind: OptimizerKind
  ) -> (together: [OptimizerSlot], apart: [OptimizerSlot]) {
    let slots = group.slots(of: kind)
    let together = kind == .adam ? [OptimizerSlot.firstMoment, .secondMoment] : []
    return (together, slots.filter { !together.contains($0) })
  }

  /// Returns the slots and variables in the order of a file.
  private static func order(
    _ variables: [KerasVariableForm], _ group: ParameterGroup, _ kind: OptimizerKind
  ) -> [(slot: OptimizerSlot, variable: KerasVariableForm)] {
    let (together, apart) = slots(of: group, kind)
    return variables.flatMap { variable in together.map { ($0, variable) } }
      + apart.flatMap { slot in variables.map { (slot, $0) } }
  }

  // MARK: - Reading

  /// The reason why an optimizer cannot be read.
  private struct Obstacle: Error { let reason: String }

  /// Returns the optimizer of a file; `nil` if it has none.
  ///
  /// - Parameters:
  ///   - compilation: The compilation settings, if there are any.
  ///   - generation: The generation of Keras.
  ///   - architecture: The model's architecture.
  ///   - variables: The optimizer's variables with their names in messages, in order.
  ///   - room: The most bytes of reordered copies.
  /// - Returns: The optimizer, or the reason why it is not preserved.
  static func read(
    _ compilation: JSONValue?, generation: Int, of architecture: Architecture,
    variables: [(name: String, tensor: Tensor?)], room: Int
  ) -> Kept? {
    guard let value = compilation?["optimizer"] ?? compilation?["optimizer_config"] else {
      return variables.isEmpty
        ? nil : .lost("the file has its numbers, but not its rule and settings")
    }
    do throws(Obstacle) {
      return try read(value, generation, architecture, variables, room)
    } catch {
      return .lost(error.reason)
    }
  }

  private static func read(
    _ value: JSONValue, _ generation: Int, _ architecture: Architecture,
    _ variables: [(name: String, tensor: Tensor?)], _ room: Int
  ) throws(Obstacle) -> Kept {
    let className = value.kerasClass ?? value.text ?? "no class"
    guard generation >= 3 else {
      throw Obstacle(reason: "optimizers of Keras 2 have another order")
    }
    guard let kind = classes.first(where: { $0.name == className })?.kind,
      let settings = value["config"]
    else { throw Obstacle(reason: "the optimizer \(className)") }
    var group = ParameterGroup(kind, parameters: architecture.parameters.map(\.path))
    try readSettings(settings, into: &group)
    var state = OptimizerState(kind: kind, step: 0, groups: [])
    var approximations: [String] = []
    if case .globalNorm? = group.clip { approximations.append(globalNorm) }
    if !variables.isEmpty {
      try readVariables(variables, architecture, room, &group, &state)
    }
    state.groups = [group]
    return .kept(state, approximations: approximations)
  }

  private static func readSettings(
    _ settings: JSONValue, into group: inout ParameterGroup
  ) throws(Obstacle) {
    for name in ["use_ema", "loss_scale_factor", "gradient_accumulation_steps"] {
      if let value = settings[name], value.bool != false {
        throw Obstacle(reason: "its setting \(name)")
      }
    }
    // Keras's defaults that differ from PyTorch's.
    for (hyperparameter, value) in [(Hyperparameter.epsilon, 1e-7), (.alpha, 0.9)]
    where group.hyperparameters[hyperparameter] != nil {
      group[hyperparameter] = value
    }
    group.weightDecayKind = .decoupled
    group.epsilonPosition = group.epsilonPosition.map { _ in
      group.hyperparameters[.beta1] != nil ? .uncorrected : .inside
    }
    for (name, hyperparameter) in names + [("learning_rate", .learningRate)]
    where group.hyperparameters[hyperparameter] != nil {
      guard let value = settings[name] else { continue }
      let number = value.number ?? value.bool.map { $0 ? 1 : 0 }
      guard let number, hyperparameter.allows(number) else {
        throw Obstacle(
          reason: value.members == nil
            ? "its \(name) is not \(hyperparameter.domain)" : "its \(name) is a schedule")
      }
      group[hyperparameter] = number
    }
    if group.hyperparameters[.learningRateInBuffer] != nil { group[.learningRateInBuffer] = 1 }
    let clips = clips.compactMap { entry in settings[entry.name]?.number.map(entry.clip) }
    guard clips.count <= 1 else { throw Obstacle(reason: "it clips gradients in two ways") }
    group.clip = clips.first
  }

  private static func readVariables(
    _ variables: [(name: String, tensor: Tensor?)], _ architecture: Architecture, _ room: Int,
    _ group: inout ParameterGroup, _ state: inout OptimizerState
  ) throws(Obstacle) {
    guard variables.count >= 2, let step = variables[0].tensor?.scalar,
      let count = Int(exactly: step), count >= 0,
      let rate = variables[1].tensor?.scalar,
      Hyperparameter.learningRate.allows(rate)
    else { throw Obstacle(reason: "it has no number of steps and no learning rate") }
    state.step = count
    group.step = count
    // The setting has more digits if it is the same number.
    if Float(group[.learningRate]) != Float(rate) { group[.learningRate] = rate }
    let order = order(architecture.kerasLayers.flatMap { $0 }, group, state.kind)
    guard variables.count == order.count + 2 else {
      // Before the first step there may be no slots.
      if variables.count == 2, count == 0 { return }
      throw Obstacle(
        reason: "it has \(variables.count - 2) variables for \(order.count) slots of the model")
    }
    // Bounds the memory of reordered copies: variables of a file may share bytes, copies do not.
    var room = room
    for ((path, tensor), (slot, form)) in zip(variables.dropFirst(2), order) {
      guard let tensor, tensor.shape == form.shape,
        tensor.dtype.isFloat, tensor.storage.count <= room
      else { throw Obstacle(reason: "its \(path) is not \(slot.rawValue) of shape \(form.shape)") }
      room -= tensor.storage.count
      for (parameter, tensor) in form.parameters(of: tensor) {
        state.slots[slot, default: ParameterTree()][parameter] = tensor
      }
    }
  }

  // MARK: - Writing

  /// Converts a model's optimizer to Keras.
  static func kept(_ state: OptimizerState, of architecture: Architecture) -> Kept {
    guard classes.contains(where: { $0.kind == state.kind }) else {
      return .lost("Keras has no optimizer that computes the same update")
    }
    guard var group = state.groups.first, state.groups.count == 1, !group.isFrozen else {
      return .lost("Keras has one group of parameters, of which none is frozen")
    }
    guard Int32(exactly: group.step) != nil else {
      return .lost("Keras counts steps with 32 bits")
    }
    if group.step > 0 {
      for slot in group.slots(of: state.kind) {
        guard architecture.parameters.allSatisfy({ state.slots[slot]?[$0.path] != nil }) else {
          return .lost("it lacks \(slot.rawValue) of a parameter")
        }
      }
    }
    if group[.dampening] > 0 { return .lost("Keras has no dampening") }
    if group[.weightDecay] > 0, group.weightDecayKind == .l2 {
      return .lost("Keras's weight decay is decoupled")
    }
    if group[.momentum] > 0, group[.learningRateInBuffer] == 0 {
      return .lost("Keras's velocities hold the learning rate")
    }
    var approximations: [String] = []
    let position: EpsilonPosition? =
      group.epsilonPosition.map { _ in state.kind == .adam ? .uncorrected : .inside }
    if group.epsilonPosition != position {
      group.epsilonPosition = position
      approximations.append(
        "epsilon \(group[.epsilon]) stands elsewhere in Keras's rule; the moments are the same")
    }
    if case .globalNorm? = group.clip { approximations.append(globalNorm) }
    group.weightDecayKind = .decoupled
    if group.hyperparameters[.learningRateInBuffer] != nil { group[.learningRateInBuffer] = 1 }
    var state = state
    // Keras has a single step count: that of the parameters, including previous trainings.
    state.groups = [group]
    state.step = group.step
    return .kept(state, approximations: approximations)
  }

  /// Returns the configuration of a converted optimizer as JSON.
  static func configuration(_ state: OptimizerState) -> String {
    guard let group = state.groups.first else { return "null" }
    let name = classes.first { $0.kind == state.kind }?.name ?? ""
    var settings = [("learning_rate", "\(group[.learningRate])")]
    for (name, hyperparameter) in names {
      guard let value = group.hyperparameters[hyperparameter] else { continue }
      let isNone = hyperparameter == .weightDecay && value == 0
      settings.append(
        (name, isNone ? "null" : hyperparameter.isFlag ? "\(value == 1)" : "\(value)"))
    }
    switch group.clip {
    case .parameterNorm(let bound): settings.append(("clipnorm", "\(bound)"))
    case .globalNorm(let bound): settings.append(("global_clipnorm", "\(bound)"))
    case .value(let bound): settings.append(("clipvalue", "\(bound)"))
    case nil: break
    }
    let members = settings.map { "\(quoted($0)): \($1)" }.joined(separator: ", ")
    return #"{"module": "keras.optimizers", "class_name": "\#(name)", "config": {\#(members)}, "#
      + #""registered_name": null}"#
  }

  /// Returns the variables of a converted optimizer in Keras's order.
  ///
  /// - Parameters:
  ///   - state: The optimizer.
  ///   - architecture: The model's architecture.
  ///   - stepType: The type of the number of steps.
  /// - Returns: The number of steps, the learning rate, and the slots, each of which it names.
  static func variables(
    _ state: OptimizerState, of architecture: Architecture, stepType: DType = .int64
  ) -> [(slot: OptimizerSlot?, tensor: Tensor)] {
    guard let group = state.groups.first else { return [] }
    let order = order(architecture.kerasLayers.flatMap { $0 }, group, state.kind)
    let slots = order.compactMap { slot, form in
      state.slots[slot].flatMap(form.variable).map { (slot: OptimizerSlot?.some(slot), tensor: $0) }
    }
    let step =
      stepType == .int64
      ? Tensor(scalar: Int64(state.step), .int64)
      : Tensor(scalar: Int32(clamping: state.step), .int32)
    let rate = Tensor(scalar: Float(group[.learningRate]).bitPattern, .float32)
    return [step, rate].compactMap { $0 }.map { (nil, $0) }
      + (slots.count == order.count ? slots : [])
  }

  /// Returns the attribute under which an optimizer of Keras 3 has a slot of all variables.
  static func attribute(of slot: OptimizerSlot, _ kind: OptimizerKind) -> String {
    switch (slot, kind) {
    case (.momentum, .sgd): "momentums"
    case (.momentum, _): "_momentums"
    case (.firstMoment, .rmsprop): "_average_gradients"
    case (.firstMoment, _): "_momentums"
    case (.secondMoment, _): "_velocities"
    case (.largestSecondMoment, _): "_velocity_hats"
    case (.sumOfSquares, _), (.secondMomentOfUpdates, _), (.average, _): slot.rawValue
    }
  }
}

extension Tensor {
  /// The value of a tensor without dimensions.
  fileprivate var scalar: Double? {
    guard shape.dimensions.isEmpty else { return nil }
    return withUnsafeBytes { bytes in
      switch dtype {
      case .int32: bytes.elements(of: Int32.self) { Double($0) }.first
      case .int64: bytes.elements(of: Int64.self) { Double($0) }.first
      default: floats()?.first.map(Double.init)
      }
    }
  }

  /// Creates a tensor without dimensions.
  init?(scalar bits: some FixedWidthInteger, _ dtype: DType) {
    self.init(
      shape: [], dtype: dtype,
      storage: .owned(Swift.withUnsafeBytes(of: bits.littleEndian) { Array($0) }))
  }
}
