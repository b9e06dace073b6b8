// Options of `evaluate` for adaptation to the text, and for the confidence interval.

import ArgumentParser
import UnrollEngine

/// A neural cache.
struct CacheOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Adapt by a neural cache of N states.", valueName: "states"))
  var cache: Int?

  @Option(help: ArgumentHelp("Inverse temperature of the cache (default: 1).", valueName: "theta"))
  var cacheTheta: Double?

  @Option(
    help: ArgumentHelp(
      "Interpolation weight of the cache, from 0 to below 1 (default: 0.1).", valueName: "weight"))
  var cacheWeight: Double?

  /// The neural cache, if it is asked for.
  var neuralCache: NeuralCache? {
    cache.map { NeuralCache(size: $0, theta: cacheTheta ?? 1, weight: cacheWeight ?? 0.1) }
  }

  func validate() throws {
    if let cache, !(1...100_000).contains(cache) {
      throw ValidationError("--cache is 1 to 100,000.")
    }
    guard cache != nil || (cacheTheta == nil && cacheWeight == nil) else {
      throw ValidationError("--cache-theta and --cache-weight need --cache.")
    }
    if let cacheTheta, !(cacheTheta >= 0 && cacheTheta.isFinite) {
      throw ValidationError("--cache-theta is a number of at least 0.")
    }
    // With weight 1, tokens that the cache has not seen would have no probability.
    if let cacheWeight, !(cacheWeight >= 0 && cacheWeight < 1) {
      throw ValidationError("--cache-weight is a number of at least 0 and below 1.")
    }
  }
}

/// A neural cache, or dynamic evaluation.
struct AdaptationOptions: ParsableArguments {
  @OptionGroup var caching: CacheOptions

  @Option(
    help: ArgumentHelp(
      "Dynamic evaluation: adapt by SGD with this learning rate.", valueName: "rate"))
  var dynamic: Double?

  @Option(
    help: ArgumentHelp("Tokens between steps of --dynamic (default: 5).", valueName: "tokens"))
  var segment: Int?

  /// `true` if the model adapts.
  var isGiven: Bool { caching.cache != nil || dynamic != nil }

  /// Dynamic evaluation, if it is asked for.
  var dynamicEvaluation: DynamicEvaluation? {
    dynamic.map { DynamicEvaluation(learningRate: $0, segment: segment ?? 5) }
  }

  func validate() throws {
    guard caching.cache == nil || dynamic == nil else {
      throw ValidationError("--cache and --dynamic cannot be combined.")
    }
    if let segment, !(1...100_000).contains(segment) {
      throw ValidationError("--segment is 1 to 100,000.")
    }
    guard dynamic != nil || segment == nil else {
      throw ValidationError("--segment needs --dynamic.")
    }
    if let dynamic, !(dynamic > 0 && dynamic.isFinite) {
      throw ValidationError("--dynamic is a number above 0.")
    }
  }
}

/// The bootstrap of the perplexity's interval.
struct BootstrapOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Bootstrap samples for the interval; 0 for none.", valueName: "number"))
  var resamples = 1000

  @Option(help: "Random seed of the bootstrap.")
  var seed: UInt32 = 1

  func validate() throws {
    guard (0...1_000_000).contains(resamples) else {
      throw ValidationError("--resamples is 0 to 1,000,000.")
    }
  }
}
