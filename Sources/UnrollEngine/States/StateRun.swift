// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Runs sentences through the recurrent layers and keeps the states of every layer after each token.

import UnrollFormat
import UnrollNeural

/// The states of some layers, token by token.
struct StateRun {
  /// The most sentences that are run side by side.
  static let columns = 64

  /// A kind of state.
  struct Kind {
    /// The name, such as `layers/00/h`.
    let name: String
    /// The layer, from 0.
    let layer: Int
    /// The part of the layer's state.
    let state: LayerStateName
    /// The size, H; P for a hidden state behind a projection.
    let width: Int
  }

  /// The kinds of states, by layer.
  let kinds: [Kind]
  /// The number of tokens whose states take about 16 MB.
  let tokenLimit: Int
  private let network: RecurrentModel
  private let start: Int32?
  /// The state after the line before; `nil` if lines start from zeros.
  private var carried: RecurrentState?
  private var isBeforeText = true

  init(_ model: LanguageModel, layers: [Int], carriesState: Bool, tokenLimit: Int? = nil) {
    network = model.network
    start = model.encoder.sentenceStartID
    carried = carriesState ? model.network.zeroState(columns: 1) : nil
    kinds = layers.flatMap { layer in
      let sizes = model.network.architecture.layers[layer]
      let name = "layers/" + (layer < 10 ? "0" : "") + "\(layer)/"
      // The input of the step before is no state of interest: the layer below has it.
      return sizes.states.filter { $0.name != .x }.map {
        Kind(name: name + $0.name.rawValue, layer: layer, state: $0.name, width: $0.width)
      }
    }
    self.tokenLimit = tokenLimit ?? max(64, (4 << 20) / max(1, kinds.reduce(0) { $0 + $1.width }))
  }

  /// Runs sentences, in order.
  ///
  /// - Parameters:
  ///   - sentences: The tokens of each.
  ///   - body: Called for each piece of each sentence, in order: its index, the range of its tokens, and
  ///     of each kind of state `[T, width]`, where T is the number of these tokens. A sentence is one
  ///     piece unless it is very long; one without tokens has an empty piece.
  /// - Throws: `NeuralError` if memory is short; the errors of `body`.
  mutating func states(
    ofSentences sentences: [[Int32]],
    _ body: (_ sentence: Int, _ tokens: Range<Int>, _ states: [[Float]]) throws -> Void
  ) throws {
    let isTogether = carried == nil && sentences.allSatisfy { $0.count <= tokenLimit }
    guard !isTogether else {
      var state = try zeroState(columns: sentences.count)
      let found = try run(sentences, &state)
      for (index, states) in found.enumerated() {
        try body(index, sentences[index].indices, states)
      }
      return
    }
    for (index, sentence) in sentences.enumerated() {
      try Task.checkCancellation()
      var state =
        try carried.map { isBeforeText ? try zeroState(columns: 1) : $0 }
        ?? zeroState(columns: 1)
      isBeforeText = false
      for first in stride(from: 0, to: max(1, sentence.count), by: tokenLimit) {
        let tokens = first..<min(first + tokenLimit, sentence.count)
        try body(index, tokens, run([[Int32](sentence[tokens])], &state)[0])
      }
      if carried != nil { carried = state }
    }
  }

  /// Returns the state of each sentence before its first token.
  private func zeroState(columns: Int) throws -> RecurrentState {
    var state = network.zeroState(columns: max(1, columns))
    if let start {
      _ = try network.hiddenStates(
        inputs: [Int32](repeating: start, count: max(1, columns)), state: &state)
    }
    return state
  }

  /// Runs sentences side by side, a token of each at a time.
  ///
  /// - Parameters:
  ///   - sentences: The tokens of each.
  ///   - state: In: the state before each. Out: after it, if there is one sentence.
  /// - Returns: For each sentence and kind of state `[T, width]`.
  /// - Throws: `NeuralError` if memory is short.
  private func run(
    _ sentences: [[Int32]], _ state: inout RecurrentState
  ) throws -> [[[Float]]] {
    var found = sentences.map { sentence in
      kinds.map { kind in
        var values: [Float] = []
        values.reserveCapacity(sentence.count * kind.width)
        return values
      }
    }
    var active = Array(sentences.indices)
    for t in 0..<(sentences.map(\.count).max() ?? 0) {
      let longer = active.indices.filter { sentences[active[$0]].count > t }
      if longer.count < active.count {
        state = state.selecting(longer)
        active = longer.map { active[$0] }
      }
      _ = try network.hiddenStates(inputs: active.map { sentences[$0][t] }, state: &state)
      for (index, kind) in kinds.enumerated() {
        let layer = state.layers[kind.layer]
        let values = layer[kind.state]
        for (column, sentence) in active.enumerated() {
          found[sentence][index] += values[column * kind.width..<(column + 1) * kind.width]
        }
      }
    }
    return found
  }
}
