// swift-format-ignore-file: AlwaysUseLowerCamelCase
// A recurrent language model that computes: embedding, recurrent layers, softmax.

import Synchronization
import UnrollFormat
import UnrollTensors

/// A recurrent language model with weights packed for computation.
///
/// A class because it owns packed weights and scratch memory, which have identity and one end. Its results
/// depend on its parameters and the arguments only, and several threads may use one model: each call works in
/// scratch memory of its own.
///
/// Sequences and windows: tokens come as `[T, B]`, T time steps of B streams. A text run in one window or in
/// several that carry the state has the same log-probabilities, bit for bit, and so has a stream alone or in a
/// batch.
public final class RecurrentModel: Sendable {
  /// The sizes and cells.
  public let architecture: Architecture
  /// The tokens that have a probability, ascending, `[S]`; `nil` if all V have.
  public let shortlist: [Int32]?
  /// `[V, D]`, in place: mapped from its file, most of it is never read; `nil` for one-hot input.
  private let embedding: Tensor?
  private let layers: [RecurrentLayer]
  private let output: any OutputDistribution
  private let workspaces = Mutex<[Workspace]>([])

  /// Packs the parameters of a model.
  ///
  /// Packed weights are copies. Mapped pages of the parameters are released as they are packed, and
  /// the embedding stays mapped.
  ///
  /// - Parameters:
  ///   - architecture: The sizes and cells.
  ///   - parameters: One floating-point tensor for each of `architecture.parameters`.
  ///   - precision: The compute precision.
  ///   - shortlist: The tokens that have a probability, ascending; `nil` for all. The others have none, and
  ///     cost nothing.
  /// - Throws: `NeuralError` if a parameter is missing or does not fit, the shortlist is empty or has tokens outside
  ///   of the vocabulary, memory is short, or the processor lacks the precision.
  public init(
    architecture: Architecture, parameters: ParameterTree<Tensor>, precision: Precision = .float32,
    shortlist: [Int32]? = nil
  ) throws {
    let parameters = try CheckedParameters(parameters, of: architecture)
    self.architecture = architecture
    self.shortlist = shortlist
    if let shortlist {
      try architecture.check(tokens: shortlist, lowest: 0)
      guard !shortlist.isEmpty else {
        throw NeuralError.window(expected: "a shortlist of tokens", found: "none")
      }
    }
    embedding =
      architecture.input == .embedding ? parameters.tensor(.embeddingWeight) : nil
    layers = try architecture.layers.enumerated().map { index, layer in
      try RecurrentLayer(layer, index: index, parameters: parameters, precision: precision)
    }
    output = try Self.output(of: architecture, parameters, precision, shortlist)
  }

  /// Packs the output layer.
  private static func output(
    of architecture: Architecture, _ parameters: CheckedParameters, _ precision: Precision,
    _ shortlist: [Int32]?
  ) throws -> any OutputDistribution {
    let weight = parameters.tensor(architecture.isTied ? .embeddingWeight : .outputWeight)
    let bias = parameters.floats(.outputBias)
    guard architecture.tails.isEmpty else {
      guard shortlist == nil else {
        throw NeuralError.architecture(
          expected: "one softmax over all tokens, of which a shortlist takes a part",
          found: "an adaptive softmax")
      }
      return try AdaptiveOutput(architecture, parameters, precision)
    }
    return try OutputLayer(
      weight: shortlist.map(weight.gathered(rows:)) ?? weight,
      bias: shortlist.flatMap { list in bias.map { bias in list.map { bias[Int($0)] } } } ?? bias,
      projection: architecture.hasOutputProjection ? parameters.tensor(.outputProjection) : nil,
      precision: precision)
  }

  /// Returns the state before the first token.
  ///
  /// - Parameter B: The batch size, at least 1.
  /// - Returns: Zeros.
  public func zeroState(columns B: Int) -> RecurrentState { architecture.zeroState(columns: B) }

  /// Runs a window and returns the log-probability of one target at each position.
  ///
  /// - Parameters:
  ///   - targets: `[T, B]` the tokens whose log-probabilities are requested, usually the next tokens; -1 for
  ///     none.
  ///   - inputs: `[T, B]` the tokens to read.
  ///   - state: In: the state before the window. Out: after it; unchanged if an error is thrown.
  /// - Returns: `[T, B]` natural logarithms; 0 for no target.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or a state of another model.
  public func logProbabilities(
    ofTargets targets: [Int32], inputs: [Int32], state: inout RecurrentState
  ) throws -> [Float] {
    try predictions(ofTargets: targets, inputs: inputs, withEntropies: false, state: &state)
      .logProbabilities
  }

  /// Runs a window and returns the predictions of one target at each position.
  ///
  /// - Parameters:
  ///   - targets: `[T, B]` as for `logProbabilities(ofTargets:inputs:state:)`.
  ///   - inputs: `[T, B]` the tokens to read.
  ///   - withEntropies: `true` to compute entropies.
  ///   - subset: Tokens, ascending, whose total probability at each position is requested; none if empty.
  ///   - guessCount: The number of likeliest tokens of each position, and 0 for none and no ranks.
  ///   - state: In: the state before the window. Out: after it; unchanged if an error is thrown.
  /// - Returns: `[T, B]` natural logarithms, `[T, B]` the entropies in nats of the distributions over the
  ///   vocabulary, `[T, B]` the logarithms of the subset's total probability and `[T, B]` the likeliest tokens
  ///   and the targets' ranks, all if they are requested; 0 or none for no target.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or a state of another model.
  public func predictions(
    ofTargets targets: [Int32], inputs: [Int32], withEntropies: Bool,
    totalling subset: [Int32] = [], guessing guessCount: Int = 0,
    state: inout RecurrentState
  ) throws -> (
    logProbabilities: [Float], entropies: [Double], totals: [Double], likeliest: LikeliestTokens
  ) {
    guard targets.count == inputs.count else {
      throw NeuralError.window(
        expected: "as many targets as inputs, \(inputs.count)", found: "\(targets.count)")
    }
    try architecture.check(tokens: targets, lowest: -1)
    try architecture.check(tokens: subset, lowest: 0)
    return try withWorkspace { workspace in
      let next = try run(inputs, from: state, in: &workspace)
      let places = targets.indices.filter { targets[$0] >= 0 }
      var wantedEntropies = [Double](repeating: 0, count: withEntropies ? places.count : 0)
      var sums = SubsetTotals(of: subset.map(place(of:)).filter { $0 >= 0 })
      var search = LikeliestSearch(count: guessCount)
      let wanted = try requestedLogProbabilities(
        ofTargets: targets, at: places, entropies: &wantedEntropies, subset: &sums,
        likeliest: &search, in: &workspace)
      state = next
      var all = [Float](repeating: 0, count: targets.count)
      for (place, logProbability) in zip(places, wanted) { all[place] = logProbability }
      var entropies = [Double](repeating: 0, count: withEntropies ? targets.count : 0)
      for (place, entropy) in zip(places, wantedEntropies) { entropies[place] = entropy }
      var totals = [Double](repeating: 0, count: subset.isEmpty ? 0 : targets.count)
      for (place, total) in zip(places, sums?.logarithms ?? []) { totals[place] = total }
      var likeliest = LikeliestTokens()
      if let found = search?.found {
        likeliest.guesses = Array(repeating: [], count: targets.count)
        likeliest.ranks = Array(repeating: 0, count: targets.count)
        for (index, place) in places.enumerated() {
          likeliest.guesses[place] = found.guesses[index]
          likeliest.ranks[place] = found.ranks[index]
        }
      }
      return (all, entropies, totals, likeliest)
    }
  }

  /// Runs a window and returns the hidden states of the top layer.
  ///
  /// - Parameters:
  ///   - inputs: `[T, B]` the tokens to read.
  ///   - state: In: the state before the window. Out: after it; unchanged if an error is thrown.
  /// - Returns: `[T, B, H]`
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or a state of another model.
  public func hiddenStates(inputs: [Int32], state: inout RecurrentState) throws -> [Float] {
    try withWorkspace { workspace in
      state = try run(inputs, from: state, in: &workspace)
      return Array(UnsafeBufferPointer(start: workspace.below.start, count: inputs.count * topSize))
    }
  }

  /// Returns the log-probability of one target after each hidden state.
  ///
  /// - Parameters:
  ///   - targets: `[M]` tokens of the vocabulary.
  ///   - hiddenStates: `[M, H]` of the top layer.
  /// - Returns: `[M]` natural logarithms.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or another number of states.
  public func outputLogProbabilities(
    ofTargets targets: [Int32], hiddenStates: [Float]
  ) throws -> [Float] {
    try predictions(
      ofTargets: targets, after: Array(targets.indices), hiddenStates: hiddenStates,
      withEntropies: false
    ).logProbabilities
  }

  /// Returns the predictions of the model after hidden states, for any number of targets after each.
  ///
  /// - Parameters:
  ///   - targets: Tokens of the vocabulary.
  ///   - rows: The hidden state that each target comes after, ascending.
  ///   - hiddenStates: `[M, H]` of the top layer.
  ///   - withEntropies: `true` to compute entropies.
  ///   - subset: Tokens, ascending, whose total probability is requested; none if empty.
  ///   - guessCount: The number of likeliest tokens of each hidden state, and 0 for none and no ranks.
  /// - Returns: The natural logarithm of each target's probability, `[M]` the entropies in nats, `[M]` the
  ///   logarithms of the subset's total probability, and `[M]` the likeliest tokens with each target's rank; empty
  ///   if not requested.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or rows without a hidden state.
  public func predictions(
    ofTargets targets: [Int32], after rows: [Int], hiddenStates: [Float], withEntropies: Bool,
    totalling subset: [Int32] = [], guessing guessCount: Int = 0
  ) throws -> (
    logProbabilities: [Float], entropies: [Double], totals: [Double], likeliest: LikeliestTokens
  ) {
    try architecture.check(tokens: targets, lowest: 0)
    try architecture.check(tokens: subset, lowest: 0)
    let M = hiddenStates.count / topSize
    guard hiddenStates.count == M * topSize, rows.count == targets.count,
      rows.allSatisfy({ 0..<M ~= $0 }), zip(rows, rows.dropFirst()).allSatisfy({ $0 <= $1 })
    else {
      throw NeuralError.window(
        expected: "hidden states of \(topSize) numbers for \(targets.count) targets",
        found: "\(hiddenStates.count) numbers, and targets after \(rows.count)")
    }
    var entropies = [Double](repeating: 0, count: withEntropies ? M : 0)
    var sums = SubsetTotals(of: subset.map(place(of:)).filter { $0 >= 0 })
    var search = LikeliestSearch(count: guessCount)
    let found = try withWorkspace { workspace in
      try hiddenStates.withUnsafeBufferPointer { hidden in
        try output.predict(
          OutputTargets(targets.map(place(of:)), rows: rows, M: M), hidden: hidden.start,
          scratch: workspace.output, entropies: &entropies, subset: &sums, likeliest: &search)
      }
    }
    search?.finish(found.logPartitions, token: token(ofPlace:))
    let none = [Double](repeating: 0, count: subset.isEmpty ? 0 : M)
    return (
      found.logProbabilities.map { Float($0) }, entropies, sums?.logarithms ?? none,
      search?.found ?? LikeliestTokens()
    )
  }

  /// Runs a window and returns the log-probabilities of all tokens at each position.
  ///
  /// - Parameters:
  ///   - inputs: `[T, B]` the tokens to read.
  ///   - state: In: the state before the window. Out: after it; unchanged if an error is thrown.
  /// - Returns: `[T, B, V]` natural logarithms; `[T, B, S]` with a shortlist.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or a state of another model.
  public func logDistributions(
    inputs: [Int32], state: inout RecurrentState
  ) throws -> [Float] {
    try withWorkspace { workspace in
      let next = try run(inputs, from: state, in: &workspace)
      let all = try output.logSoftmax(
        M: inputs.count, hidden: workspace.below.start, scratch: workspace.output)
      state = next
      return all
    }
  }

  // MARK: One window

  /// Returns the index of a token among the outputs; -1 if it has no probability.
  private func place(of token: Int32) -> Int32 {
    guard let shortlist else { return token }
    let place = shortlist.partitioningIndex { $0 >= token }
    return place < shortlist.count && shortlist[place] == token ? Int32(place) : -1
  }

  /// Returns the token of an output.
  private func token(ofPlace place: Int32) -> Int32 { shortlist.map { $0[Int(place)] } ?? place }

  /// The width of the top layer, H.
  public var topSize: Int { architecture.topSize }

  /// Runs the recurrent layers over a window.
  ///
  /// - Parameters:
  ///   - inputs: `[T, B]`
  ///   - state: The state before the window.
  ///   - workspace: Out: `below` begins with the top layer's hidden states, `[T*B, H]`.
  /// - Returns: The state after the window.
  /// - Throws: `NeuralError` for bad tokens, a state of another model, or a failed product.
  private func run(
    _ inputs: [Int32], from state: RecurrentState, in workspace: inout Workspace
  ) throws -> RecurrentState {
    let B = try architecture.check(inputs: inputs, state: state)
    let T = inputs.count / B
    var next = state
    embed(inputs, in: workspace)
    for (index, layer) in layers.enumerated() {
      try run(layer, state: &next.layers[index], T: T, B: B, in: &workspace)
    }
    return next
  }

  /// Looks up the embeddings of tokens, or makes their one-hot vectors: vocabularies of models without
  /// an embedding are small.
  ///
  /// - Parameters:
  ///   - inputs: `[T, B]`
  ///   - workspace: Out: `below` begins with `[T*B, D]`.
  private func embed(_ inputs: [Int32], in workspace: Workspace) {
    let D = architecture.embeddingSize
    let embedded = workspace.below.room(for: inputs.count * D)
    if let embedding { return embedding.copyRows(inputs, to: embedded) }
    for (place, token) in inputs.enumerated() {
      setOneHot(embedded + place * D, token: token, count: D)
    }
  }

  /// Runs one layer over a window.
  ///
  /// - Parameters:
  ///   - layer: The layer.
  ///   - state: In: before the window. Out: after it.
  ///   - T: The number of time steps.
  ///   - B: The batch size.
  ///   - workspace: In: `below` begins with the layer's input, `[T*B, D]`. Out: with its hidden
  ///     states, `[T*B, H]`.
  /// - Throws: `NeuralError` if memory is short.
  private func run(
    _ layer: RecurrentLayer, state: inout LayerState, T: Int, B: Int, in workspace: inout Workspace
  ) throws {
    try layer.forward(
      input: workspace.below.start, state: &state, tape: workspace.tape, keepsTape: false, T: T,
      B: B)
    swap(&workspace.below, &workspace.tape.hidden)
  }

  /// Computes the log-probabilities of the requested targets.
  ///
  /// - Parameters:
  ///   - targets: `[T, B]`
  ///   - places: The M positions whose targets are requested.
  ///   - entropies: In: `[M]` zeros if they are requested, else empty. Out: in nats.
  ///   - subset: The total probability of some tokens; `nil` if not requested.
  ///   - likeliest: The likeliest tokens and ranks at the M positions; `nil` if not requested.
  ///   - workspace: In: `below` begins with the top layer's hidden states, `[T*B, H]`.
  /// - Returns: `[M]`
  /// - Throws: `NeuralError` if memory is short.
  private func requestedLogProbabilities(
    ofTargets targets: [Int32], at places: [Int], entropies: inout [Double],
    subset: inout SubsetTotals?, likeliest: inout LikeliestSearch?, in workspace: inout Workspace
  ) throws -> [Float] {
    let H = topSize
    let top = workspace.below.start
    let wanted = workspace.tape.hidden.room(for: places.count * H)
    for (row, place) in places.enumerated() {
      (wanted + row * H).update(from: top + place * H, count: H)
    }
    let found = try output.predict(
      OutputTargets(places.map { place(of: targets[$0]) }), hidden: wanted,
      scratch: workspace.output, entropies: &entropies, subset: &subset, likeliest: &likeliest)
    likeliest?.finish(found.logPartitions, token: token(ofPlace:))
    return found.logProbabilities.map { Float($0) }
  }

  /// Calls a closure with scratch memory that no other call uses.
  private func withWorkspace<Result>(
    _ body: (inout Workspace) throws -> Result
  ) rethrows -> Result {
    var workspace = workspaces.withLock { $0.popLast() } ?? Workspace()
    defer { workspaces.withLock { [workspace] in $0.append(workspace) } }
    return try body(&workspace)
  }
}

/// Makes a vector of zeros with a one at a token, `[V]`.
func setOneHot(_ vector: UnsafeMutablePointer<Float>, token: Int32, count V: Int) {
  vector.update(repeating: 0, count: V)
  vector[Int(token)] = 1
}
