// The texts and the output of a training: given by options, or those of the training that is resumed.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollTensors

/// The texts that a training reads and the model that it writes.
struct TrainingNames {
  /// The training text.
  let train: String
  /// The validation text.
  let valid: String
  /// The best model.
  let output: String
  /// The split of the training text, of which the end is the validation text; `nil` if that is a file of its own.
  let split: TextSplit?
}

extension TrainingVerb {
  /// Returns the names, with those of a resumed training in the place of missing options.
  ///
  /// A checkpoint stores the names of its texts without folders, and their digests: a text is looked for in the
  /// current folder and beside the state, and its digest decides.
  ///
  /// - Parameter state: The state to resume from; `nil` for a training that starts.
  /// - Returns: The names.
  /// - Throws: `ValidationError` for a missing option; `Refusal` if a text is not found; the errors of opening
  ///   a checkpoint.
  func names(resuming state: String? = nil) throws -> TrainingNames {
    let split = validFraction.map { TextSplit.validFraction($0) }
    guard let state else {
      for (name, value) in [
        ("--train <file>", train), ("--valid <file>", valid ?? split.map { _ in "" }),
      ]
      where value == nil {
        throw ValidationError(
          "Missing expected argument '\(name)'"
            + (name == "--valid <file>" ? ", or --valid-fraction" : ""))
      }
      // An estimate writes nothing.
      guard let output = output ?? (estimate ? "estimate.unroll.h5" : nil) else {
        throw ValidationError("Missing expected argument '--output <file>'")
      }
      let train = train ?? ""
      return TrainingNames(train: train, valid: valid ?? train, output: output, split: split)
    }
    guard let output = output ?? TrainingFiles.best(ofState: state) else {
      throw ValidationError(
        "--output is missing, and \(printable(state)) is not named as a state to resume from: give "
          + "\(printable(TrainingFiles(best: state).last)), the file beside it")
    }
    if let train, let valid = valid ?? split.map({ _ in train }) {
      return TrainingNames(train: train, valid: valid, output: output, split: split)
    }
    let checkpoint = try Checkpoint(try Examination.shown(of: state, upTo: .header))
    guard let data = checkpoint.training?.data else {
      throw Refusal(
        "\(printable(state)): expected a resumable state; found a model without one\n"
          + "  fix: give the file that ends in .last.unroll.h5")
    }
    let (name, part) = try inputName("--train", data.trainDigest, of: checkpoint, state)
    if let part {
      // Both are parts of one text, and the whole run checks its digest.
      let path =
        try train
        ?? text("--train", name, state) {
          digest(ofText: $0 + part.suffix) == data.trainDigest
        }
      return TrainingNames(
        train: path, valid: valid ?? path, output: output,
        split: valid == nil ? split ?? part.split : nil)
    }
    let trainPath = try train ?? text("--train", name, state) { $0 == data.trainDigest }
    let validName = try inputName("--valid", data.validDigest, of: checkpoint, state).name
    let validPath = try valid ?? text("--valid", validName, state) { $0 == data.validDigest }
    return TrainingNames(train: trainPath, valid: validPath, output: output, split: split)
  }

  /// Returns the name of a text that a training has read, and its part.
  private func inputName(
    _ option: String, _ digest: String, of checkpoint: Checkpoint, _ state: String
  ) throws -> (name: String, part: (split: TextSplit, suffix: String)?) {
    let names = checkpoint.provenance.reversed().flatMap { entry in
      entry.inputs.split(separator: "\n").compactMap { line in
        line.hasPrefix(digest + " ") ? String(line.dropFirst(digest.utf8.count + 1)) : nil
      }
    }
    guard let name = names.first else {
      throw Refusal(
        "\(printable(state)): expected the name of the text of \(option) in the history; found none\n"
          + "  fix: give \(option) FILE")
    }
    guard let whole = TextSplit.whole(ofPart: name) else { return (name, nil) }
    return (whole.name, (whole.split, String(name.dropFirst(whole.name.count))))
  }

  /// Returns the path of a text, in the current folder or beside the state, whose digest is right.
  private func text(
    _ option: String, _ name: String, _ state: String, isRight: (String) -> Bool
  ) throws -> String {
    let folder = URL(filePath: state).deletingLastPathComponent().relativePath
    var changed: String?
    for path in [name, folder == "." ? name : "\(folder)/\(name)"] {
      guard let file = try? MappedFile(path: path) else { continue }
      changed = changed ?? path
      if isRight(Progress.during("checking \(path)") { digest(of: file) }) { return path }
    }
    throw Refusal(
      "\(printable(state)): expected the text of \(option), \(printable(name)), unchanged in this folder or beside "
        + "the state; found \(changed.map { "\(printable($0)) with other contents" } ?? "none")\n  fix: say where the texts are: --train FILE --valid FILE"
    )
  }
}
