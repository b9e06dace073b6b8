// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Runs sentences through a model, batched or one after the other.

import UnrollNeural

/// The predictions of a sentence's tokens, each given the tokens before it.
public struct SentencePredictions: Sendable {
  /// The number of tokens at the beginning that are not predicted: 1 if sentences have no start
  /// token, else 0.
  public let unpredictedCount: Int
  /// The natural logarithms of the probabilities of the other tokens.
  public let logProbabilities: [Float]
  /// The entropies in nats of the distributions of these tokens; empty if not requested.
  public let entropies: [Double]
  /// The logarithms of the total probability of the requested subset of the vocabulary at each of
  /// these tokens, and after the last token if requested; empty without a subset.
  public let totals: [Double]
  /// The likeliest tokens in place of each of these tokens, and their ranks; empty if not requested.
  public let likeliest: LikeliestTokens
}

/// Figures of the distributions over the vocabulary, in addition to token probabilities.
public struct PredictionFigures: Sendable {
  /// `true` to compute entropies.
  public var entropies = false
  /// Tokens, ascending, whose total probability is computed; none if empty.
  public var subset: [Int32] = []
  /// `true` to compute the total after the last token of a sentence, too.
  public var includesEnd = false
  /// The number of likeliest tokens in place of each token; 0 for none, and no ranks.
  public var guesses = 0

  /// Creates settings without additional figures.
  public init() {}

  /// The target after the last token if only the total is requested: any token will do.
  var endTarget: Int32? { includesEnd ? subset.first : nil }
}

extension LanguageModel {
  /// Returns the predictions of sentences, each from a zero state.
  ///
  /// Common prefixes are computed once. The result has the same bits as sentence-by-sentence
  /// computation, since no row of a batch depends on the others.
  ///
  /// - Parameters:
  ///   - sentences: The tokens of each.
  ///   - figures: The figures in addition to probabilities.
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
          ? [] : (isEndRead ? path[...] : readers).map { pass.totals[$0] },
        likeliest: figures.guesses == 0
          ? LikeliestTokens()
          : LikeliestTokens(
            guesses: readers.map { pass.guesses[$0] },
            ranks: path.dropFirst().map { pass.ranks[$0] }))
    }
  }

  /// Returns the predictions of a sentence that continues the text before it.
  ///
  /// - Parameters:
  ///   - sentence: The tokens.
  ///   - previous: The last token before it; `nil` at the beginning of the text. Out: its last
  ///     token.
  ///   - figures: The figures in addition to probabilities.
  ///   - state: In: the state before the token `previous` is read. Out: before the sentence's last
  ///     token is read.
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
      entropies: found.entropies, totals: found.totals + end.totals, likeliest: found.likeliest)
  }

  /// Returns the predictions of a sentence.
  ///
  /// - Parameters:
  ///   - sentence: The tokens.
  ///   - start: The token before the sentence; `nil` for none: the first token is then not
  ///     predicted.
  ///   - figures: The figures in addition to probabilities; the end of the sentence has none.
  ///   - state: In: the state before `start` is read. Out: before the sentence's last token is
  ///     read.
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
    var likeliest = LikeliestTokens()
    for first in stride(from: 0, to: targets.count, by: Self.tokensAtOnce) {
      let found = try network.predictions(
        ofTargets: Array(targets.dropFirst(first).prefix(Self.tokensAtOnce)),
        inputs: Array(inputs.dropFirst(first).prefix(Self.tokensAtOnce)),
        withEntropies: figures.entropies, totalling: figures.subset, guessing: figures.guesses,
        state: &state)
      logProbabilities += found.logProbabilities
      entropies += found.entropies
      totals += found.totals
      likeliest.append(found.likeliest)
    }
    return SentencePredictions(
      unpredictedCount: sentence.count - targets.count, logProbabilities: logProbabilities,
      entropies: entropies, totals: totals, likeliest: likeliest)
  }

  /// Returns the log-probabilities of a sentence's tokens, each given the tokens before it.
  ///
  /// The initial state is zero, and the first token follows the one that sentences start from.
  ///
  /// - Parameter ids: The tokens, `[T]`.
  /// - Returns: `[T]` natural logarithms, or `[T - 1]` if sentences have no start token: the first
  ///   token is then not predicted.
  /// - Throws: `NeuralError` if memory is short.
  public func tokenLogProbabilities(ofSentence ids: [Int32]) throws -> [Float] {
    try predictions(ofSentences: [ids])[0].logProbabilities
  }

  /// The product of batch size and length of a window; it affects memory and speed only.
  static let tokensAtOnce = 256
  /// The maximum number of sentences computed together; more share more prefixes and take more
  /// memory.
  static let sentenceCount = 1024
}

/// One pass of a model over a tree of sentences.
private struct TreePass {
  private let tree: PrefixTree
  private let network: RecurrentModel
  private let figures: PredictionFigures
  /// The state after the read nodes of a level, and the row of each in the batch.
  private var state: RecurrentState
  private var columns: [Int]
  /// Nodes that were read and whose output is not computed yet, `[M]`, and their hidden states,
  /// `[M, H]`.
  private var waiting: [Int] = []
  private var hidden: [Float] = []

  /// Out: the log-probability of each node's last token; 0 for the first level.
  private(set) var logProbabilities: [Float]
  /// Out: the entropy of the distribution after each read node, if requested.
  private(set) var entropies: [Double]
  /// Out: the total of the subset after each read node, if requested.
  private(set) var totals: [Double]
  /// Out: the likeliest tokens after each read node, if requested.
  private(set) var guesses: [[TokenGuess]]
  /// Out: the rank of each node's last token, if requested.
  private(set) var ranks: [Int]

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
    guesses = Array(repeating: [], count: figures.guesses == 0 ? 0 : count)
    ranks = Array(repeating: 0, count: figures.guesses == 0 ? 0 : count)
  }

  /// Reads all nodes whose output is needed.
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

  /// Returns `true` if the output after a node is needed.
  private func isRead(_ node: Int) -> Bool {
    let node = tree.nodes[node]
    return !node.children.isEmpty || node.isEnd && figures.endTarget != nil
  }

  /// Returns levels of nodes that can be read in one window: as long as each node has one child and
  /// no sentence ends.
  private func chain(from nodes: [Int]) -> [[Int]] {
    var levels = [nodes]
    while (levels.count + 1) * nodes.count <= LanguageModel.tokensAtOnce, let last = levels.last,
      last.allSatisfy({ tree.nodes[$0].children.count == 1 })
    {
      let next = last.map { tree.nodes[$0].children.lowerBound }
      guard next.allSatisfy(isRead) else { break }
      levels.append(next)
    }
    return levels
  }

  /// Reads the nodes of several levels of equal size.
  private mutating func read(_ levels: [[Int]]) throws {
    let count = levels[0].count
    var states: [RecurrentState] = []
    for first in stride(from: 0, to: count, by: LanguageModel.tokensAtOnce) {
      let block = first..<min(first + LanguageModel.tokensAtOnce, count)
      let nodes = levels.flatMap { $0[block] }
      var next = state.selecting(
        levels[0][block].map { tree.nodes[$0].parent.map { columns[$0] } ?? 0 })
      hidden += try network.hiddenStates(
        inputs: nodes.map { tree.nodes[$0].token }, state: &next)
      waiting += nodes
      states.append(next)
      if waiting.count >= LanguageModel.tokensAtOnce { try ask() }
    }
    state = RecurrentState(joining: states) ?? state
    for (column, node) in (levels.last ?? []).enumerated() { columns[node] = column }
  }

  /// Computes the outputs of the waiting nodes.
  private mutating func ask() throws {
    var children: [Int] = []
    var rows: [Int] = []
    for (row, node) in waiting.enumerated() {
      children += tree.nodes[node].children
      rows += Array(repeating: row, count: tree.nodes[node].children.count)
    }
    let found = try network.predictions(
      ofTargets: children.map { tree.nodes[$0].token }, after: rows, hiddenStates: hidden,
      withEntropies: figures.entropies, totalling: figures.subset, guessing: figures.guesses)
    for (child, rank) in zip(children, found.likeliest.ranks) { ranks[child] = rank }
    for (node, tokens) in zip(waiting, found.likeliest.guesses) { guesses[node] = tokens }
    for (child, logProbability) in zip(children, found.logProbabilities) {
      logProbabilities[child] = logProbability
    }
    for (node, entropy) in zip(waiting, found.entropies) { entropies[node] = entropy }
    for (node, total) in zip(waiting, found.totals) { totals[node] = total }
    waiting.removeAll(keepingCapacity: true)
    hidden.removeAll(keepingCapacity: true)
  }
}
