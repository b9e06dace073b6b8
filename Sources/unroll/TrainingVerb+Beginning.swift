// The files and texts of `train` and `finetune`, before the first step.

import Foundation
import UnrollEngine
import UnrollTensors
import UnrollTokenization

extension TrainingVerb {
  /// Refuses output files now that would be refused after hours of work.
  func checkFiles(
    _ names: TrainingNames, _ files: TrainingFiles, resuming: Bool, inputs: [String]
  ) throws {
    if case .foreign(let format) = ConversionTarget(output: files.best) {
      throw Refusal(
        "\(printable(files.best)): cannot write: a training writes a checkpoint, and this is the "
          + "name of a \(format.name) file\n  fix: give a name such as tuned.unroll.h5; "
          + "`unroll convert tuned.unroll.h5 -o \(printable(files.best))` then exports it")
    }
    let texts = [names.train, names.valid]
    if resuming, inputs.contains(where: { OutputOptions.isSameFile($0, files.best) }) {
      throw Refusal(
        "\(printable(files.best)): cannot write: it is the state to resume from\n"
          + "  fix: give as --output the file that the training wrote before")
    }
    if autoResume, !resuming, FileManager.default.fileExists(atPath: files.best) {
      throw Refusal(
        "\(printable(files.best)): found without \(printable(files.last)), the state to resume from\n"
          + "  fix: move it away, or give --force in the place of --auto-resume to begin a new training"
      )
    }
    if !resuming, !force, FileManager.default.fileExists(atPath: files.last) {
      throw Refusal(
        "\(printable(files.last)): cannot write: it is the state of a training to resume\n"
          + "  fix: `unroll finetune \(shellQuoted(files.last)) --resume` resumes it; another --output keeps it, and "
          + "--force replaces it")
    }
    for path in [files.best, files.last] {
      try OutputOptions.check(
        path, inputs: texts + (resuming ? [] : inputs), replacing: resuming || force)
    }
    if keep != nil, !resuming, !force, let (_, state) = files.states.first {
      throw Refusal(
        "\(printable(state)): cannot keep states: this file belongs to another training\n"
          + "  fix: give another --output, or --force to replace such files")
    }
    try shown.check(
      inputs: texts + inputs, outputs: [files.best, files.last] + [log].compactMap { $0 },
      replacing: resuming || force, json: json)
    guard let log else { return }
    try OutputOptions.checkGrowing(
      log, inputs: texts + inputs, outputs: [files.best, files.last],
      replacing: resuming || force)
  }

  /// Reads the training and validation text.
  ///
  /// - Throws: `TextError` if one cannot be read or tokenized.
  func texts(
    _ names: TrainingNames, _ encoder: Encoder, reporter: inout TrainingReporter
  ) throws -> (train: TrainingText, valid: TrainingText) {
    func read(_ path: String) throws -> TrainingText {
      warnOfLineEnds(inText: path, encoder)
      let text = try TrainingText(path: path, encoder: encoder) { reporter.reading(path, $0) }
      if text.unknown > 0 {
        let isMost = 2 * text.unknown > text.count
        Output.note(
          (isMost ? "warning" : "note")
            + ": \(printable(path)): \(Output.grouped(text.unknown)) of "
            + "\(Output.grouped(text.count)) tokens are words that the vocabulary lacks"
            + (isMost
              ? ": the losses are of the unknown token more than of words\n  fix: finetune --vocabulary extend adds "
                + "the words; or give a text of the model's kind" : ""))
      }
      return text
    }
    guard let split = names.split else {
      let train = try read(names.train)
      let valid = try read(names.valid)
      if train.digest == valid.digest {
        Output.note(
          "warning: --train and --valid are the same text: its loss tells nothing of other texts, and the best step "
            + "is not known")
      }
      return (train, valid)
    }
    return try read(names.train).parts(split)
  }
}
