// swift-format-ignore-file: AlwaysUseLowerCamelCase
// A recurrent language model for training: truncated backpropagation through time.

import CUnrollKernels
import UnrollFormat
import UnrollTensors

/// A recurrent language model with parameters that change and their gradients.
///
/// Windows are `[T, B]`, T time steps of B streams. The state is carried from window to window, gradients stop
/// at the beginning of each (Williams & Peng 1990, "An efficient gradient-based algorithm for on-line training
/// of recurrent network trajectories"). The same windows give the same parameters, bit for bit, for any number
/// of threads.
///
/// A class because it owns packed weights, which have identity and one end. One thread at a time may
/// use it.
public final class TrainableModel {
  /// The sizes and cells.
  public let architecture: Architecture
  /// The numbers of each parameter, row-major, in f32.
  private var parameters: ParameterTree<[Float]>
  private let products: Products
  let layers: [TrainableLayer]
  let output: TrainableOutput
  /// `true` if the packed weights are older than the last update.
  private var isStale = false
  var memory: WindowMemory
  private var layerGradients: [LayerGradients] = []
  /// With a tied weight, the gradient of the output's use of it and of the embedding's.
  var outputGradients = OutputGradients()
  /// The gradients of the tails of an adaptive softmax.
  var tailGradients: [OutputGradients]
  private var embeddingGradient = RowGradient(width: 0)
  /// The regularization of the current window.
  var regularizer = Regularizer()
  /// The sum of the gradients of several windows, for gradient accumulation.
  private var accumulated: ParameterTree<[Float]>?
  /// The gradients that replace those of the last window: a sum over shards.
  private var replaced: ParameterTree<Gradient>?

  /// Copies the parameters of a model.
  ///
  /// - Parameters:
  ///   - architecture: The sizes and cells.
  ///   - parameters: One floating-point tensor for each of `architecture.parameters`. Mapped pages
  ///     are released as they are copied.
  ///   - precision: The compute precision; parameters and gradients are f32 always.
  /// - Throws: `NeuralError` if a parameter is missing or does not fit, memory is short, or the
  ///   processor lacks the precision.
  public init(
    architecture: Architecture, parameters: ParameterTree<Tensor>, precision: Precision = .float32
  ) throws {
    let checked = try CheckedParameters(parameters, of: architecture)
    self.architecture = architecture
    var copies = ParameterTree<[Float]>()
    for (path, shape) in architecture.parameters {
      copies[path] = checked.floats(path)
      checked.tensor(path).dropPages(ofRows: 0..<shape.dimensions[0])
    }
    self.parameters = copies
    products = try Products(precision)
    memory = WindowMemory(layers: architecture.layers.count)
    let own = try CheckedParameters(copies.tensors(of: architecture), of: architecture)
    layers = try architecture.layers.enumerated().map { [products] index, layer in
      try TrainableLayer(layer, index: index, parameters: own, products: products)
    }
    output = TrainableOutput(
      V: architecture.outputRows, H: architecture.outputInputSize, products: products)
    tailGradients = architecture.tails.map { _ in OutputGradients() }
  }

  /// The current parameters; they share their memory with the model until it changes them.
  public var tensors: ParameterTree<Tensor> { parameters.tensors(of: architecture) }

  /// Returns the state before the first token: zeros for B streams.
  public func zeroState(columns B: Int) -> RecurrentState { architecture.zeroState(columns: B) }

  /// Runs a window forwards and backwards and keeps the gradients of its mean loss.
  ///
  /// - Parameters:
  ///   - inputs: `[T, B]` the tokens to read.
  ///   - targets: `[T, B]` the tokens to predict, usually the next tokens.
  ///   - state: In: the state before the window. Out: after it; unchanged if an error is thrown.
  ///   - share: The factor of the gradients: the window's share of the predictions of a step.
  ///   - regularizer: The dropout and penalties; the returned loss is without the penalties.
  /// - Returns: The mean over the window of the negative log-probability of a target, in nats.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or a state of another model.
  public func backpropagate(
    inputs: [Int32], targets: [Int32], state: inout RecurrentState, share: Double = 1,
    regularizer: Regularizer = Regularizer()
  ) throws -> Double {
    guard targets.count == inputs.count, !inputs.isEmpty else {
      throw NeuralError.window(
        expected: "as many targets as inputs, at least one",
        found: "\(inputs.count) inputs and \(targets.count) targets")
    }
    let B = try architecture.check(inputs: inputs, state: state)
    try architecture.check(tokens: targets, lowest: 0)
    try begin(regularizer)
    let T = inputs.count / B
    let next = try forward(inputs, from: state, T: T, B: B)
    let total = try crossEntropy(targets, share: share, T: T, B: B)
    try backward(inputs, T: T, B: B)
    accumulate()
    state = next
    return total / Double(targets.count)
  }

  /// Starts or stops gradient accumulation, the sum of the gradients of the following windows, from zero.
  ///
  /// - Parameter isWanted: `true` to sum; `false` to replace the gradients with each window.
  public func beginAccumulation(_ isWanted: Bool) {
    if let replaced, outputGradients.weight.isEmpty {
      // The largest gradient keeps its memory from step to step.
      let path = architecture.isTied ? ParameterPath.embeddingWeight : .outputWeight
      outputGradients.weight = replaced[path]?.numbers ?? []
    }
    replaced = nil
    guard isWanted else {
      accumulated = nil
      return
    }
    var sums = accumulated ?? ParameterTree()
    for (path, shape) in architecture.parameters {
      sums[path] = Array(repeating: 0, count: shape.elementCount ?? 0)
    }
    accumulated = sums
  }

  private func accumulate() {
    guard accumulated != nil else { return }
    let window = windowGradients
    for (path, _) in architecture.parameters {
      guard let gradient = window[path] else { continue }
      _ = accumulated?.update(path) { gradient.add(to: &$0) }
    }
  }

  /// The gradients of the last window, or the sum of the gradients of several.
  var gradients: ParameterTree<Gradient> {
    replaced ?? accumulated?.map { .dense($0) } ?? windowGradients
  }

  /// Returns the gradients, and leaves none: their memory is the caller's.
  func takeGradients() -> ParameterTree<Gradient> {
    let taken = gradients
    (replaced, accumulated) = (nil, nil)
    (outputGradients.weight, outputGradients.bias, outputGradients.projection) = ([], [], [])
    outputGradients.rows = nil
    tailGradients = architecture.tails.map { _ in OutputGradients() }
    (layerGradients, embeddingGradient) = ([], RowGradient(width: 0))
    return taken
  }

  /// Gives the model the gradients that the next update takes.
  func replaceGradients(by gradients: ParameterTree<Gradient>) { replaced = gradients }

  /// Changes the gradients that were given to the model in place; `nil` where there are none.
  func changeReplaced(_ body: (inout ParameterTree<Gradient>?) throws -> Void) rethrows {
    try body(&replaced)
  }

  /// Changes the numbers of a parameter in place.
  func changeNumbers(
    _ path: ParameterPath, _ body: (inout [Float]) throws -> Void
  ) rethrows {
    try parameters.update(path, body)
    isStale = true
  }

  private var windowGradients: ParameterTree<Gradient> {
    var tree = ParameterTree<Gradient>()
    tree[architecture.isTied ? .embeddingWeight : .outputWeight] =
      outputGradients.rows.map { .rows($0) } ?? .dense(outputGradients.weight)
    if !architecture.isTied, architecture.input == .embedding {
      tree[.embeddingWeight] = .rows(embeddingGradient)
    }
    if architecture.hasOutputBias { tree[.outputBias] = .dense(outputGradients.bias) }
    if architecture.hasOutputProjection {
      tree[.outputProjection] = .dense(outputGradients.projection)
    }
    for (index, tail) in tailGradients.enumerated() {
      tree[.tail(index, .projection)] = .dense(tail.projection)
      tree[.tail(index, .weight)] = .dense(tail.weight)
    }
    for (index, layer) in layerGradients.enumerated() {
      for (parameter, gradient) in layer.numbers {
        tree[.layer(index, parameter)] = .dense(gradient)
      }
    }
    return tree
  }

  /// Changes every parameter in place.
  ///
  /// - Parameter body: Receives each parameter's path, numbers and gradient, in the model's order.
  func update(_ body: (ParameterPath, inout [Float], Gradient) -> Void) {
    let gradients = gradients
    for (path, _) in architecture.parameters {
      guard let gradient = gradients[path] else { continue }
      parameters.update(path) { body(path, &$0, gradient) }
    }
    isStale = true
  }

  /// Replaces the numbers of all parameters.
  ///
  /// - Parameter tensors: One for each of `architecture.parameters`.
  /// - Throws: `NeuralError` if one is missing or does not fit.
  public func replaceParameters(by tensors: ParameterTree<Tensor>) throws {
    let checked = try CheckedParameters(tensors, of: architecture)
    for (path, _) in architecture.parameters { parameters[path] = checked.floats(path) }
    isStale = true
  }

  /// The first thing of the last window that holds a number that is not finite, in the order of the
  /// computation: parameters, hidden states, logits, gradients.
  public var firstNonFinite: String? {
    for (path, _) in architecture.parameters {
      guard let values = parameters[path], unroll_all_finite(values, values.count) else {
        return path.description
      }
    }
    for (index, tape) in memory.tapes.enumerated()
    where !unroll_all_finite(tape.hidden.start, tape.hidden.count) {
      return "the hidden states of \(ParameterPath.layerGroup(index))"
    }
    let gradients = gradients
    // The output layer's gradient comes first on the way back, and is made of the logits.
    for (path, _) in architecture.parameters.reversed() where gradients[path]?.isFinite == false {
      return "the gradient of \(path)"
    }
    return nil
  }

  /// Releases all memory except the parameters; the next window allocates it again.
  public func releaseMemory() {
    memory = WindowMemory(layers: layers.count)
    layerGradients = []
    outputGradients = OutputGradients()
    tailGradients = architecture.tails.map { _ in OutputGradients() }
    embeddingGradient = RowGradient(width: 0)
    replaced = nil
  }

  // MARK: One window

  /// Makes the model ready for a window.
  func begin(_ regularizer: Regularizer = Regularizer()) throws {
    // Weights that were dropped for one window are not those of the next.
    isStale = isStale || self.regularizer.dropsWeights || regularizer.dropsWeights
    self.regularizer = regularizer
    if isStale { try pack() }
  }

  /// Packs the parameters as they are now.
  private func pack() throws {
    var parameters = tensors
    for (index, layer) in architecture.layers.enumerated()
    where regularizer.dropsWeights && layer.cell.facts.hasRecurrentWeight {
      let path = ParameterPath.layer(index, .weightHH)
      var values = numbers(path)
      regularizer.dropWeights(&values, layer: index, H: layer.outputSize)
      parameters[path] = Tensor(
        values, shape: [layer.cell.gateCount * layer.hiddenSize, layer.outputSize])
    }
    let current = try CheckedParameters(parameters, of: architecture)
    for layer in layers { try layer.pack(current) }
    isStale = false
  }

  /// Runs the recurrent layers over a window.
  ///
  /// - Returns: The state after the window.
  func forward(
    _ inputs: [Int32], from state: RecurrentState, T: Int, B: Int
  ) throws -> RecurrentState {
    var next = state
    embed(inputs, T: T, B: B)
    for (index, layer) in layers.enumerated() {
      try layer.forward.forward(
        input: memory.input(ofLayer: index), state: &next.layers[index],
        tape: memory.tapes[index], keepsTape: true, T: T, B: B)
      let isLast = index == layers.count - 1
      memory.drop(
        isLast ? regularizer.output : regularizer.between(layer: index), layer: index, T: T, B: B,
        H: layer.forward.architecture.outputSize)
    }
    return next
  }

  /// Looks up the embeddings of tokens, or makes their one-hot vectors: `[T*B]` to `[T*B, D]`.
  private func embed(_ inputs: [Int32], T: Int, B: Int) {
    let D = architecture.embeddingSize
    let (rowMask, dropout) = (regularizer.rowMask, regularizer.embedding)
    let embedded = memory.embedded.room(for: inputs.count * D)
    let weight = architecture.input == .embedding ? numbers(.embeddingWeight) : []
    weight.withUnsafeBufferPointer { rows in
      for (place, token) in inputs.enumerated() {
        let row = embedded + place * D
        if rows.isEmpty {
          setOneHot(row, token: token, count: D)
        } else {
          row.update(from: rows.start + Int(token) * D, count: D)
        }
        if let mask = rowMask?(token) { scale(row, by: mask, count: D) }
      }
    }
    dropout?.apply(embedded, into: embedded, T: T, B: B, N: D)
  }

  /// Runs the backward pass through the recurrent layers to the embedding.
  private func backward(_ inputs: [Int32], T: Int, B: Int) throws {
    try backwardLayers(T: T, B: B)
    guard architecture.input == .embedding else { return }
    embeddingGradient = RowGradient(
      inputs: inputs, gradients: memory.dHidden.start, width: architecture.embeddingSize)
    if let rowMask = regularizer.rowMask { embeddingGradient.scale(by: rowMask) }
    guard architecture.isTied else { return }
    if outputGradients.rows != nil {
      outputGradients.rows?.add(embeddingGradient)
    } else {
      embeddingGradient.add(to: &outputGradients.weight)
    }
  }

  /// Runs the backward pass through the recurrent layers.
  ///
  /// - Parameters:
  ///   - T: The number of time steps.
  ///   - B: The batch size.
  ///   - visit: If given, receives for each layer, the top one first, the gradients of its hidden states
  ///     and of an LSTM or QRNN's cell states, `[T*B, H]` each.
  /// - Throws: `NeuralError` if memory is short.
  func backwardLayers(
    T: Int, B: Int,
    visit: ((_ layer: Int, UnsafePointer<Float>, _ cells: UnsafePointer<Float>?) -> Void)? = nil
  ) throws {
    if layerGradients.isEmpty { layerGradients = architecture.layers.map { LayerGradients($0) } }
    for (index, layer) in layers.enumerated().reversed() {
      let sizes = layer.forward.architecture
      // A one-hot vector is a constant: it needs no gradient.
      let inputIsFixed = index == 0 && architecture.input == .oneHot
      let wantsCells = visit != nil && sizes.carries(.c)
      let dHidden = memory.dHidden.start
      let dInput = inputIsFixed ? nil : memory.dInput.room(for: T * B * sizes.inputSize)
      let dCells = wantsCells ? memory.dCells.room(for: T * B * sizes.hiddenSize) : nil
      try layer.backward(
        input: memory.input(ofLayer: index), tape: memory.tapes[index], dHidden: dHidden,
        dCells: dCells, dInput: dInput, weightIH: numbers(.layer(index, .weightIH)),
        gradients: &layerGradients[index], T: T, B: B)
      visit?(index, dHidden, dCells.map { UnsafePointer($0) })
      if let dInput {
        let below = index == 0 ? regularizer.embedding : regularizer.between(layer: index - 1)
        below?.apply(dInput, into: dInput, T: T, B: B, N: sizes.inputSize)
      }
      memory.descend()
      if regularizer.dropsWeights {
        layerGradients[index].update(.weightHH) {
          regularizer.dropWeights(&$0, layer: index, H: sizes.outputSize)
        }
      }
    }
  }

  /// Returns the numbers of a parameter that the architecture has.
  func numbers(_ path: ParameterPath) -> [Float] {
    guard let numbers = parameters[path] else { preconditionFailure("\(path) was not checked") }
    return numbers
  }
}

extension ParameterTree<[Float]> {
  /// Returns the numbers of a model's parameters, or of a slot of them, as tensors of the parameters' shapes.
  ///
  /// They share their memory with the tree until it changes them.
  func tensors(of architecture: Architecture) -> ParameterTree<Tensor> {
    var tensors = ParameterTree<Tensor>()
    for (path, shape) in architecture.parameters {
      tensors[path] = self[path].map { Tensor($0, shape: shape) }
    }
    return tensors
  }
}

/// Multiplies numbers in place.
private func scale(_ values: UnsafeMutablePointer<Float>, by factor: Float, count: Int) {
  for index in 0..<count { values[index] *= factor }
}
