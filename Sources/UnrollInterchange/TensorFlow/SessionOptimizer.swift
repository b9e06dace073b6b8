// Optimizers of TensorFlow 1: their rule and settings from the graph, their values from the checkpoint.

import UnrollFormat
import UnrollTensors

/// An optimizer of `tf.train` whose operations are in the graph.
struct SessionOptimizer {
  /// The optimizer, or the reason why it is not preserved.
  enum Kept {
    case kept(OptimizerState, approximation: String?)
    case lost(String)
  }

  /// A rule of TensorFlow, by its operation.
  private struct Rule {
    let operation: String
    let kind: OptimizerKind
    /// The last parts of the names of its values.
    let slots: [(name: String, slot: OptimizerSlot)]
    /// The positions of hyperparameters among the operation's inputs.
    let inputs: [(Hyperparameter, Int)]
    /// The positions of the powers of Adam's betas.
    var powers: [Int] = []
    /// The number of the operation's inputs.
    let inputCount: Int
  }

  private static let rules = [
    Rule(
      operation: "ApplyAdam", kind: .adam,
      slots: [("Adam", .firstMoment), ("Adam_1", .secondMoment)],
      inputs: [(.learningRate, 5), (.beta1, 6), (.beta2, 7), (.epsilon, 8)], powers: [3, 4],
      inputCount: 10),
    Rule(
      operation: "ApplyMomentum", kind: .sgd, slots: [("Momentum", .momentum)],
      inputs: [(.learningRate, 2), (.momentum, 4)], inputCount: 5),
    Rule(
      operation: "ApplyRMSProp", kind: .rmsprop,
      slots: [("RMSProp", .secondMoment), ("RMSProp_1", .momentum)],
      inputs: [(.learningRate, 3), (.alpha, 4), (.momentum, 5), (.epsilon, 6)], inputCount: 8),
    Rule(
      operation: "ApplyAdagrad", kind: .adagrad, slots: [("Adagrad", .sumOfSquares)],
      inputs: [(.learningRate, 2)], inputCount: 4),
  ]

  /// The most steps that are counted by the powers of Adam's beta2.
  private static let mostSteps = 1 << 20

  private let graph: OperationGraph
  private let bundle: TensorBundle
  /// The names in the checkpoint that the state came from.
  private var used: Set<String> = []
  /// The difference between TensorFlow's next steps and ours.
  private var approximation: String?

  /// Reads the optimizer of a checkpoint; `nil` if nothing was kept for the model's variables.
  ///
  /// - Parameters:
  ///   - training: The values of the training.
  ///   - variables: The model's variables.
  ///   - graph: The graph, if there is one.
  ///   - bundle: The checkpoint.
  ///   - parameters: The model's parameters.
  ///   - tree: Returns the parameters whose values are those of other variables, by the model's.
  /// - Returns: The optimizer, and the names in the checkpoint that it came from.
  static func read(
    _ training: SessionTraining, of variables: [String], _ graph: OperationGraph?,
    _ bundle: TensorBundle, parameters: [ParameterPath],
    tree: ((String) throws -> Tensor) throws -> ParameterTree<Tensor>
  ) -> (kept: Kept, names: Set<String>)? {
    let kept = variables.compactMap { training.slots[$0] }
    guard !kept.isEmpty else { return nil }
    guard let graph else {
      return (.lost("the checkpoint has its values, but its rule and settings are in .meta"), [])
    }
    var reader = SessionOptimizer(graph: graph, bundle: bundle)
    do throws(Obstacle) {
      let state = try reader.state(training, variables, parameters, tree)
      return (.kept(state, approximation: reader.approximation), reader.used)
    } catch {
      return (.lost(error.reason), [])
    }
  }

  private init(graph: OperationGraph, bundle: TensorBundle) {
    self.graph = graph
    self.bundle = bundle
  }

  /// The reason why there is no state.
  private struct Obstacle: Error { let reason: String }

  private mutating func state(
    _ training: SessionTraining, _ variables: [String], _ parameters: [ParameterPath],
    _ tree: ((String) throws -> Tensor) throws -> ParameterTree<Tensor>
  ) throws(Obstacle) -> OptimizerState {
    let all = graph.nodes.filter { $0.operation.contains("Apply") }
    let found = Set(
      all.map { $0.operation.replacing("Resource", with: "").replacing("Sparse", with: "") })
    guard let rule = Self.rules.first(where: { found == [$0.operation] }) else {
      throw Obstacle(
        reason: found.isEmpty ? "the graph has no step of it" : "its rule \(list(found.sorted()))")
    }
    // The rows of an embedding have operations of their own, with the same numbers.
    let steps = all.filter { !$0.operation.contains("Sparse") }
    if steps.count < all.count, rule.kind != .adagrad {
      approximation =
        "TensorFlow leaves what it keeps of the embedding's rows as it is in steps that do not read them"
    }
    var group = ParameterGroup(rule.kind, parameters: parameters)
    group.epsilonPosition = group.epsilonPosition.map { _ in
      rule.kind == .adam ? .uncorrected : rule.kind == .rmsprop ? .inside : .outside
    }
    if rule.kind == .adagrad { group[.epsilon] = 0 }
    if rule.kind == .rmsprop { group[.learningRateInBuffer] = 1 }
    for (hyperparameter, input) in rule.inputs {
      var values: Set<Double> = []
      for node in steps { values.insert(try number(node, input, rule)) }
      guard let value = values.first, values.count == 1, hyperparameter.allows(value) else {
        throw Obstacle(reason: "its \(hyperparameter.rawValue) is not one number")
      }
      group[hyperparameter] = value
    }
    let nesterov = Set(steps.map { $0.flag("use_nesterov") == true })
    guard nesterov.count == 1 else { throw Obstacle(reason: "its steps are of several kinds") }
    if nesterov == [true] {
      guard rule.kind == .sgd else { throw Obstacle(reason: "it is Adam with Nesterov's momentum") }
      group[.nesterov] = 1
    }
    group.step = try step(training, rule, steps, group)
    var state = OptimizerState(kind: rule.kind, step: group.step, groups: [group])
    let wanted = group.slots(of: rule.kind)
    for (last, slot) in rule.slots {
      let names = variables.compactMap { training.slots[$0]?[last] }
      used.formUnion(names)
      guard wanted.contains(slot) else { continue }
      guard names.count == variables.count else {
        throw Obstacle(reason: "it lacks \(slot.rawValue) of a variable")
      }
      let values = try? tree { try bundle.tensor(training.slots[$0]?[last] ?? "") }
      guard let values else { throw Obstacle(reason: "its \(slot.rawValue) cannot be read") }
      state.slots[slot] = values
    }
    return state
  }

  /// Returns a number that steps read: a constant, or a variable of the checkpoint.
  private mutating func number(
    _ node: OperationGraph.Node, _ input: Int, _ rule: Rule
  ) throws(Obstacle) -> Double {
    guard node.inputs.count == rule.inputCount else {
      throw Obstacle(reason: "its operation has \(node.inputs.count) inputs")
    }
    if let number = graph.number(node.inputs[input]) { return number }
    guard let name = graph.origin(of: node.inputs[input])?.name,
      let tensor = try? bundle.tensor(name), tensor.shape.rank == 0, tensor.dtype.isFloat,
      let number = tensor.doubles.first
    else { throw Obstacle(reason: "its \(node.inputs[input]) is computed by the program") }
    used.insert(name)
    return number
  }

  /// Returns the number of steps: by the power of beta2, else by `global_step`.
  private mutating func step(
    _ training: SessionTraining, _ rule: Rule, _ steps: [OperationGraph.Node],
    _ group: ParameterGroup
  ) throws(Obstacle) -> Int {
    var counted: Int?
    if let first = steps.first, rule.powers.count == 2 {
      _ = try number(first, rule.powers[0], rule)
      let power = try number(first, rule.powers[1], rule)
      counted = Self.steps(power: Float(power), of: Float(group[.beta2]))
    }
    let global = training.numbers.first { $0.split(separator: "/").last == "global_step" }
    if counted == nil, let global, let value = try? bundle.tensor(global).integer {
      counted = value
    }
    if let global { used.insert(global) }
    guard let counted, counted >= 0 else {
      guard rule.powers.isEmpty else { throw Obstacle(reason: "its number of steps is unknown") }
      // Only Adam's next step depends on it.
      return 1
    }
    return counted
  }

  /// Returns the number of steps after which the power of a number, which TensorFlow multiplies once a step in single
  /// precision, has a value; `nil` if it never has.
  private static func steps(power: Float, of number: Float) -> Int? {
    var value = number
    for step in 0..<mostSteps {
      if value == power { return step }
      guard value > power else { return nil }
      value *= number
    }
    return nil
  }
}

extension Tensor {
  /// The value of an integer without dimensions.
  fileprivate var integer: Int? {
    withUnsafeBytes { bytes in
      switch dtype {
      case .int32: bytes.elements(of: Int32.self) { Int($0) }.first
      case .int64: bytes.elements(of: Int64.self) { Int($0) }.first
      default: nil
      }
    }
  }
}
