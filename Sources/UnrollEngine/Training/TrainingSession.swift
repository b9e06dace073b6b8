// Runs a training and saves its files.

import UnrollFormat
import UnrollTensors

/// The way a training run ended.
public enum TrainingEnd: Sendable {
  /// The training is finished.
  case finished
  /// The run was asked to pause, and can be resumed.
  case paused
}

extension TrainingRun {
  /// The interval at which the state is saved within a long epoch.
  private static var savingInterval: Duration { .seconds(600) }

  /// Runs to the end, or until asked to pause.
  ///
  /// The state is saved after each evaluation and at the end, then the model if it is the best.
  /// Files are replaced atomically; after any failure both hold an earlier state that can be
  /// resumed.
  ///
  /// - Parameters:
  ///   - files: The output files; they are replaced.
  ///   - steps: The number of steps after which the state is saved within an epoch; `nil` for every
  ///     ten minutes.
  ///   - shouldPause: Called after each step.
  ///   - report: Called with each event, before the state after it is saved.
  ///   - progress: Called periodically during an evaluation.
  /// - Returns: The way the run ended.
  /// - Throws: `Diverged` or `RankFailure`, after the last good state was saved; `OutputTaken` if another process
  ///   wrote to the same files; `CancellationError` if the task was cancelled, after the state was
  ///   saved as for a pause; the errors of saving, stepping and `report`.
  public mutating func run(
    saving files: TrainingFiles, every steps: Int? = nil,
    shouldPause: (TrainingState) -> Bool = { _ in false },
    report: (TrainingEvent, TrainingRun) throws -> Void,
    progress: (EvaluationProgress) throws -> Void = { _ in }
  ) throws -> TrainingEnd {
    var saves = Saves(TrainingOutputs(files))
    do {
      while true {
        let event = try advance(progress: progress)
        saves.isCurrent = false
        if case .finished = event {
          // The state is already saved after the last evaluation.
          try crew.end()
          return .finished
        }
        if try settle(event, &saves, every: steps, shouldPause: shouldPause, report: report) {
          try crew.end()
          break
        }
      }
    } catch {
      abandon(error)
      try saveLastGood(&saves, after: error)
      throw error
    }
    if Task.isCancelled { throw CancellationError() }
    return .paused
  }

  /// The saves of a run.
  private struct Saves {
    var outputs: TrainingOutputs
    var last = ContinuousClock.now
    /// `true` if the files hold the current state.
    var isCurrent = false
    /// `true` after a failed report: the event is not saved.
    var isUnreported = false
    /// The best model, if the current event brought it and it is not saved.
    var best: Checkpoint?

    init(_ outputs: TrainingOutputs) { self.outputs = outputs }
  }

  /// Reports an event, agrees with the other ranks on what follows, and saves if that is due.
  ///
  /// - Returns: `true` if the run is to pause; then the state is saved.
  private mutating func settle(
    _ event: TrainingEvent, _ saves: inout Saves, every steps: Int?,
    shouldPause: (TrainingState) -> Bool, report: (TrainingEvent, TrainingRun) throws -> Void
  ) throws -> Bool {
    var isDue =
      steps.map { state.step.isMultiple(of: $0) }
      ?? (saves.last.duration(to: .now) > Self.savingInterval)
    saves.best = nil
    if case .evaluation(_, let isBest, _) = event {
      isDue = true
      if isBest { saves.best = weights }
    }
    // Reported before saving: a run that is killed in between repeats a line of its log and loses
    // none.
    saves.isUnreported = true
    let wishes = try crew.any(
      Result {
        try report(event, self)
        return [isDue, crew.isShared && (Task.isCancelled || shouldPause(state))]
      })
    saves.isUnreported = false
    if wishes[0] {
      var keeps = false
      if case .evaluation = event { keeps = true }
      try save(&saves, best: saves.best, keeps: keeps)
    }
    let pauses =
      crew.isShared ? wishes[1] : Task.isCancelled || shouldPause(state)
    if pauses && !saves.isCurrent { try save(&saves) }
    return pauses
  }

  /// Saves the state, at rank 0; if that fails, the others end, too.
  ///
  /// - Parameters:
  ///   - saves: The files.
  ///   - best: The best model, if it is new.
  ///   - keeps: `true` to keep the state among those of older steps.
  /// - Throws: The errors of writing, at other ranks `RankFailure`.
  private mutating func save(
    _ saves: inout Saves, best: Checkpoint? = nil, keeps: Bool = false
  ) throws {
    try gatherState()
    _ = try crew.agree(
      Result {
        guard crew.group.rank == 0 else { return [] }
        try saves.outputs.save(resumable, best: best)
        if keeps { try saves.outputs.keep(resumable, step: state.step) }
        return []
      })
    (saves.last, saves.isCurrent) = (.now, true)
  }

  /// Saves the state before a failure, if its numbers are good and the files do not hold it yet.
  private func saveLastGood(_ saves: inout Saves, after error: any Error) throws {
    guard crew.group.rank == 0, !saves.isCurrent, optimizer.isWhole else { return }
    switch error {
    case let error as Diverged:
      if error.parametersAreFinite { try saves.outputs.save(resumable) }
    case is RankFailure:
      if diverged("loss").parametersAreFinite { try saves.outputs.save(resumable) }
    default:
      // A log that cannot be written must not lose the step; the disk may be too full for the
      // state, too.
      if saves.isUnreported { try? saves.outputs.save(resumable, best: saves.best) }
    }
  }

  /// Ensures that the file of the best model holds the best model, before a training is resumed.
  ///
  /// A run that was killed between its two saves left the previous best model behind; the newer one
  /// is the state itself.
  ///
  /// - Parameters:
  ///   - files: The output files of the training.
  ///   - weightsDigest: The digest of weights that the best file states, or `nil` if there is no
  ///     file.
  ///   - parameters: The weights of that file.
  ///   - writes: `true` to write the file; other ranks leave it to rank 0.
  ///   - mayForget: `true` to discard the evaluations if the best model is missing; the next one is
  ///     of the current model.
  /// - Throws: `EngineError` if the best model is missing; the errors of writing.
  public mutating func restoreBest(
    _ files: TrainingFiles, weightsDigest: String?, parameters: ParameterTree<Tensor>? = nil,
    writes: Bool = true, mayForget: Bool = false
  ) throws {
    guard let best = state.best else { return }
    if best.weightsDigest == weightsDigest {
      if state.schedule[.rollback] == 1 { bestParameters = parameters }
      return
    }
    guard isBest else {
      if mayForget && weightsDigest == nil { return state.forgetEvaluations() }
      throw EngineError(
        path: files.best,
        expected: "the best model of this training so far, weights_digest \(best.weightsDigest)",
        found: weightsDigest ?? "no such file",
        fix: "give as --output the file that the training wrote before")
    }
    if state.schedule[.rollback] == 1 { bestParameters = weights.parameters }
    if writes { try weights.write(to: files.best, replacing: true) }
  }
}
