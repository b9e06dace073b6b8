// Options of `evaluate` and `score` that interpolate models.

import ArgumentParser
import UnrollEngine
import UnrollTensors

/// The models beside the first one, and the weights.
struct MixtureOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Interpolate with a checkpoint of the same tokens, or an n-gram model in ARPA format (also .gz); repeat it for "
        + "more.", valueName: "model"))
  var with: [String] = []

  @Option(
    help: ArgumentHelp(
      "Weights of the models, the first one's first, such as 0.7,0.3 (default: equal ones).",
      valueName: "list"))
  var weights: WeightList?

  @Option(
    help: ArgumentHelp(
      "Fit the weights to a held-out text, by expectation maximization.", valueName: "text"))
  var fitWeights: String?

  /// `true` if models are interpolated.
  var isGiven: Bool { !with.isEmpty }

  func validate() throws {
    guard isGiven || (weights == nil && fitWeights == nil) else {
      throw ValidationError("--weights and --fit-weights need --with.")
    }
    guard !with.contains("-"), fitWeights != "-" else {
      throw ValidationError("--with and --fit-weights need files.")
    }
    guard weights == nil || fitWeights == nil else {
      throw ValidationError("--weights and --fit-weights cannot be combined.")
    }
    if let weights, weights.numbers.count != with.count + 1 {
      throw ValidationError(
        "--weights has a weight for each model, \(with.count + 1) in all, the first one's first.")
    }
  }

  /// Refuses what interpolation does not go with in `evaluate`.
  ///
  /// - Throws: `ValidationError`.
  func check(_ protocol: PerplexityProtocol, excludes others: Bool) throws {
    guard isGiven else { return }
    guard [.stream, .sentence, .srilm, .kenlm].contains(`protocol`), !others else {
      throw ValidationError(
        "--with is for the protocols stream, sentence, srilm and kenlm, without --cache, --dynamic, --details, "
          + "--baseline and --estimate.")
    }
  }

  /// Opens the models, and fits the weights if that is requested.
  ///
  /// - Parameters:
  ///   - model: The first model.
  ///   - options: Its options, which hold for the others, too.
  ///   - protocol: The protocol of a fit.
  ///   - preparation: The changes of texts.
  /// - Returns: The interpolation; `nil` if it is not requested.
  /// - Throws: The errors of opening models; `EngineError` if they have other tokens.
  func mixture(
    of model: LanguageModel, _ options: RunningModelOptions, protocol: PerplexityProtocol,
    preparation: TextPreparation
  ) throws -> Mixture? {
    guard isGiven else { return nil }
    let companions = try with.map { try companion($0, of: model, options) }
    guard let fitWeights else {
      return try Mixture(model, with: companions, weights: weights?.numbers)
    }
    let equal = try Mixture(model, with: companions)
    var progress = Progress()
    let fit = try equal.fittedWeights(
      toText: fitWeights, protocol: `protocol`, preparation: preparation
    ) { state in
      progress.report { _ in
        "fitting weights, \(Output.grouped(state.perplexity.predictions)) tokens"
      }
    }
    progress.finish()
    Output.note(
      "note: weights fitted to \(printable(fitWeights)) in \(fit.iterations) iterations: nll "
        + String(printf: "%.6f", fit.nll) + " nats a token")
    return try equal.with(fit)
  }

  private func companion(
    _ path: String, of model: LanguageModel, _ options: RunningModelOptions
  ) throws -> Mixture.Companion {
    guard try NGramModel.recognizes(path) else {
      var other = options
      other.options.model = path
      return .recurrent(try other.load())
    }
    let ngrams = try Progress.during("reading \(path)") { try NGramModel(contentsOf: path) }
    let companion = try Mixture.companion(ngrams, of: model)
    if case .ngram(let scorer) = companion, scorer.missingCount > 0 {
      Output.note(
        "note: \(printable(path)): \(Output.grouped(scorer.missingCount)) of "
          + "\(Output.grouped(model.vocabularySize)) tokens are not in the n-gram model, which gives them the "
          + "probability 0")
    }
    return companion
  }
}

extension Mixture {
  /// The note of a table whose rows do not name the models.
  var note: String {
    let parts = self.parts.map { String(printf: "%.6f ", $0.weight) + printable($0.path) }
    return "note: interpolation of \(parts.joined(separator: ", ")); it has no entropies"
  }
}

/// A model of an interpolation, in JSON.
struct MixturePart: Encodable {
  private let model: String
  private let weight: Double

  init(_ part: (path: String, weight: Double)) {
    model = part.path
    weight = part.weight
  }
}

/// A list of weights, as given on the command line.
struct WeightList: ExpressibleByArgument {
  /// The weights.
  let numbers: [Double]

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    numbers = parts.compactMap { Double($0) }.filter(\.isFinite)
    guard numbers.count == parts.count else { return nil }
  }
}
