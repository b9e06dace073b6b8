// swift-format-ignore-file: AlwaysUseLowerCamelCase
// Trains a model step by step: truncated BPTT over streams, with an evaluation after each epoch.

import Foundation
import UnrollFormat
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// A training between two steps.
///
/// The same run gives the same bytes, and so does a run that was stopped and resumed.
public struct TrainingRun {
  /// The state to save, except for the contents of model, optimizer and text.
  public internal(set) var state: TrainingState
  /// The retention text, measured at each evaluation.
  public var retention: RetentionText?
  /// `true` if the current weights are the best so far.
  var isBest: Bool { state.best?.step == state.step }

  let source: Checkpoint
  let train: TrainingText
  let valid: TrainingText
  let model: TrainableModel
  var optimizer: Optimizer
  var carried: RecurrentState
  /// The best weights so far, if the schedule rolls back to them.
  var bestParameters: ParameterTree<Tensor>?
  var entry: ProvenanceEntry
  /// `[streams, rows]` the ids of this rank's streams of the training text: the b-th of B runs of `rows` ids is stream b.
  var ids: [Int32]
  /// The length of the streams in tokens.
  let rows: Int
  /// The first stream of `ids`.
  var firstStream = 0
  /// Remarks on an adaptive or a sampled softmax: the approximation, and tokens that are not in the order of frequency.
  public let outputRemarks: [String]
  /// The number of evaluations without improvement after which training ends; `nil` for no limit.
  ///
  /// It is not part of the state: a resumed run has its own.
  public var patience: Int?
  /// `true` to keep histograms of gradients at each evaluation.
  public var keepsHistograms = false
  /// The histograms of the gradients of the last step before the last evaluation.
  public internal(set) var gradientHistograms: [(path: ParameterPath, histogram: NumberHistogram)] =
    []
  /// The windows of training by sentence, in order.
  let sentences: SentenceWindows?
  /// The validation text of training by sentence.
  let validSentences: SentenceStream?
  /// The ranks that train together.
  var crew = TrainingCrew()
  /// `true` after an error that ended the training on all ranks.
  var isAbandoned = false

  /// Begins a training.
  ///
  /// - Parameters:
  ///   - checkpoint: The model; its training state, if any, is discarded.
  ///   - settings: The settings.
  ///   - train: The training text.
  ///   - valid: The validation text.
  ///   - inputs: The digests and names of the model's source files, for the history.
  ///   - new: The initialization of the model, if it has no file.
  ///   - newWords: The report on a previous change of its vocabulary.
  ///   - memory: The maximum number of bytes, by default the memory of the machine.
  /// - Throws: `EngineError` if the text is too short or the BPTT length too large for the
  ///   memory; `NeuralError` if memory is short.
  public init(
    _ checkpoint: Checkpoint, settings: TrainingSettings, train: TrainingText, valid: TrainingText,
    inputs: [String] = [], new: NewModel? = nil, newWords: NewWordsReport? = nil,
    memory: UInt64 = ProcessInfo.processInfo.physicalMemory
  ) throws {
    let architecture = checkpoint.architecture
    let optimizerState = try settings.optimizerState(
      keeping: checkpoint.optimizer, for: architecture)
    optimizer = Optimizer(optimizerState, for: architecture)
    let data = TrainingData(
      trainDigest: train.digest, validDigest: valid.digest, tokens: train.ids.count,
      columns: settings.columns, window: settings.window)
    state = TrainingState(
      maximumEpochs: settings.maximumEpochs, maximumSteps: settings.maximumSteps, data: data,
      schedule: settings.schedule)
    for setting in TrainingSetting.all { _ = setting.store(settings, &state) }
    state.evaluatesAverages = optimizerState.kind == .asgd
    entry = ProvenanceEntry(
      operation: new == nil ? "finetune" : "train", tool: UnrollVersion.producer,
      arguments: [
        new?.arguments, newWords?.arguments, settings.arguments(keeping: checkpoint.optimizer),
      ].compactMap { $0 }.joined(separator: "\n"),
      inputs: (inputs + [Self.input(train), Self.input(valid)]).joined(separator: "\n"))
    var source = checkpoint
    (source.optimizer, source.training) = (nil, nil)
    self.source = source
    self.train = train.withoutTokens
    self.valid = valid
    (ids, sentences, validSentences) = try Self.rows(
      state.data, train: train, valid: valid, of: checkpoint)
    if sentences != nil { state.data.tokens = ids.count }
    rows = ids.count / state.data.columns
    outputRemarks = Self.outputRemarks(state, source, train)
    try Self.checkShards(of: state)
    try Self.checkSampledSoftmax(of: state, checkpoint.architecture)
    try Self.check(state.data, architecture, optimizer, settings.regularization, memory: memory)
    model = try TrainableModel(
      architecture: architecture, parameters: checkpoint.parameters, precision: state.precision)
    carried = model.zeroState(columns: settings.columns)
    resolveSchedule()
  }

  /// Fills in the length of a schedule that does not state it.
  private mutating func resolveSchedule() {
    let kind = state.schedule.kind
    guard kind.defaults[.total] != nil else { return }
    if state.schedule[.total] == 0 {
      // If the training has no end, the schedule ends with the first epoch.
      state.schedule[.total] = Double(stepsLeft == .max ? stepsPerEpoch : stepsLeft)
    }
    if state.schedule[.warmUp] == 0 {
      state.schedule[.warmUp] = (kind.warmUpShare * state.schedule[.total]).rounded(.down)
    }
  }

  /// Resumes a training.
  ///
  /// - Parameters:
  ///   - checkpoint: The saved state.
  ///   - path: Its path, for errors.
  ///   - train: The training text, the same as before.
  ///   - valid: The validation text, the same as before.
  ///   - changes: Changed settings; they are recorded in the history.
  ///   - memory: The maximum number of bytes, by default the memory of the machine.
  /// - Throws: `EngineError` if there is no state, if a text or setting differs that may not
  ///   change, or if the BPTT length is too large for the memory; `NeuralError` if memory is short.
  public init(
    resuming checkpoint: Checkpoint, path: String, train: TrainingText, valid: TrainingText,
    changes: TrainingChanges = TrainingChanges(),
    memory: UInt64 = ProcessInfo.processInfo.physicalMemory
  ) throws {
    guard var state = checkpoint.training, var optimizer = checkpoint.optimizer,
      let entry = checkpoint.provenance.last
    else {
      throw EngineError(
        path: path, expected: "a training to resume", found: "a model without one",
        fix: "give the .last file of the training, or leave --resume out to begin a new one")
    }
    if !changes.allowsOtherTexts {
      try Self.check(train, digest: state.data.trainDigest, role: "training")
      try Self.check(valid, digest: state.data.validDigest, role: "validation")
    }
    var made = try changes.apply(
      to: &state, &optimizer, of: checkpoint.architecture, train: train, valid: valid)
    self.state = state
    self.entry = entry
    self.optimizer = Optimizer(optimizer, for: checkpoint.architecture)
    var source = checkpoint
    source.provenance.removeLast()
    self.source = source
    self.train = train.withoutTokens
    self.valid = valid
    (ids, sentences, validSentences) = try Self.rows(
      state.data, train: train, valid: valid, of: checkpoint)
    let tokens = ids.count
    rows = tokens / state.data.columns
    outputRemarks = Self.outputRemarks(state, source, train)
    guard changes.allowsOtherTexts || tokens == state.data.tokens else {
      throw EngineError(
        path: path, expected: "the \(tokens) tokens of \(train.path)",
        found: "\(state.data.tokens)",
        fix: "the state is damaged, or of another tokenizer: leave --resume out to begin anew")
    }
    self.state.data.tokens = tokens
    try Self.checkShards(of: state)
    try Self.checkSampledSoftmax(of: state, checkpoint.architecture)
    try Self.check(
      state.data, checkpoint.architecture, self.optimizer, state.regularization, memory: memory)
    model = try TrainableModel(
      architecture: checkpoint.architecture, parameters: checkpoint.parameters,
      precision: state.precision)
    carried =
      state.hidden.isEmpty
      ? model.zeroState(columns: state.data.columns)
      : RecurrentState(
        columns: state.data.columns,
        layers: state.hidden.map { carried in
          var layer = LayerState(h: [])
          for name in LayerStateName.allCases { layer[name] = carried[name]?.floats() ?? [] }
          return layer
        })
    if changes.changesLength, !made.isEmpty, state.schedule.kind.defaults[.total] != nil,
      stepsLeft < .max
    {
      // A schedule that ends with the training follows its new end.
      self.state.schedule[.total] = Double(state.step + stepsLeft)
      made.append("schedule_total=\(state.step + stepsLeft)")
    }
    resolveSchedule()
    guard !made.isEmpty else { return }
    self.entry.arguments += "\nfrom_step_\(state.step): " + made.joined(separator: " ")
  }

  /// The learning rate of the next step, the highest of the groups.
  public var learningRate: Double { optimizer.groups.map { $0[.learningRate] }.max() ?? 0 }

  // MARK: Advancing

  mutating func changeLearningRates(_ change: (Double) -> Double) {
    for index in optimizer.groups.indices {
      optimizer.groups[index][.learningRate] = change(optimizer.groups[index][.learningRate])
    }
  }

  /// The settings that shaped the training, such as `optimizer: adam`, as in the history of its files.
  public var settingLines: [String] { entry.arguments.split(separator: "\n").map(String.init) }

  /// The number of tokens in the vocabulary, V.
  public var vocabularySize: Int { source.architecture.vocabularySize }

  /// The number of steps of an epoch, approximate for random BPTT lengths.
  public var stepsPerEpoch: Int {
    let windows = sentences?.windows.count ?? (rows - 2) / state.data.window + 1
    return (windows - 1) / state.accumulation + 1
  }

  /// The number of steps until the end, or an upper bound.
  public var stepsLeft: Int {
    let stepRows = state.data.window * state.accumulation
    let stepsDone =
      sentences.map {
        ($0.index(from: state.data.cursor) + state.accumulation - 1) / state.accumulation
      }
      ?? (state.data.cursor + stepRows - 1) / stepRows
    let byEpochs = state.maximumEpochs.map {
      max(0, ($0 - state.epoch) * stepsPerEpoch - stepsDone)
    }
    let bySteps = state.maximumSteps.map { max(0, $0 - state.step) }
    return min(byEpochs ?? .max, bySteps ?? .max)
  }

  /// `true` if the number of steps ends the training rather than that of epochs.
  public var endsBySteps: Bool { state.maximumSteps.map { state.step >= $0 } ?? false }

  /// `true` if the last `patience` evaluations brought no improvement.
  public var isStuck: Bool {
    guard let patience, let best = state.best else { return false }
    return state.history.count { $0.step > best.step } >= patience
  }

  /// Takes a step, or evaluates the model if that is due.
  ///
  /// - Parameter progress: Called periodically during an evaluation.
  /// - Returns: The event.
  /// - Throws: `Diverged` if a number is not finite; `TextError` if the validation text is too short;
  ///   `NeuralError` if memory is short.
  public mutating func advance(
    progress: (EvaluationProgress) throws -> Void = { _ in }
  ) throws -> TrainingEvent {
    let isEndOfEpoch = state.data.cursor == rows - 1
    let isEvaluated = state.history.last?.step == state.step
    if state.history.isEmpty || ((isEndOfEpoch || endsBySteps) && !isEvaluated) {
      return try evaluate(progress)
    }
    let isLastEpoch = state.maximumEpochs.map { state.epoch >= $0 } ?? false
    guard !endsBySteps, !isLastEpoch, !(isStuck && isEvaluated) else { return .finished }
    return .step(try step())
  }

  /// The number of predictions of this epoch so far.
  public var predictionsOfEpoch: Int {
    sentences?.predictions(before: state.data.cursor) ?? state.data.cursor * state.data.columns
  }
}
