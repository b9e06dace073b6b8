// The beginning of a training, compared with that of a saved state.

import UnrollFormat

extension Checkpoint {
  /// Refuses a saved state of another training than the one that the same command would begin.
  ///
  /// The history of a state lists the settings that its training began with, and the digests of its files; only the
  /// length of the training may differ.
  ///
  /// - Parameters:
  ///   - settings: The settings of the training that would begin.
  ///   - new: The initialization of its model; `nil` if it has a file.
  ///   - words: The treatment of new words; `nil` if there is none.
  ///   - inputs: The digests and names of its files other than the texts.
  ///   - path: The path of the state, for errors.
  /// - Throws: `TrainingError` that names the first difference.
  public func checkBeginning(
    _ settings: TrainingSettings, new: NewModel?, words: NewWords?, inputs: [String], path: String
  ) throws {
    guard training != nil, let entry = provenance.last else {
      throw TrainingError(
        path: path, expected: "the state of a training to resume", found: "a model without one",
        fix: "move the file away, or give another --output")
    }
    func refuse(_ expected: String, _ found: String) -> TrainingError {
      TrainingError(
        path: path, expected: expected + ", as this command has", found: found,
        fix: "give another --output, or the options that this training began with")
    }
    let begun = entry.arguments.split(separator: "\n").map(String.init)
      .prefix { !$0.hasPrefix("from_step_") }
    let wanted = [new?.arguments, words?.arguments, settings.arguments(keeping: nil)]
      .compactMap { $0 }.joined(separator: "\n").split(separator: "\n").map(String.init)
    let free =
      ["epochs", "steps", "new_tokens", "dropped_tokens"]
      + (words != nil && words?.rows == nil ? ["new_rows"] : [])
      + (settings.keepsOptimizer ? ["optimizer"] : [])
    func compared(_ lines: some Sequence<String>) -> [String] {
      lines.filter { line in !free.contains { line.hasPrefix($0 + "=") } }
    }
    let operation = new == nil ? "finetune" : "train"
    guard entry.operation == operation else {
      throw refuse("a training begun by \(operation)", "one begun by \(entry.operation)")
    }
    func value(_ name: String, in lines: [String]) -> String {
      lines.first { $0.hasPrefix(name + "=") } ?? "no \(name)"
    }
    let (old, own) = (compared(begun), compared(wanted))
    for line in own + old where !(own.contains(line) && old.contains(line)) {
      let name = String(line.prefix { $0 != "=" })
      throw refuse(value(name, in: own), value(name, in: old))
    }
    let digests = entry.inputs.split(separator: "\n").map { $0.prefix { $0 != " " } }
    for input in inputs where !digests.contains(input.prefix { $0 != " " }) {
      throw refuse("a training from \(input.drop { $0 != " " }.dropFirst())", "other contents")
    }
  }
}
