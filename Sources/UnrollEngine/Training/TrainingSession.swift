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
  /// - Throws: `Diverged`, after the last good state was saved; `OutputTaken` if another process
  ///   wrote to the same files; `CancellationError` if the task was cancelled, after the state was
  ///   saved as for a pause; the errors of saving, stepping and `report`.
  public mutating func run(
    saving files: TrainingFiles, every steps: Int? = nil,
    shouldPause: (TrainingState) -> Bool = { _ in false },
    report: (TrainingEvent, TrainingRun) throws -> Void,
    progress: (EvaluationProgress) throws -> Void = { _ in }
  ) throws -> TrainingEnd {
    var outputs = TrainingOutputs(files)
    var lastSave = ContinuousClock.now
    var isSaved = false
    while true {
      let event: TrainingEvent
      do {
        event = try advance(progress: progress)
      } catch let error as Diverged {
        if error.parametersAreFinite && !isSaved { try outputs.save(resumable) }
        throw error
      }
      isSaved = false
      let isDue: Bool
      var best: Checkpoint?
      switch event {
      case .finished:
        // The state is already saved after the last evaluation.
        return .finished
      case .evaluation(_, let isBest, _):
        isDue = true
        if isBest { best = weights }
      case .step:
        isDue =
          steps.map { state.step.isMultiple(of: $0) }
          ?? (lastSave.duration(to: .now) > Self.savingInterval)
      }
      let resumable = resumable
      // Reported before saving: a run that is killed in between repeats a line of its log and loses
      // none.
      do {
        try report(event, self)
      } catch {
        // A log that cannot be written must not lose the step; the disk may be too full for the
        // state, too.
        try? outputs.save(resumable, best: best)
        throw error
      }
      if isDue {
        try outputs.save(resumable, best: best)
        (lastSave, isSaved) = (.now, true)
        if case .evaluation = event { try outputs.keep(resumable, step: state.step) }
      }
      let isCancelled = Task.isCancelled
      if isCancelled || shouldPause(state) {
        if !isSaved { try outputs.save(resumable) }
        if isCancelled { throw CancellationError() }
        return .paused
      }
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
  ///   - mayForget: `true` to discard the evaluations if the best model is missing; the next one is
  ///     of the current model.
  /// - Throws: `EngineError` if the best model is missing; the errors of writing.
  public mutating func restoreBest(
    _ files: TrainingFiles, weightsDigest: String?, parameters: ParameterTree<Tensor>? = nil,
    mayForget: Bool = false
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
    try weights.write(to: files.best, replacing: true)
  }
}
