// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Weights of an interpolation, fitted by expectation maximization.

import UnrollTensors

/// The result of a fit of weights.
public struct WeightFit: Sendable {
  /// The weights, the first model's first.
  public let weights: [Double]
  /// The number of iterations.
  public let iterations: Int
  /// The number of predictions of the text.
  public let predictions: Int
  /// The mean negative log-likelihood of the text in nats a token, with these weights.
  public let nll: Double
}

extension Mixture {
  /// Returns the weights that give a text the highest probability, found by expectation maximization from
  /// equal weights (Jelinek & Mercer 1980, "Interpolated estimation of Markov source parameters from
  /// sparse data").
  ///
  /// - Parameters:
  ///   - path: A held-out text: a file or a gzip file.
  ///   - protocol: The protocol, `stream` or one of lines.
  ///   - preparation: Changes of the text before it is cut into tokens.
  ///   - progress: Called after each window of tokens.
  /// - Returns: The weights.
  /// - Throws: The errors of `LanguageModel.perplexity(ofText:protocol:)`.
  public func fittedWeights(
    toText path: String, protocol: PerplexityProtocol = .sentence,
    preparation: TextPreparation = TextPreparation(),
    progress: (EvaluationProgress) throws -> Void = { _ in }
  ) throws -> WeightFit {
    var recorded = self
    let recorder = ComponentRecorder(count: weights.count)
    recorded.recorder = recorder
    _ = try model.perplexity(
      ofText: path, protocol: `protocol`, preparation: preparation, mixture: recorded,
      progress: progress)
    return Self.fit(recorder.logProbabilities)
  }

  /// Returns the interpolation with fitted weights.
  ///
  /// - Throws: `EngineError` if a model has no part in it.
  public func with(_ fit: WeightFit) throws -> Mixture {
    // A weight that vanishes stays a weight: the model is computed anyway.
    let weights = fit.weights.map { max($0, .leastNormalMagnitude) }
    return try Mixture(model, with: companions, weights: weights)
  }

  /// Returns the weights of the highest likelihood.
  ///
  /// - Parameter parts: `[K][M]` log-probabilities of K models, of the first one all finite.
  /// - Returns: The fit.
  static func fit(_ parts: [[Float]]) -> WeightFit {
    let (K, M) = (parts.count, parts[0].count)
    var weights = [Double](repeating: 1 / Double(K), count: K)
    var iterations = 0
    var nll = 0.0
    while true {
      // Expectation: the share of each model in each prediction. Maximization: its mean.
      var shares = [Double](repeating: 0, count: K)
      nll = 0
      var own = [Double](repeating: 0, count: K)
      for place in 0..<M {
        let largest = parts.reduce(-Float.infinity) { max($0, $1[place]) }
        var sum = 0.0
        for k in 0..<K {
          own[k] = weights[k] * Elementary.exp(Double(parts[k][place]) - Double(largest))
          sum += own[k]
        }
        for k in 0..<K { shares[k] += own[k] / sum }
        nll -= Double(largest) + Elementary.log(sum)
      }
      let next = shares.map { $0 / Double(M) }
      let change = zip(next, weights).reduce(0) { max($0, abs($1.0 - $1.1)) }
      guard change > 1e-6, iterations < 1000 else { break }
      weights = next
      iterations += 1
    }
    return WeightFit(
      weights: weights, iterations: iterations, predictions: M, nll: nll / Double(M))
  }
}
