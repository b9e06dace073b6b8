// Linear interpolation of language models.

import Synchronization
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// A linear interpolation of language models of the same tokens: `p(w) = sum of weight_i * p_i(w)`.
public struct Mixture: Sendable {
  /// A model beside the first one.
  public enum Companion: Sendable {
    /// A recurrent model of the same vocabulary.
    case recurrent(LanguageModel)
    /// An n-gram model whose words are the tokens.
    case ngram(NGramScorer)

    /// The path of the model.
    public var path: String {
      switch self {
      case .recurrent(let model): model.path
      case .ngram(let scorer): scorer.model.path
      }
    }
  }

  /// The first model, which cuts texts into tokens.
  public let model: LanguageModel
  /// The other models.
  public let companions: [Companion]
  /// The weights of the first model and the others: positive numbers with the sum 1.
  public internal(set) var weights: [Double]
  /// Receives the log-probabilities of each model, where weights are fitted.
  var recorder: ComponentRecorder?

  /// Creates an interpolation.
  ///
  /// - Parameters:
  ///   - model: The first model.
  ///   - companions: The other models, at least one.
  ///   - weights: The weights, in this order; equal ones if `nil`.
  /// - Throws: `EngineError` if a recurrent model has other tokens, or the weights are no weights.
  public init(
    _ model: LanguageModel, with companions: [Companion], weights: [Double]? = nil
  ) throws {
    for case .recurrent(let other) in companions
    where !model.encoder.hasSameTokens(as: other.encoder) {
      throw EngineError(
        path: other.path, expected: "the tokens and line conventions of \(printable(model.path))",
        found: "others", fix: "interpolate models of one vocabulary")
    }
    let count = companions.count + 1
    let weights = weights ?? Array(repeating: 1 / Double(count), count: count)
    guard count > 1, weights.count == count, weights.allSatisfy({ $0 > 0 }),
      abs(weights.reduce(0, +) - 1) < 1e-6
    else {
      throw EngineError(
        path: model.path, expected: "\(count) weights above 0 with the sum 1",
        found: weights.map { "\($0)" }.joined(separator: ","),
        fix: "give a weight for each model, the first one's first, such as 0.7,0.3")
    }
    self.model = model
    self.companions = companions
    self.weights = weights
  }

  /// Opens an n-gram model to be interpolated with a recurrent one.
  ///
  /// - Throws: The errors of reading it; `EngineError` if it has other tokens.
  public static func companion(_ ngrams: NGramModel, of model: LanguageModel) throws -> Companion {
    .ngram(try NGramScorer(ngrams, for: model.encoder))
  }

  /// The paths of all models with their weights.
  public var parts: [(path: String, weight: Double)] {
    Array(zip([model.path] + companions.map(\.path), weights))
  }

  /// Refuses what has no meaning for a mixture, or is not computed for it.
  ///
  /// - Throws: `EngineError`.
  func check(_ protocol: PerplexityProtocol, withDetails: Bool = false) throws {
    guard ![.stream, .sentence, .srilm, .kenlm].contains(`protocol`) || withDetails else { return }
    throw EngineError(
      path: model.path, expected: "the protocol stream, sentence, srilm or kenlm, without details",
      found: withDetails ? "details" : `protocol`.rawValue,
      fix: "measure interpolated models under one of these protocols")
  }

  // MARK: Predictions

  /// Returns the mixed predictions of sentences, each from a zero state; they have no entropies and no
  /// likeliest tokens.
  ///
  /// - Parameters:
  ///   - sentences: The tokens of each.
  ///   - figures: Figures of words; only totals are computed.
  /// - Returns: One for each sentence, in order.
  /// - Throws: `NeuralError` if memory is short; `EngineError` for totals beside an n-gram model.
  func predictions(
    ofSentences sentences: [[Int32]], _ figures: PredictionFigures = PredictionFigures()
  ) throws -> [SentencePredictions] {
    var own = PredictionFigures()
    own.subset = figures.subset
    own.includesEnd = figures.includesEnd
    let first = try model.predictions(ofSentences: sentences, own)
    let others = try companions.map { companion in
      switch companion {
      case .recurrent(let other):
        return try other.predictions(ofSentences: sentences, own)
      case .ngram(let scorer):
        guard figures.subset.isEmpty else {
          throw EngineError(
            path: scorer.model.path, expected: "words without a boundary of their own",
            found: "tokens that begin or end words, and an n-gram model",
            fix: "give --boundary before or none")
        }
        return zip(sentences, first).map { ids, first in
          SentencePredictions(
            unpredictedCount: first.unpredictedCount,
            logProbabilities: scorer.tokenLogProbabilities(ofSentence: ids).dropFirst(
              first.unpredictedCount
            ).map { Float($0) }, entropies: [], totals: [], likeliest: LikeliestTokens())
        }
      }
    }
    return first.indices.map { index in
      let parts = [first[index]] + others.map { $0[index] }
      return SentencePredictions(
        unpredictedCount: first[index].unpredictedCount,
        logProbabilities: mixed(parts.map(\.logProbabilities)), entropies: [],
        totals: mixedTotals(parts.map(\.totals)), likeliest: LikeliestTokens())
    }
  }

  /// Mixes log-probabilities `[K][M]` of K models into `[M]`.
  func mixed(_ parts: [[Float]]) -> [Float] {
    recorder?.add(parts)
    return parts[0].indices.map { place in
      Float(logSum(parts.map { Double($0[place]) }))
    }
  }

  private func mixedTotals(_ parts: [[Double]]) -> [Double] {
    parts[0].indices.map { place in min(0, logSum(parts.map { $0[place] })) }
  }

  /// Returns the logarithm of the weighted sum of probabilities.
  private func logSum(_ logarithms: [Double]) -> Double {
    let largest = logarithms.max() ?? 0
    guard largest > -.infinity else { return largest }
    let sum = zip(weights, logarithms).reduce(0.0) {
      $0 + $1.0 * Elementary.exp($1.1 - largest)
    }
    return largest + Elementary.log(sum)
  }
}

/// The log-probabilities of each model, in the order in which they are computed.
///
/// A class because copies of a mixture share it.
final class ComponentRecorder: Sendable {
  private let parts: Mutex<[[Float]]>

  init(count: Int) { parts = Mutex(Array(repeating: [], count: count)) }

  /// By model.
  var logProbabilities: [[Float]] { parts.withLock { $0 } }

  /// Adds the next log-probabilities of each model.
  func add(_ next: [[Float]]) {
    parts.withLock { parts in
      for (index, part) in next.enumerated() { parts[index] += part }
    }
  }
}

/// The states of the models of a mixture along one stream.
struct MixtureStream {
  private let mixture: Mixture
  private var states: [RecurrentState?]
  private var contexts: [[Int32]]

  init(_ mixture: Mixture) {
    self.mixture = mixture
    states = mixture.companions.map { companion in
      if case .recurrent(let model) = companion { return model.network.zeroState(columns: 1) }
      return nil
    }
    contexts = mixture.companions.map { _ in [] }
  }

  /// Returns the mixed log-probabilities of the targets of a window.
  ///
  /// - Parameters:
  ///   - targets: `[T]`
  ///   - inputs: `[T]` the tokens before them.
  ///   - state: The state of the first model. In: before the window. Out: after it.
  /// - Returns: `[T]`
  /// - Throws: `NeuralError` if memory is short.
  mutating func mixedLogProbabilities(
    _ targets: [Int32], _ inputs: [Int32], _ state: inout RecurrentState
  ) throws -> [Float] {
    var parts = [
      try mixture.model.network.logProbabilities(
        ofTargets: targets, inputs: inputs, state: &state)
    ]
    for (index, companion) in mixture.companions.enumerated() {
      switch companion {
      case .recurrent(let model):
        guard var own = states[index] else { continue }
        parts.append(
          try model.network.logProbabilities(ofTargets: targets, inputs: inputs, state: &own))
        states[index] = own
      case .ngram(let scorer):
        // The first token of the text is read and not predicted.
        if contexts[index].isEmpty, let first = inputs.first {
          scorer.read(first, &contexts[index])
        }
        parts.append(
          targets.map { Float(scorer.logProbability(of: $0, after: &contexts[index])) })
      }
    }
    return mixture.mixed(parts)
  }
}

extension Encoder {
  /// Returns `true` if another encoder has the same tokens, ids and line conventions.
  func hasSameTokens(as other: Encoder) -> Bool {
    vocabulary.tokenBytes == other.vocabulary.tokenBytes
      && vocabulary.tokenOffsets == other.vocabulary.tokenOffsets
      && vocabulary.unknownID == other.vocabulary.unknownID
      && sentenceStartID == other.sentenceStartID && endOfSentenceID == other.endOfSentenceID
      && tokenizer.kind == other.tokenizer.kind
  }
}
