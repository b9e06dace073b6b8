// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Scores of a model that is mixed with a neural cache of the lines before.

import UnrollNeural
import UnrollTensors

/// A model whose scores depend on the lines before.
protocol AdaptingScorer {
  /// Returns the predictions of a line, then learns from it.
  ///
  /// - Parameters:
  ///   - line: The number of the line, for errors.
  ///   - ids: The tokens.
  ///   - figures: The figures in addition to probabilities.
  ///   - path: The path of the text, for errors.
  /// - Returns: The predictions before the line is learned.
  /// - Throws: `NeuralError` if memory is short, or the errors of learning.
  mutating func predictions(
    ofLine line: Int, _ ids: [Int32], _ figures: PredictionFigures, path: String
  ) throws -> SentencePredictions
}

extension AdaptingScorer {
  /// Scores a text line by line, and learns from each line.
  mutating func score(
    text path: String, _ settings: ScoreSettings, of model: LanguageModel,
    _ body: (SentenceScore, _ fraction: Double?) throws -> Void
  ) throws {
    precondition(
      !settings.carriesState && settings.window == nil && settings.mixture == nil,
      "adaptation is for independent lines of one model")
    var adapting: (any AdaptingScorer)? = self
    try model.score(text: path, settings, adapting: &adapting, body)
    self = adapting as? Self ?? self
  }
}

/// Scores lines with a model that is mixed with a neural cache of what it has read, the lines before included.
///
/// Each line starts from a zero state; the cache stays. All figures are those of the mixture.
public struct CacheScoring: AdaptingScorer {
  private let model: LanguageModel
  private var memory: CacheMemory

  /// Creates a scorer whose cache is empty.
  public init(_ model: LanguageModel, _ cache: NeuralCache) {
    self.model = model
    memory = CacheMemory(cache, H: model.network.topSize)
  }

  /// The adaptation in words.
  public var description: String { memory.cache.description }

  /// Scores a text line by line, and remembers each line.
  ///
  /// - Parameters:
  ///   - path: The text: a file, a gzip file, or `-` for standard input.
  ///   - settings: The settings; lines are independent, without windows and other models.
  ///   - body: Called with each line's score and the share of the text that was read.
  /// - Throws: The errors of `LanguageModel.score(text:_:_:)`.
  public mutating func score(
    text path: String, _ settings: ScoreSettings = ScoreSettings(),
    _ body: (SentenceScore, _ fraction: Double?) throws -> Void
  ) throws {
    try score(text: path, settings, of: model, body)
  }

  mutating func predictions(
    ofLine line: Int, _ ids: [Int32], _ figures: PredictionFigures, path: String
  ) throws -> SentencePredictions {
    let start = [model.encoder.sentenceStartID].compactMap { $0 }
    let read = start + ids
    let end = figures.endTarget == nil ? 0 : 1
    let inputs = Array(read.prefix(max(0, read.count - 1 + end)))
    var found = MixedPredictions(figures)
    var state = model.network.zeroState(columns: 1)
    let (V, H) = (model.vocabularySize, model.network.topSize)
    for first in stride(from: 0, to: inputs.count, by: Self.tokensAtOnce) {
      let part = Array(inputs[first...].prefix(Self.tokensAtOnce))
      var before = state
      let own = try model.network.logDistributions(inputs: part, state: &before)
      let hidden = try model.network.hiddenStates(inputs: part, state: &state)
      for t in part.indices {
        let after = hidden[t * H..<(t + 1) * H]
        let mixed = memory.mixed(own[t * V..<(t + 1) * V], after: after)
        let next = first + t + 1
        guard next < read.count else {
          found.addTotal(mixed)
          continue
        }
        found.add(mixed, target: read[next])
        memory.add(after, followedBy: read[next])
      }
    }
    return found.predictions(unpredictedCount: start.isEmpty ? min(1, ids.count) : 0)
  }

  /// The tokens of a line whose distributions exist at a time.
  private static let tokensAtOnce = 32
}

/// The predictions of a line, from whole distributions.
private struct MixedPredictions {
  private let figures: PredictionFigures
  private var logProbabilities: [Float] = []
  private var entropies: [Double] = []
  private var totals: [Double] = []
  private var likeliest = LikeliestTokens()

  init(_ figures: PredictionFigures) { self.figures = figures }

  /// Adds a prediction.
  ///
  /// - Parameters:
  ///   - probabilities: `[V]`
  ///   - target: The token.
  mutating func add(_ probabilities: [Double], target: Int32) {
    let own = probabilities[Int(target)]
    logProbabilities.append(Float(Elementary.log(own)))
    if figures.entropies {
      entropies.append(
        probabilities.reduce(0) { $1 > 0 ? $0 - $1 * Elementary.log($1) : $0 })
    }
    addTotal(probabilities)
    guard figures.guesses > 0 else { return }
    let order = probabilities.indices.sorted {
      (probabilities[$1], $0) < (probabilities[$0], $1)
    }
    likeliest.append(
      LikeliestTokens(
        guesses: [
          order.prefix(figures.guesses).map {
            TokenGuess(
              token: Int32($0), logProbability: Float(Elementary.log(probabilities[$0])))
          }
        ], ranks: [1 + probabilities.count { $0 > own }]))
  }

  /// Adds the logarithm of the total probability of the requested tokens.
  mutating func addTotal(_ probabilities: [Double]) {
    guard !figures.subset.isEmpty else { return }
    let total = figures.subset.reduce(0) { $0 + probabilities[Int($1)] }
    // Rounding must not make a probability larger than 1.
    totals.append(min(0, Elementary.log(total)))
  }

  func predictions(unpredictedCount: Int) -> SentencePredictions {
    SentencePredictions(
      unpredictedCount: unpredictedCount, logProbabilities: logProbabilities,
      entropies: entropies, totals: totals, likeliest: likeliest)
  }
}
