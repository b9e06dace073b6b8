// The resumed trainings of `train` and `finetune`.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollTensors

extension TrainingVerb {
  /// Returns the state that `--auto-resume` resumes from; `nil` if there is none yet.
  func stateToResume(_ names: TrainingNames) -> String? {
    let state = TrainingFiles(best: names.output).last
    return autoResume && FileManager.default.fileExists(atPath: state) ? state : nil
  }

  /// Resumes a training.
  ///
  /// - Parameters:
  ///   - state: The path of its state.
  ///   - names: The texts and the output.
  ///   - changes: Changed settings.
  ///   - lines: The tokens around lines; they are those of the state.
  ///   - words: The retention text, for fine-tuning.
  ///   - threads: The number of threads.
  /// - Throws: `Refusal` before the work; `ExitCode` after it, when everything is reported.
  func resume(
    _ state: String, _ names: TrainingNames, _ changes: TrainingChanges, lines: SpecialTokens,
    words: NewWordOptions? = nil, threads: ThreadOptions
  ) throws {
    try run(
      names, resuming: true, inputs: [state] + (words?.paths ?? []),
      resumeOptions: (words?.resumeOptions ?? []) + threads.arguments
    ) { files, reporter in
      let checkpoint = try Checkpoint(try Examination.shown(of: state, upTo: .bytes))
      try lines.check(against: checkpoint, path: state)
      // Child processes examine the files; they must be forked before threads exist.
      let best = try Self.best(files.best)
      threads.apply()
      let encoder = try LanguageModel.encoder(of: checkpoint, path: state)
      let texts = try self.texts(names, encoder, reporter: &reporter)
      var run = try TrainingRun(
        resuming: checkpoint, path: state, train: texts.train, valid: texts.valid, changes: changes)
      run.retention = try words?.retentionText(old: encoder, new: encoder)
      // An estimate writes nothing, and after a killed run the best model may not be written yet.
      guard !estimate else { return run }
      try run.restoreBest(
        files, weightsDigest: best?.weightsDigest, parameters: best?.parameters,
        writes: !Launcher.isQuiet, mayForget: changes.allowsOtherSettings)
      if !Launcher.isQuiet, run.state.best == nil && checkpoint.training?.best != nil {
        // The best model may be all that remains of the discarded evaluations.
        try OutputOptions.check(files.best, inputs: [], replacing: force)
        Output.note(
          "note: the evaluations so far are not comparable: the best model is chosen from here on")
      }
      return run
    }
  }

  /// Returns the best model so far, if its file exists.
  private static func best(
    _ path: String
  ) throws -> (weightsDigest: String?, parameters: ParameterTree<Tensor>)? {
    guard FileManager.default.fileExists(atPath: path) else { return nil }
    let examination = try Examination.shown(of: path, upTo: .bytes)
    return (examination.header.weightsDigest, try Checkpoint(examination).parameters)
  }
}
