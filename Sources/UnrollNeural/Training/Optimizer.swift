// A running optimizer: it updates a model's parameters by their gradients.

import CUnrollKernels
import Foundation
import UnrollFormat
import UnrollTensors

/// The optimizers of `torch.optim`, and Keras's variants of them if a group declares these.
///
/// `spec/FORMAT.md` has the formulas.
public struct Optimizer: Sendable {
  /// The kind of the optimizer.
  public let kind: OptimizerKind
  /// The number of completed steps.
  public private(set) var stepCount: Int
  /// The groups; settings that may change between steps, such as the learning rate, are theirs.
  public var groups: [ParameterGroup]
  /// The numbers of each slot, of the parameters that have it; of parameters that ranks own, this rank's slices.
  var slots: [OptimizerSlot: ParameterTree<[Float]>] = [:]
  /// The parameters that ranks own; `nil` without other ranks.
  public internal(set) var owned: OwnedParameters?
  /// The whole slots of parameters that ranks own, as far as they were gathered since the last step.
  var gathered: [OptimizerSlot: ParameterTree<[Float]>] = [:]

  /// Takes up a state; missing slots begin as in a new optimizer.
  ///
  /// - Parameters:
  ///   - state: The state, or a new one with groups alone.
  ///   - architecture: The model's architecture.
  public init(_ state: OptimizerState, for architecture: Architecture) {
    (kind, stepCount, groups) = (state.kind, state.step, state.groups)
    let shapes = Dictionary(
      uniqueKeysWithValues: architecture.parameters.map { ($0.path, $0.shape) })
    for group in groups {
      for slot in group.slots(of: kind) {
        for path in group.parameters {
          slots[slot, default: ParameterTree()][path] =
            state.slots[slot]?[path]?.floats()
            ?? Array(repeating: group.initial(slot), count: shapes[path]?.elementCount ?? 0)
        }
      }
    }
  }

  /// The maximum number of slots of a parameter.
  public var slotCount: Int { groups.map { $0.slots(of: kind).count }.max() ?? 0 }

  /// Creates an optimizer with one group of all parameters.
  ///
  /// - Parameters:
  ///   - kind: The kind of the optimizer.
  ///   - hyperparameters: The hyperparameters that differ from PyTorch's defaults.
  ///   - clip: The gradient clipping, or `nil` for none.
  ///   - architecture: The model's architecture.
  public init(
    _ kind: OptimizerKind, _ hyperparameters: [Hyperparameter: Double] = [:],
    clip: GradientClip? = nil, for architecture: Architecture
  ) {
    let group = ParameterGroup(
      kind, hyperparameters, clip: clip, parameters: architecture.parameters.map(\.path))
    self.init(OptimizerState(kind: kind, step: 0, groups: [group]), for: architecture)
  }

  /// Returns the state to be saved.
  ///
  /// - Parameter architecture: The model's architecture.
  /// - Returns: Groups, and tensors for the slots in use. With other ranks, slots must have been gathered.
  public func state(for architecture: Architecture) -> OptimizerState {
    precondition(isWhole, "slots of other ranks were not gathered")
    return OptimizerState(
      kind: kind, step: stepCount, groups: groups,
      slots: slots.keys.reduce(into: [:]) { $0[$1] = whole($1).tensors(of: architecture) })
  }

  /// Returns a slot of all parameters.
  private func whole(_ slot: OptimizerSlot) -> ParameterTree<[Float]> {
    var tree = slots[slot] ?? ParameterTree()
    guard let gathered = gathered[slot] else { return tree }
    for path in gathered.paths { tree[path] = gathered[path] }
    return tree
  }

  /// Switches to ASGD from the next step: its averages begin there, nothing else changes.
  ///
  /// - Parameter architecture: The model's architecture.
  public mutating func beginAveraging(for architecture: Architecture) {
    var state = OptimizerState(kind: .asgd, step: stepCount, groups: [])
    for group in groups {
      var averaged = ParameterGroup(
        .asgd,
        [
          .learningRate: group[.learningRate], .weightDecay: group[.weightDecay], .lambda: 0,
          .start: 0,
        ], clip: group.clip, parameters: group.parameters)
      averaged.weightDecayKind = group.weightDecayKind
      averaged.isFrozen = group.isFrozen
      state.groups.append(averaged)
    }
    let owned = owned
    self = Optimizer(state, for: architecture)
    if let owned { divide(owned) }
  }

  /// Returns the averages of the parameters that ASGD keeps; none for other optimizers and before the first
  /// step.
  ///
  /// With other ranks, they must have been gathered.
  public func averages(for architecture: Architecture) -> ParameterTree<Tensor>? {
    guard kind == .asgd, groups.contains(where: { $0.step > 0 }) else { return nil }
    return whole(.average).tensors(of: architecture)
  }

  /// Returns the norm of the gradients of all parameters that are not frozen.
  ///
  /// - Parameters:
  ///   - model: A model after `backpropagate`.
  ///   - squares: The sums of squares that are known, of parameters that ranks own.
  /// - Returns: The norm, before any clipping.
  public func gradientNorm(
    of model: TrainableModel, squares: [ParameterPath: Double] = [:]
  ) -> Double {
    let gradients = model.gradients
    var sum = 0.0
    for path in trained { sum += squares[path] ?? gradients[path]?.sumOfSquares ?? 0 }
    return sum.squareRoot()
  }

  /// The parameters that are not frozen.
  public var trained: [ParameterPath] { groups.filter { !$0.isFrozen }.flatMap(\.parameters) }

  /// Updates the parameters of a model by the gradients of its last window.
  ///
  /// - Parameters:
  ///   - model: The model.
  ///   - norm: The norm of its gradients, from `gradientNorm`.
  ///   - squares: The sums of squares that are known, of parameters that ranks own.
  ///   - multiplier: The factor of the learning rates in this step.
  public mutating func step(
    _ model: TrainableModel, gradientNorm norm: Double, squares: [ParameterPath: Double] = [:],
    multiplier: Double = 1
  ) {
    step(gradientNorm: norm, squares: squares, multiplier: multiplier, of: model.update)
  }

  /// Resets all slots and the groups' step counts; `stepCount` is kept.
  public mutating func forget() {
    for group in groups {
      for slot in slots.keys {
        let initial = group.initial(slot)
        for path in group.parameters {
          _ = slots[slot]?.update(path) { values in
            for index in values.indices { values[index] = initial }
          }
        }
      }
    }
    for index in groups.indices {
      groups[index].step = 0
      if kind == .asgd { groups[index].averaging = .init(eta: groups[index][.learningRate], mu: 1) }
    }
  }

  /// Updates parameters.
  ///
  /// - Parameters:
  ///   - norm: The norm of their gradients.
  ///   - squares: The sums of squares that are known, of parameters that ranks own.
  ///   - multiplier: The factor of the learning rates in this step.
  ///   - update: Calls a closure with each parameter's path, numbers and gradient.
  mutating func step(
    gradientNorm norm: Double, squares: [ParameterPath: Double] = [:], multiplier: Double = 1,
    of update: ((ParameterPath, inout [Float], Gradient) -> Void) -> Void
  ) {
    gathered = [:]
    let updates = beginStep(gradientNorm: norm, multiplier)
    update { path, values, gradient in
      guard var update = updates[path] else { return }
      if let bound = update.parameterBound {
        let norm = (squares[path] ?? gradient.sumOfSquares).squareRoot()
        update.numbers.scale = Float(bound / max(norm, bound))
      }
      var used = kind.slots.map { slots[$0]?.remove(path) ?? [] }
      let slices = owned.flatMap { $0.contains(path) ? $0.slices(count: values.count) : nil }
      values.withUnsafeMutableBufferPointer { values in
        withAddresses(of: &used) {
          StepArguments(values, $0, update.numbers).step(gradient, slices)
        }
      }
      for (slot, values) in zip(kind.slots, used) where !values.isEmpty {
        slots[slot]?[path] = values
      }
    }
    for index in groups.indices where !groups[index].isFrozen {
      groups[index].endStep(of: kind, multiplier)
    }
    stepCount += 1
  }

  /// Returns the hyperparameters of a step for each parameter that is not frozen.
  private func beginStep(
    gradientNorm norm: Double, _ multiplier: Double
  ) -> [ParameterPath: Update] {
    var updates: [ParameterPath: Update] = [:]
    for group in groups where !group.isFrozen {
      var update = Update(numbers: group.beginStep(of: kind, multiplier))
      switch group.clip {
      // PyTorch's small number keeps a zero norm from dividing.
      case .globalNorm(let bound): update.numbers.scale = Float(min(1, bound / (norm + 1e-6)))
      case .parameterNorm(let bound): update.parameterBound = bound
      case .value(let bound): update.numbers.limit = Float(bound)
      case nil: break
      }
      for path in group.parameters { updates[path] = update }
    }
    return updates
  }

  /// The numbers of a step, and the bound of the norm of a parameter's own gradient.
  private struct Update {
    var numbers: unroll_update
    var parameterBound: Double?
  }
}

/// Passes the addresses of several arrays at once, `nil` for those that are empty.
private func withAddresses(
  of arrays: inout [[Float]], before last: [UnsafeMutablePointer<Float>?] = [],
  _ body: ([UnsafeMutablePointer<Float>?]) -> Void
) {
  guard var array = arrays.popLast() else { return body(last) }
  array.withUnsafeMutableBufferPointer {
    withAddresses(of: &arrays, before: [$0.isEmpty ? nil : $0.start] + last, body)
  }
  arrays.append(array)
}

/// A parameter, its optimizer state, and the hyperparameters of a step.
private struct StepArguments {
  let values: UnsafeMutableBufferPointer<Float>
  /// As many as the kernel takes, `nil` for those that the optimizer does not use.
  let slots: [UnsafeMutablePointer<Float>?]
  let update: unroll_update

  init(
    _ values: UnsafeMutableBufferPointer<Float>, _ slots: [UnsafeMutablePointer<Float>?],
    _ update: unroll_update
  ) {
    self.values = values
    let none = repeatElement(
      nil as UnsafeMutablePointer<Float>?, count: Int(UNROLL_OPTIMIZER_SLOTS))
    self.slots = Array((slots + none).prefix(none.count))
    self.update = update
  }

  /// `true` if a step changes numbers without a gradient, or their optimizer state.
  private var moveWithoutGradient: Bool {
    if update.weight_decay != 0 || update.shrink != 1 { return true }
    switch update.rule {
    case UNROLL_SGD: return slots[0] != nil
    case UNROLL_ADAGRAD: return false
    default: return true
    }
  }

  /// Updates the parameter, or some slices of it.
  func step(_ gradient: Gradient, _ slices: [Range<Int>]?) {
    switch gradient {
    case .dense(let numbers): step(slices ?? [0..<values.count], numbers)
    case .rows(let rows): step(rows)
    }
  }

  /// Updates slices; the slots hold theirs one after the other.
  private func step(_ slices: [Range<Int>], _ gradient: UnsafePointer<Float>) {
    var place = 0
    for slice in slices {
      step(slice, gradient + slice.lowerBound, slotsFrom: place)
      place += slice.count
    }
  }

  private func step(_ range: Range<Int>, _ gradient: UnsafePointer<Float>?, slotsFrom place: Int) {
    guard !range.isEmpty else { return }
    let slots = slots.map { $0.map { $0 + place } }
    unroll_update_step(values.start + range.lowerBound, gradient, slots, range.count, update)
  }

  /// Updates a matrix some of whose rows have a gradient.
  private func step(_ gradient: RowGradient) {
    let width = gradient.width
    var next = 0
    func stepOthers(upTo end: Int) {
      if moveWithoutGradient { step(next..<end, nil, slotsFrom: next) }
    }
    gradient.values.withUnsafeBufferPointer { numbers in
      for (index, token) in gradient.tokens.enumerated() {
        let start = Int(token) * width
        stepOthers(upTo: start)
        step(start..<start + width, numbers.start + index * width, slotsFrom: start)
        next = start + width
      }
    }
    stepOthers(upTo: values.count)
  }
}

extension ParameterGroup {
  /// Returns the number that a slot begins with.
  fileprivate func initial(_ slot: OptimizerSlot) -> Float {
    Float(slot == .sumOfSquares ? self[.initialAccumulator] : 0)
  }

  /// Returns the hyperparameters of the next step, without clipping.
  fileprivate func beginStep(of kind: OptimizerKind, _ multiplier: Double) -> unroll_update {
    let learningRate = self[.learningRate] * multiplier
    var update = unroll_update()
    (update.scale, update.limit, update.shrink) = (1, .infinity, 1)
    (update.rate, update.buffer_share) = (Float(learningRate), 1)
    switch weightDecayKind {
    case .l2: update.weight_decay = Float(self[.weightDecay])
    case .decoupled: update.shrink = Float(1 - learningRate * self[.weightDecay])
    }
    switch epsilonPosition {
    case .inside: update.inside = Float(self[.epsilon])
    case .outside, .uncorrected, nil: update.outside = Float(self[.epsilon])
    }
    switch kind {
    case .sgd: setMomentum(&update)
    case .adam: setMoments(&update, learningRate)
    case .rmsprop:
      update.rule = UNROLL_RMSPROP
      (update.decay2, update.gain2) = (Float(self[.alpha]), Float(1 - self[.alpha]))
      (update.decay1, update.gain1) = (Float(self[.momentum]), 1)
      if self[.learningRateInBuffer] == 1, self[.momentum] > 0 {
        (update.gain1, update.rate) = (update.rate, 1)
      }
    case .adagrad:
      update.rule = UNROLL_ADAGRAD
      update.rate = Float(learningRate / (1 + Double(step) * self[.learningRateDecay]))
    case .adadelta:
      update.rule = UNROLL_ADADELTA
      (update.decay2, update.gain2) = (Float(self[.rho]), Float(1 - self[.rho]))
    case .asgd:
      update.rule = UNROLL_ASGD
      let averaging = averaging ?? Averaging(eta: learningRate, mu: 1)
      (update.rate, update.gain1) = (Float(averaging.eta), Float(averaging.mu))
      update.shrink *= Float(1 - self[.lambda] * averaging.eta)
    }
    return update
  }

  private func setMomentum(_ update: inout unroll_update) {
    update.rule = UNROLL_SGD
    let momentum = Float(self[.momentum])
    update.decay1 = momentum
    // The first velocity is the first gradient.
    update.gain1 = step == 0 ? 1 : Float(1 - self[.dampening])
    if self[.nesterov] == 1 { (update.gradient_share, update.buffer_share) = (1, momentum) }
    guard self[.learningRateInBuffer] == 1, momentum > 0 else { return }
    // The buffer holds steps: it is added, not subtracted.
    update.gain1 = -update.rate
    update.gradient_share *= update.rate
    update.buffer_share = -update.buffer_share
    update.rate = 1
  }

  private func setMoments(_ update: inout unroll_update, _ learningRate: Double) {
    update.rule = UNROLL_ADAM
    let (beta1, beta2, step) = (self[.beta1], self[.beta2], Double(step + 1))
    (update.decay1, update.gain1) = (Float(beta1), Float(1 - beta1))
    (update.decay2, update.gain2) = (Float(beta2), Float(1 - beta2))
    // Adam's bias correction counts from 1.
    update.rate = Float(learningRate / (1 - Elementary.power(beta1, step)))
    let correction = 1 / (1 - Elementary.power(beta2, step)).squareRoot()
    update.correction = Float(correction)
    if epsilonPosition == .uncorrected { update.outside = Float(self[.epsilon] * correction) }
  }

  fileprivate mutating func endStep(of kind: OptimizerKind, _ multiplier: Double) {
    step += 1
    guard kind == .asgd else { return }
    let (rate, t) = (self[.learningRate] * multiplier, Double(step))
    averaging = Averaging(
      eta: rate / Elementary.power(1 + self[.lambda] * rate * t, self[.power]),
      mu: 1 / max(1, t - self[.start]))
  }
}
