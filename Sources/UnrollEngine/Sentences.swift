// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Sentences through a model, each on its own: many together, or one after the other.

import UnrollNeural

/// What a model says of the tokens of a sentence, each given those before it.
public struct SentencePredictions: Sendable {
  /// The tokens at the beginning that are not predicted: 1 where sentences start from nothing, else 0.
  public let unpredictedCount: Int
  /// The natural logarithms of the probabilities of the other tokens.
  public let logProbabilities: [Float]
  /// The entropies in nats of the distributions that these are from; empty where not wanted.
  public let entropies: [Double]
  /// The logarithms of the total probability of the wanted subset of the vocabulary at each of them, and
  /// after the last token if that was wanted too; empty where none was.
  public let totals: [Double]
}

/// Figures of the distributions over the vocabulary, besides the probabilities of the tokens.
public struct PredictionFigures: Sendable {
  /// `true` if entropies are computed.
  public var entropies = false
  /// Tokens, ascending, whose total probability is computed; none if empty.
  public var subset: [Int32] = []
  /// `true` if the total is computed after the last token of a sentence, too.
  public var includesEnd = false

  /// Creates figures of none.
  public init() {}

  /// The token that is asked for where only the total is wanted: any will do.
  var endTarget: Int32? { includesEnd ? subset.first : nil }
}

extension LanguageModel {
  /// What the model says of sentences, each from a zero state.
  ///
  /// What several sentences begin with is computed once. The bits are those of each sentence alone, since no
  /// column's depend on its neighbours.
  ///
  /// - Parameters:
  ///   - sentences: The tokens of each.
  ///   - figures: The figures besides the probabilities.
  /// - Returns: One for each sentence, in order.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or if memory is short.
  public func predictions(
    ofSentences sentences: [[Int32]], _ figures: PredictionFigures = PredictionFigures()
  ) throws -> [SentencePredictions] {
    let start = encoder.sentenceStartID.map { [$0] } ?? []
    let tree = PrefixTree(of: sentences.map { start + $0 })
    var pass = TreePass(tree, network, figures)
    try pass.run()
    return zip(sentences, tree.ends).map { sentence, end in
      let path = tree.path(to: end)
      let readers = path.dropLast()
      let isEndRead = figures.endTarget != nil && !path.isEmpty
      return SentencePredictions(
        unpredictedCount: start.isEmpty ? min(1, sentence.count) : 0,
        logProbabilities: path.dropFirst().map { pass.logProbabilities[$0] },
        entropies: figures.entropies ? readers.map { pass.entropies[$0] } : [],
        totals: figures.subset.isEmpty
          ? [] : (isEndRead ? path[...] : readers).map { pass.totals[$0] })
    }
  }

  /// What the model says of a sentence that goes on from the text before it.
  ///
  /// - Parameters:
  ///   - sentence: The tokens.
  ///   - previous: The last token before it; `nil` at the beginning of the text. Out: its last token.
  ///   - figures: The figures besides the probabilities.
  ///   - state: In: before the token `previous` is read. Out: before its last token is read.
  /// - Returns: The predictions.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or if memory is short.
  func predictions(
    of sentence: [Int32], after previous: inout Int32?, _ figures: PredictionFigures,
    state: inout RecurrentState
  ) throws -> SentencePredictions {
    let start = previous ?? encoder.sentenceStartID
    let found = try predictions(of: sentence, after: start, figures, state: &state)
    previous = sentence.last ?? start
    guard let target = figures.endTarget, let last = previous else { return found }
    // The next sentence reads the last token itself.
    var after = state
    let end = try network.predictions(
      ofTargets: [target], inputs: [last], withEntropies: false, totalling: figures.subset,
      state: &after)
    return SentencePredictions(
      unpredictedCount: found.unpredictedCount, logProbabilities: found.logProbabilities,
      entropies: found.entropies, totals: found.totals + end.totals)
  }

  /// Runs a sentence.
  ///
  /// - Parameters:
  ///   - sentence: The tokens.
  ///   - start: The token before them; `nil` for none: the first token is then not predicted.
  ///   - figures: The figures besides the probabilities; the end of the sentence has none.
  ///   - state: In: before the token before is read. Out: before the last token is read.
  /// - Returns: The predictions.
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or if memory is short.
  private func predictions(
    of sentence: [Int32], after start: Int32?, _ figures: PredictionFigures,
    state: inout RecurrentState
  ) throws -> SentencePredictions {
    let inputs = ([start].compactMap { $0 } + sentence).dropLast()
    let targets = start == nil ? sentence.dropFirst() : sentence[...]
    var logProbabilities: [Float] = []
    var entropies: [Double] = []
    var totals: [Double] = []
    for first in stride(from: 0, to: targets.count, by: Self.window) {
      let found = try network.predictions(
        ofTargets: Array(targets.dropFirst(first).prefix(Self.window)),
        inputs: Array(inputs.dropFirst(first).prefix(Self.window)),
        withEntropies: figures.entropies, totalling: figures.subset, state: &state)
      logProbabilities += found.logProbabilities
      entropies += found.entropies
      totals += found.totals
    }
    return SentencePredictions(
      unpredictedCount: sentence.count - targets.count, logProbabilities: logProbabilities,
      entropies: entropies, totals: totals)
  }

  /// The log-probabilities of a sentence's tokens, each given those before it.
  ///
  /// The state is zero and the first token follows the one that sentences start from.
  ///
  /// - Parameter ids: The tokens, `[T]`.
  /// - Returns: `[T]` natural logarithms, or `[T - 1]` where sentences start from nothing: the first
  ///   token is then not predicted.
  /// - Throws: `NeuralError` if memory is short.
  public func logProbabilities(ofSentence ids: [Int32]) throws -> [Float] {
    try predictions(ofSentences: [ids])[0].logProbabilities
  }

  /// The rows and columns of a window, where their number changes nothing but memory and speed.
  static let window = 256
  /// The most sentences that are computed together; more share more beginnings, and take more memory.
  static let sentenceCount = 1024
}

/// The run of a model through a tree of sentences.
private struct TreePass {
  private let tree: PrefixTree
  private let network: RecurrentModel
  private let figures: PredictionFigures
  /// The state after the nodes of a level that were read, and the column of each.
  private var state: RecurrentState
  private var columns: [Int]
  /// The nodes that were read and not yet asked for what follows, `[M]`, and their hidden states, `[M, H]`.
  private var waiting: [Int] = []
  private var hidden: [Float] = []

  /// Out: for each node the logarithm of its last token's probability; 0 for the first level.
  private(set) var logProbabilities: [Float]
  /// Out: for each node that was read the entropy of what follows, where wanted.
  private(set) var entropies: [Double]
  /// Out: for each node that was read the total of the subset after it, where wanted.
  private(set) var totals: [Double]

  init(_ tree: PrefixTree, _ network: RecurrentModel, _ figures: PredictionFigures) {
    self.tree = tree
    self.network = network
    self.figures = figures
    let count = tree.nodes.count
    state = network.zeroState(columns: 1)
    columns = Array(repeating: 0, count: count)
    logProbabilities = Array(repeating: 0, count: count)
    entropies = Array(repeating: 0, count: figures.entropies ? count : 0)
    totals = Array(repeating: 0, count: figures.subset.isEmpty ? 0 : count)
  }

  /// Reads all nodes that something is wanted after.
  ///
  /// - Throws: `NeuralError` for tokens outside of the vocabulary, or if memory is short.
  mutating func run() throws {
    var depth = 0
    while depth < tree.levels.count {
      try Task.checkCancellation()
      let nodes = tree.levels[depth].filter(isRead)
      guard !nodes.isEmpty else { break }
      let levels = chain(from: nodes)
      try read(levels)
      depth += levels.count
    }
    try ask()
  }

  /// `true` if something is wanted after a node.
  private func isRead(_ node: Int) -> Bool {
    let node = tree.nodes[node]
    return !node.children.isEmpty || node.isEnd && figures.endTarget != nil
  }

  /// Nodes and those below them, as long as each has one child and nothing ends: they are read in one window.
  private func chain(from nodes: [Int]) -> [[Int]] {
    var levels = [nodes]
    while (levels.count + 1) * nodes.count <= LanguageModel.window, let last = levels.last,
      last.allSatisfy({ tree.nodes[$0].children.count == 1 })
    {
      let next = last.map { tree.nodes[$0].children.lowerBound }
      guard next.allSatisfy(isRead) else { break }
      levels.append(next)
    }
    return levels
  }

  /// Reads the nodes of some levels, as many of each.
  private mutating func read(_ levels: [[Int]]) throws {
    let count = levels[0].count
    var states: [RecurrentState] = []
    for first in stride(from: 0, to: count, by: LanguageModel.window) {
      let block = first..<min(first + LanguageModel.window, count)
      let nodes = levels.flatMap { $0[block] }
      var next = state.selecting(
        levels[0][block].map { tree.nodes[$0].parent.map { columns[$0] } ?? 0 })
      hidden += try network.hiddenStates(
        inputs: nodes.map { tree.nodes[$0].token }, state: &next)
      waiting += nodes
      states.append(next)
      if waiting.count >= LanguageModel.window { try ask() }
    }
    state = RecurrentState(joining: states) ?? state
    for (column, node) in (levels.last ?? []).enumerated() { columns[node] = column }
  }

  /// Computes what follows the nodes that wait.
  private mutating func ask() throws {
    var children: [Int] = []
    var rows: [Int] = []
    for (row, node) in waiting.enumerated() {
      children += tree.nodes[node].children
      rows += Array(repeating: row, count: tree.nodes[node].children.count)
    }
    let found = try network.predictions(
      ofTargets: children.map { tree.nodes[$0].token }, after: rows, hiddenStates: hidden,
      withEntropies: figures.entropies, totalling: figures.subset)
    for (child, logProbability) in zip(children, found.logProbabilities) {
      logProbabilities[child] = logProbability
    }
    for (node, entropy) in zip(waiting, found.entropies) { entropies[node] = entropy }
    for (node, total) in zip(waiting, found.totals) { totals[node] = total }
    waiting.removeAll(keepingCapacity: true)
    hidden.removeAll(keepingCapacity: true)
  }
}
