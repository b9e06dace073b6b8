// Evaluations of a training and their consequences.

import UnrollFormat
import UnrollNeural
import UnrollTensors

extension TrainingRun {
  /// Evaluates the model, adapts the learning rate, and begins the next epoch at the end of one.
  mutating func evaluate(_ progress: (EvaluationProgress) throws -> Void) throws -> TrainingEvent {
    // One rank may keep histograms: all send their gradients.
    if try crew.any(.success([keepsHistograms]))[0] { try gatherGradients() }
    gradientHistograms = keepsHistograms ? model.gradientHistograms : []
    model.releaseMemory()
    if state.evaluatesAverages {
      try optimizer.gatherSlots(.average, of: source.architecture, over: crew.group)
    }
    let (validNLL, retentionNLL) = try losses(progress)
    let predictions = predictionsOfEpoch
    let record = TrainingRecord(
      step: state.step,
      epoch: Double(state.epoch) + Double(state.data.cursor) / Double(rows - 1),
      learningRate: learningRate
        * state.schedule.multiplier(step: max(1, state.step), epoch: state.epoch),
      trainNLL: predictions > 0 ? state.data.totalNLL / Double(predictions) : .nan,
      validNLL: validNLL)
    let isBest = state.best.map { record.validNLL < $0.validNLL } ?? true
    // The evaluated model, before anything changes.
    let weights = weights
    beginAveragingIfStuck(record)
    state.history.append(record)
    if state.data.cursor == rows - 1 { beginEpoch() }
    if isBest {
      state.evaluationsWithoutImprovement = 0
      state.best = BestState(
        step: state.step, validNLL: record.validNLL, weightsDigest: weights.weightsDigest)
      if state.schedule[.rollback] == 1 { bestParameters = weights.parameters }
    } else {
      try bearPlateau()
    }
    return .evaluation(record, isBest: isBest, retentionNLL: retentionNLL)
  }

  /// Measures this rank's part of the validation text and of the retention text, if there is one.
  func measure(
    _ progress: (EvaluationProgress) throws -> Void
  ) throws -> [LossSums] {
    let evaluated = try LanguageModel(weights, path: valid.path)
    let (rank, size) = (crew.group.rank, crew.group.size)
    let count = PerplexityProtocol.columnCount
    let columns = count * rank / size..<count * (rank + 1) / size
    do {
      var sums = LossSums()
      if let validSentences {
        sums = try evaluated.losses(of: validSentences, rank: rank, of: size, progress)
      } else if !columns.isEmpty {
        sums = LossSums(
          try evaluated.perplexity(
            ofColumns: valid.ids, path: valid.path, columns: columns, progress))
      }
      guard let retention, !columns.isEmpty else { return [sums, LossSums()] }
      return [sums, try evaluated.losses(of: retention, columns: columns, progress)]
    } catch is NotFinite {
      throw diverged("validation loss")
    }
  }

  /// Returns the mean losses of the validation text and of the retention text, which all ranks measure.
  ///
  /// - Throws: The errors of measuring; `RankFailure` if the parameters of a rank differ.
  private func losses(
    _ progress: (EvaluationProgress) throws -> Void
  ) throws -> (valid: Double, retention: Double?) {
    let own = Result {
      let sums = try crew.together { isAlive in
        try measure {
          try progress($0)
          try isAlive()
        }
      }
      return bytes(sums) + (crew.isShared ? Array(weights.weightsDigest.utf8) : [])
    }
    let all = try crew.agree(own)
    let size = 2 * MemoryLayout<LossSums>.stride
    if let rank = all.firstIndex(where: { $0.dropFirst(size) != all[0].dropFirst(size) }) {
      throw RankFailure(
        rank: rank, host: crew.hosts[rank],
        message: "after step \(state.step): expected the parameters of rank 0; found others\n"
          + "  fix: this must not be: check the memory of that machine, and resume from the last state"
      )
    }
    var (valid, kept) = (LossSums(), LossSums())
    for message in all {
      let sums = numbers(message.prefix(size), LossSums())
      valid.add(sums[0])
      kept.add(sums[1])
    }
    return (valid.nll, retention == nil ? nil : kept.knownNLL)
  }

  /// Starts averaging if the loss has not improved for `averageAfter` evaluations: the trigger of
  /// NT-ASGD (AWD-LSTM).
  private mutating func beginAveragingIfStuck(_ record: TrainingRecord) {
    guard let patience = state.averageAfter, optimizer.kind == .sgd else { return }
    let losses = state.history.filter { $0.step > 0 }.map(\.validNLL)
    guard losses.count > patience, let best = losses.dropLast(patience).min(),
      record.validNLL > best
    else { return }
    optimizer.beginAveraging(for: source.architecture)
    state.evaluatesAverages = true
  }

  private mutating func beginEpoch() {
    state.epoch += 1
    (state.data.cursor, state.data.totalNLL) = (0, 0)
    carried = model.zeroState(columns: state.data.columns)
    if let every = state.unfreezeEvery, state.epoch % every == 0,
      let index = optimizer.groups.lastIndex(where: \.isFrozen)
    {
      optimizer.groups[index].isFrozen = false
    }
  }

  /// Lowers the learning rate if evaluations have not improved for longer than the schedule's
  /// patience.
  private mutating func bearPlateau() throws {
    guard state.schedule.kind == .divideOnPlateau else { return }
    state.evaluationsWithoutImprovement += 1
    guard Double(state.evaluationsWithoutImprovement) > state.schedule[.patience] else { return }
    state.evaluationsWithoutImprovement = 0
    let factor = state.schedule[.factor]
    changeLearningRates { $0 / factor }
    guard let bestParameters else { return }
    try model.replaceParameters(by: bestParameters)
    optimizer.forget()
    carried = model.zeroState(columns: state.data.columns)
  }

  func diverged(_ quantity: String) -> Diverged {
    let tensor = model.firstNonFinite
    let isParameter = source.architecture.parameters.contains { $0.path.description == tensor }
    return Diverged(
      step: state.step, quantity: quantity, tensor: tensor, parametersAreFinite: !isParameter,
      learningRate: learningRate)
  }
}
