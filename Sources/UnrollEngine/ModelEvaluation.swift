// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Evaluates a model on a text under each protocol.

import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// The progress of an evaluation.
public struct EvaluationProgress: Sendable {
  /// The figures of perplexity so far.
  public var perplexity: Perplexity
  /// The share of the work that is done, or `nil` if unknown, as for standard input.
  public var fraction: Double?
}

extension LanguageModel {
  /// Measures the perplexity of a text.
  ///
  /// - Parameters:
  ///   - path: The text: a file, a gzip file, or `-` for standard input.
  ///   - protocol: The tokens that are predicted, and their context.
  ///   - window: The window of the protocol `window`, which requires one; `nil` for others.
  ///   - crossesLines: `true` if the window crosses lines.
  ///   - preparation: Changes of the text before it is cut into tokens; words and bytes are counted
  ///     after them.
  ///   - withDetails: `true` to compute `Perplexity.details`, which takes up to twice the time.
  ///   - mixture: The interpolation of this model with others that is measured; `nil` for the model alone.
  ///   - progress: Called after each window of tokens.
  /// - Returns: The perplexity with its counts.
  /// - Throws: `FileError` or `TextError` if the text cannot be read, has a word that the model
  ///   cannot encode, or has nothing to predict; `NotFinite` if the model's output is not finite;
  ///   `CancellationError` if the task was cancelled.
  public func perplexity(
    ofText path: String, protocol: PerplexityProtocol, window: FixedWindow? = nil,
    crossesLines: Bool = false, preparation: TextPreparation = TextPreparation(),
    withDetails: Bool = false, mixture: Mixture? = nil,
    progress: (EvaluationProgress) throws -> Void = { _ in }
  ) throws -> Perplexity {
    guard preparation.part == nil || (`protocol`.isByLine && !crossesLines && !withDetails) else {
      throw EngineError(
        path: "--part",
        expected: "a protocol that predicts each line alone: "
          + PerplexityProtocol.allCases.filter(\.isByLine).map(\.rawValue).joined(separator: ", "),
        found: "\(`protocol`.rawValue), whose state goes through the whole text",
        fix: "give one of these with --protocol, or leave --part out")
    }
    guard (`protocol` == .window) == (window != nil) else {
      throw NeuralError.window(
        expected: "a window for the protocol window, and for no other",
        found: "\(`protocol`.rawValue) \(window == nil ? "without" : "with") one")
    }
    try mixture?.check(`protocol`, withDetails: withDetails)
    var text = try TokenReader(encoder: encoder, path: path, preparation)
    // SRILM skips blank lines.
    text.skipsBlankLines = `protocol` == .srilm
    // SRILM and KenLM treat the word <unk> of a text as an out-of-vocabulary word.
    text.takesUnknownTokenForUnknown = [.srilm, .kenlm].contains(`protocol`)
    text.recordsWords = withDetails
    return try measure(`protocol`, path: path, part: preparation.part) { run in
      run.window = window
      run.mixture = mixture
      run.result.mixture = mixture?.parts ?? []
      run.details = withDetails ? DetailCollector(encoder.vocabulary) : nil
      run.result.window = window.map { description(of: $0, crossesLines: crossesLines) }
      if crossesLines { run.history = [encoder.sentenceStartID].compactMap { $0 } }
      switch `protocol` {
      case .stream:
        var others = mixture.map(MixtureStream.init)
        try run.stream(&text, after: nil, progress) { targets, inputs, state in
          try others?.mixedLogProbabilities(targets, inputs, &state)
            ?? network.logProbabilities(ofTargets: targets, inputs: inputs, state: &state)
        }
      case .columns:
        try run.columns(try text.all(), 0..<PerplexityProtocol.columnCount, progress)
      case .sentence, .srilm, .kenlm, .window: try run.sentences(&text, progress)
      case .lmEval:
        try run.stream(
          &text, after: encoder.sentenceStartID, progress, predict: network.logProbabilities)
      }
      run.result.lines = text.lineCount
      run.result.emptyEnds = text.emptyEnds
      run.result.leftOut = text.leftOutCount
      run.result.details = run.details?.finished(text.wordCounts)
    }
  }

  /// Measures the perplexity of a text under the protocol `stream`, with probabilities from a closure.
  ///
  /// - Parameters:
  ///   - path: The text.
  ///   - preparation: Changes of the text before it is cut into tokens.
  ///   - window: The number of tokens that are predicted at once.
  ///   - progress: Called after each window.
  ///   - predict: Returns the log-probabilities `[T]` of targets after inputs and a state.
  /// - Returns: The perplexity with its counts.
  /// - Throws: The errors of `perplexity(ofText:protocol:progress:)` and `predict`.
  func streamPerplexity(
    ofText path: String, _ preparation: TextPreparation, window: Int,
    _ progress: (EvaluationProgress) throws -> Void, predict: EvaluationRun.Predict
  ) throws -> Perplexity {
    var text = try TokenReader(encoder: encoder, path: path, preparation)
    return try measure(.stream, path: path) { run in
      try run.stream(&text, after: nil, window: window, progress, predict: predict)
      run.result.lines = text.lineCount
      run.result.leftOut = text.leftOutCount
    }
  }

  /// Measures the perplexity of token ids under the protocol `columns`.
  ///
  /// - Parameters:
  ///   - ids: The token ids.
  ///   - isKnown: `true` for each id that stands for a word of the vocabulary; all if `nil`.
  ///   - path: The path of their text, for errors.
  ///   - columns: The columns to measure, at least one.
  ///   - progress: Called after each window.
  /// - Returns: The perplexity; words and bytes are not counted.
  /// - Throws: `TextError` if there is nothing to predict; `NotFinite` if the model's output is not
  ///   finite.
  func perplexity(
    ofColumns ids: [Int32], isKnown: [Bool]? = nil, path: String,
    columns: Range<Int> = 0..<PerplexityProtocol.columnCount,
    _ progress: (EvaluationProgress) throws -> Void
  ) throws -> Perplexity {
    try measure(.columns, path: path) { run in
      let tokens = ids.indices.lazy.map { index in
        let isUnknown = isKnown.map { !$0[index] } ?? false
        return TokenInText(
          id: ids[index], byteCount: 0, wordCount: 0, isUnknown: isUnknown,
          isOfUnknownWord: isUnknown)
      }
      try run.columns(tokens, columns, progress)
    }
  }

  private func measure(
    _ protocol: PerplexityProtocol, path: String, part: TextPart? = nil,
    _ body: (inout EvaluationRun) throws -> Void
  ) throws -> Perplexity {
    let start = ContinuousClock.now
    var run = EvaluationRun(model: self, result: Perplexity(`protocol`))
    try body(&run)
    // A part may have no line; its sums are zero.
    guard run.result.predictions > 0 || part != nil else {
      throw TextError(
        path: path, line: nil,
        expected: "enough text for protocol \(`protocol`.rawValue)",
        found: "\(run.result.tokens) token(s), none of which it predicts",
        fix: "give more text")
    }
    guard run.result.totalNLL.isFinite else { throw NotFinite(path: self.path) }
    run.result.firstToken = firstToken(`protocol`, run.result.window)
    run.result.lineEnds = lineEnds
    run.result.vocabularySize = vocabularySize
    run.result.seconds = start.duration(to: .now) / .seconds(1)
    return run.result
  }

  private func firstToken(
    _ protocol: PerplexityProtocol, _ window: WindowDescription?
  ) -> String {
    let follows = encoder.sentenceStartID.map {
      "follows \(encoder.vocabulary.text(of: Int($0)))"
    }
    return switch `protocol` {
    case .stream: "not predicted"
    case .columns: "not predicted, of each column"
    case .sentence, .srilm, .kenlm: (follows ?? "not predicted") + ", of each line"
    case .lmEval: follows ?? "not predicted"
    case .window: firstToken(follows, window)
    }
  }

  private func firstToken(_ follows: String?, _ window: WindowDescription?) -> String {
    guard let window else { return "" }
    let padding = window.padding == "none" ? nil : "follows \(window.padding) alone"
    return (follows ?? padding ?? "not predicted") + (window.crossesLines ? "" : ", of each line")
  }

  private var lineEnds: String {
    if let id = encoder.endOfSentenceID {
      return "\(encoder.vocabulary.text(of: Int(id))), predicted"
    }
    return encoder.predictsLineEnds ? "part of the text" : "not predicted"
  }
}

/// The state of one evaluation.
struct EvaluationRun {
  let model: LanguageModel
  var result: Perplexity
  /// The window of the protocol `window`.
  var window: FixedWindow?
  /// The last tokens, if windows cross lines.
  var history: [Int32]?
  /// The interpolation with other models.
  var mixture: Mixture?
  /// The figures by groups of words, if they are requested.
  var details: DetailCollector?

  typealias Report = (EvaluationProgress) throws -> Void
  /// Returns the log-probabilities `[T, B]` of targets after inputs and a state.
  typealias Predict = (
    _ targets: [Int32], _ inputs: [Int32], _ state: inout RecurrentState
  ) throws -> [Float]

  /// Predicts a text as one stream.
  ///
  /// - Parameters:
  ///   - text: The text.
  ///   - start: The token before the first one, or `nil` if it is not predicted.
  ///   - window: The number of tokens that are predicted at once.
  ///   - progress: Called after each window.
  ///   - predict: Returns the log-probabilities of targets.
  /// - Throws: Errors of reading and predicting.
  mutating func stream(
    _ text: inout TokenReader, after start: Int32?, window: Int = LanguageModel.tokensAtOnce,
    _ progress: Report, predict: Predict
  ) throws {
    var state = model.network.zeroState(columns: 1)
    result.tokens = start == nil ? 1 : 0
    guard var previous = try start ?? text.next()?.id else {
      result.tokens = 0
      return
    }
    var inputs: [Int32] = []
    var targets: [TokenInText] = []
    while true {
      let token = try text.next()
      if let token {
        result.tokens += 1
        inputs.append(previous)
        targets.append(token)
        previous = token.id
      }
      guard inputs.count == window || token == nil else { continue }
      try add(targets, inputs: inputs, state: &state, predict)
      try progress(EvaluationProgress(perplexity: result, fraction: text.fraction))
      inputs.removeAll(keepingCapacity: true)
      targets.removeAll(keepingCapacity: true)
      guard token != nil else { return }
    }
  }

  /// Predicts some of the columns of a text.
  mutating func columns(
    _ tokens: some RandomAccessCollection<TokenInText>, _ columns: Range<Int>, _ progress: Report
  ) throws {
    result.tokens = tokens.count
    let (B, T) = (PerplexityProtocol.columnCount, PerplexityProtocol.columnsWindow)
    // Stream b of the batch is the b-th of B runs of n tokens; the remainder is not used.
    let n = tokens.count / B
    guard n > 1 else { return }
    func row(_ t: Int) -> [TokenInText] {
      columns.map { tokens[tokens.index(tokens.startIndex, offsetBy: $0 * n + t)] }
    }
    var state = model.network.zeroState(columns: columns.count)
    for start in stride(from: 0, to: n - 1, by: T) {
      let end = min(start + T, n - 1)
      let inputs = (start..<end).flatMap { row($0).map(\.id) }  // [T, B]
      let targets = (start + 1..<end + 1).flatMap { row($0) }  // [T, B]
      try add(targets, inputs: inputs, state: &state, model.network.logProbabilities)
      let fraction = Double(end) / Double(n - 1)
      try progress(EvaluationProgress(perplexity: result, fraction: fraction))
    }
  }

  mutating func sentences(_ text: inout TokenReader, _ progress: Report) throws {
    while true {
      // Lines that are computed together, sharing their common prefixes.
      var lines: [[TokenInText]] = []
      var tokens = 0
      while lines.count < LanguageModel.sentenceCount, tokens < 1 << 16,
        let line = try text.nextLine()
      {
        tokens += line.count
        lines.append(line)
      }
      guard !lines.isEmpty else { return }
      try Task.checkCancellation()
      let sentences = lines.map { $0.map(\.id) }
      var figures = PredictionFigures()
      figures.guesses = details == nil ? 0 : 1
      let predictions =
        if let window {
          try model.predictions(ofSentences: sentences, window: window, after: &history, figures)
        } else {
          try mixture?.predictions(ofSentences: sentences)
            ?? model.predictions(ofSentences: sentences, figures)
        }
      for (line, prediction) in zip(lines, predictions) {
        details?.add(
          line.dropFirst(prediction.unpredictedCount), prediction.logProbabilities,
          prediction.likeliest)
        for (token, logProbability) in zip(
          line.dropFirst(prediction.unpredictedCount), prediction.logProbabilities)
        {
          result.add(logProbability: logProbability, token: token)
        }
        result.endBlock()
      }
      result.tokens += tokens
      try progress(EvaluationProgress(perplexity: result, fraction: text.fraction))
    }
  }

  private mutating func add(
    _ targets: [TokenInText], inputs: [Int32], state: inout RecurrentState, _ predict: Predict
  ) throws {
    try Task.checkCancellation()
    guard !targets.isEmpty else { return }
    let logProbabilities: [Float]
    if details == nil {
      logProbabilities = try predict(targets.map(\.id), inputs, &state)
    } else {
      let found = try model.network.predictions(
        ofTargets: targets.map(\.id), inputs: inputs, withEntropies: false, guessing: 1,
        state: &state)
      details?.add(targets, found.logProbabilities, found.likeliest)
      logProbabilities = found.logProbabilities
    }
    for (token, logProbability) in zip(targets, logProbabilities) {
      result.add(logProbability: logProbability, token: token)
    }
    result.endBlock()
  }
}
