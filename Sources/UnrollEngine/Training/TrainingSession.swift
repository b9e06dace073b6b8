// Runs a training and saves what must not be lost.

import UnrollFormat
import UnrollTensors

/// How a training ended for now.
public enum TrainingEnd: Sendable {
  /// Nothing is left to do.
  case finished
  /// It was asked to pause, and can be resumed.
  case paused
}

extension TrainingRun {
  /// The time after which a long epoch is saved, too.
  private static var savingInterval: Duration { .seconds(600) }

  /// Runs to the end, or until asked to pause.
  ///
  /// After each evaluation and at the end the state is saved, then the model if it is the best. Each
  /// file appears whole or not at all; after any failure both hold an earlier state that can be
  /// resumed.
  ///
  /// - Parameters:
  ///   - files: Where to save; they are replaced.
  ///   - steps: The steps after which a long epoch is saved, too; `nil` for each ten minutes.
  ///   - shouldPause: Asked after each step.
  ///   - report: Told of each event, before the state after it is saved.
  ///   - progress: Called now and then during an evaluation.
  /// - Returns: How it ended.
  /// - Throws: `Diverged`, after the last good state was saved; `OutputTaken` if another process wrote
  ///   to the same files; `CancellationError` if the task was cancelled, after the state was
  ///   saved as for a pause; what saving, stepping and `report` throw.
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
        // What was saved after the last evaluation is not changed by finding that nothing is left.
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
      // Reported first: a run that is killed in between repeats a line of its log, and loses none.
      do {
        try report(event, self)
      } catch {
        // A log that cannot be written costs no step; the disk may be full for the state as well.
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

  /// Makes sure that the file of the best model holds the best model, before a training is resumed.
  ///
  /// A run that was killed between its two saves left the older best behind; the newer one is the
  /// state itself.
  ///
  /// - Parameters:
  ///   - files: Where the training left its models.
  ///   - weightsDigest: What the best file says its weights are, or `nil` if there is none.
  ///   - parameters: Its weights.
  ///   - mayForget: Whether evaluations are forgotten where there is no best model: the next one is of
  ///     the model as it is.
  /// - Throws: `TrainingError` if the best model is gone; what writing throws.
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
      throw TrainingError(
        path: files.best,
        expected: "the best model of this training so far, weights_digest \(best.weightsDigest)",
        found: weightsDigest ?? "no such file",
        fix: "give as --output the file that the training wrote before")
    }
    if state.schedule[.rollback] == 1 { bestParameters = weights.parameters }
    try weights.write(to: files.best, replacing: true)
  }
}
