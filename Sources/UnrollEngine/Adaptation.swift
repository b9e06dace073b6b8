// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Perplexities of models that learn from the text that they are measured on.

import Foundation
import UnrollFormat
import UnrollNeural
import UnrollTensors

/// A memory of the last hidden states and the tokens that followed them (Grave, Joulin & Usunier 2017,
/// "Improving neural language models with a continuous cache").
///
/// Its distribution gives a token w the share of `exp(theta * dot(h_i, h_t))` of those states i that w
/// followed; the model's distribution is mixed with it from the second prediction on.
public struct NeuralCache: Sendable {
  /// The number of states that are remembered.
  public var size: Int
  /// The sharpness theta of the cache's distribution: the larger, the more the most similar states
  /// weigh.
  public var theta: Double
  /// The weight lambda of the cache's distribution in the mixture.
  public var weight: Double

  /// Creates a cache.
  public init(size: Int, theta: Double, weight: Double) {
    self.size = size
    self.theta = theta
    self.weight = weight
  }

  var description: String {
    "adapted at test time: neural cache of \(size) states, theta \(theta), weight \(weight)"
  }
}

/// Dynamic evaluation (Krause, Kahembwe, Murray & Renals 2018, "Dynamic evaluation of neural
/// sequence models"): the model predicts each segment of the text, then takes a step of gradient
/// descent on it.
///
/// The optimizer is plain SGD on the mean loss of a segment, without decay to the initial weights.
public struct DynamicEvaluation: Sendable {
  /// The learning rate.
  public var learningRate: Double
  /// The number of tokens of a segment.
  public var segment: Int

  /// Creates the settings.
  public init(learningRate: Double, segment: Int = 5) {
    self.learningRate = learningRate
    self.segment = segment
  }

  var description: String {
    "adapted at test time: dynamic evaluation by SGD, learning rate \(learningRate), segments of "
      + "\(segment) tokens"
  }
}

extension LanguageModel {
  /// Measures the perplexity of a text, as one stream, of the model mixed with a neural cache.
  ///
  /// The result is not the perplexity of the model alone: the cache adapts to the text.
  ///
  /// - Parameters:
  ///   - path: The text: a file, a gzip file, or `-` for standard input.
  ///   - cache: The cache.
  ///   - preparation: Changes of the text before it is cut into tokens.
  ///   - progress: Called after each window of tokens.
  /// - Returns: The perplexity; its `adaptation` names the cache.
  /// - Throws: The errors of `perplexity(ofText:protocol:progress:)`.
  public func perplexity(
    ofText path: String, with cache: NeuralCache,
    preparation: TextPreparation = TextPreparation(),
    progress: (EvaluationProgress) throws -> Void = { _ in }
  ) throws -> Perplexity {
    var memory = CacheMemory(cache, H: network.topSize)
    var result = try streamPerplexity(
      ofText: path, preparation, window: Self.tokensAtOnce, progress
    ) {
      targets, inputs, state in
      let hidden = try network.hiddenStates(inputs: inputs, state: &state)
      let own = try network.outputLogProbabilities(ofTargets: targets, hiddenStates: hidden)
      return memory.mix(own, targets: targets, hidden: hidden)
    }
    result.adaptation = cache.description
    return result
  }
}

/// Measures the perplexity of a text, as one stream, with dynamic evaluation.
///
/// The result is not the perplexity of the model alone: its weights adapt to the text.
///
/// - Parameters:
///   - path: The text: a file, a gzip file, or `-` for standard input.
///   - checkpoint: The model; it stays as it is.
///   - modelPath: Its path, for errors.
///   - evaluation: The learning rate and the length of segments.
///   - precision: The compute precision: f32 or bf16.
///   - preparation: Changes of the text before it is cut into tokens.
///   - progress: Called after each segment.
/// - Returns: The perplexity; its `adaptation` names the settings.
/// - Throws: The errors of `LanguageModel.perplexity(ofText:protocol:progress:)`; `NotFinite` also
///   if the learning rate is too high.
public func perplexity(
  ofText path: String, adapting checkpoint: Checkpoint, path modelPath: String,
  by evaluation: DynamicEvaluation, precision: Precision = .float32,
  preparation: TextPreparation = TextPreparation(),
  progress: (EvaluationProgress) throws -> Void = { _ in }
) throws -> Perplexity {
  let model = try LanguageModel(checkpoint, path: modelPath)
  let learner = try TrainableModel(
    architecture: checkpoint.architecture, parameters: checkpoint.parameters,
    precision: precision)
  var optimizer = Optimizer(
    .sgd, [.learningRate: evaluation.learningRate], for: checkpoint.architecture)
  var result = try model.streamPerplexity(
    ofText: path, preparation, window: evaluation.segment, progress
  ) {
    targets, inputs, state in
    let loss = try learner.backpropagate(inputs: inputs, targets: targets, state: &state)
    let norm = optimizer.gradientNorm(of: learner)
    guard loss.isFinite, norm.isFinite else { throw NotFinite(path: modelPath) }
    optimizer.step(learner, gradientNorm: norm)
    // Only the mean loss of the segment is known.
    return Array(repeating: Float(-loss), count: targets.count)
  }
  result.adaptation = evaluation.description
  return result
}
