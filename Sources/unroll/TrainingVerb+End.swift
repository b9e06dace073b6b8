// The notes of `train` and `finetune` after the last step.

import Foundation
import UnrollEngine
import UnrollTensors

extension TrainingVerb {
  func conclude(_ run: TrainingRun, _ files: TrainingFiles, _ outcome: Outcome) throws {
    guard let best = run.state.best else { return }
    if run.isStuck {
      Output.note(
        "stopped early after step \(run.state.step): \(patience ?? 0) evaluations without a better "
          + "validation loss than that of step \(best.step)")
    }
    guard FileManager.default.fileExists(atPath: files.best) else {
      throw Refusal(
        "\(printable(files.best)): expected the best model, step \(best.step); found no file\n"
          + "  fix: it was removed while the training ran; \(printable(files.last)) holds the last state"
      )
    }
    let perplexity = String(printf: "%.4f", Elementary.exp(best.validNLL))
    let bestName = printable(files.best)
    if best.step == 0 {
      Output.note(
        "note: no evaluation was better than the model before training, validation perplexity "
          + "\(perplexity): \(bestName) holds its weights unchanged")
    } else if outcome.wroteBest || outcome.bestIsNew {
      Output.note("wrote \(bestName): step \(best.step), validation perplexity \(perplexity)")
    } else {
      Output.note(
        "\(bestName) still holds the best model: step \(best.step), validation perplexity "
          + perplexity)
    }
    let more =
      run.isStuck
      ? "--resume with a larger --patience"
      : "--resume with more \(run.endsBySteps ? "--steps" : "--epochs")"
    if outcome.didAnything {
      Output.note("wrote \(printable(files.last)): the last state, for \(more)")
    } else {
      Output.note(
        "note: nothing was left to do after step \(run.state.step)"
          + (outcome.bestIsNew ? "" : ", and nothing was written") + ": to go on, \(more)")
    }
  }

  func noteWhatIsSaved(
    _ names: TrainingNames, _ files: TrainingFiles, _ options: [String]
  ) {
    guard FileManager.default.fileExists(atPath: files.last) else { return }
    Output.note("  saved: \(printable(files.last)) holds the last good state")
    Output.note("  resume: \(resumeCommand(names, files, options))")
  }

  /// Returns the command that resumes the training, quoted for a shell.
  func resumeCommand(
    _ names: TrainingNames, _ files: TrainingFiles, _ options: [String]
  ) -> String {
    var words = ["unroll", "finetune", files.last, "--resume"]
    words += ["--train", names.train]
    // The state stores the split.
    if names.split == nil { words += ["--valid", names.valid] }
    words += ["-o", files.best]
    if let log { words += ["--log", log] }
    if let patience { words += ["--patience", String(patience)] }
    if let keep { words += ["--keep", String(keep)] }
    if let tensorboard { words += ["--tensorboard", tensorboard] }
    words += shown.arguments + sampled.arguments
    if let saveEvery { words += ["--save-every", String(saveEvery)] }
    if json { words.append("--json") }
    return (words + options).map(shellQuoted).joined(separator: " ")
  }
}
