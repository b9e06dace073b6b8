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
  ///   - freeShards: `true` to go on with the shards of the state.
  ///   - path: The path of the state, for errors.
  /// - Throws: `EngineError` that names the first difference.
  public func checkBeginning(
    _ settings: TrainingSettings, new: NewModel?, words: NewWords?, inputs: [String],
    freeShards: Bool = false, path: String
  ) throws {
    guard training != nil, let entry = provenance.last else {
      throw EngineError(
        path: path, expected: "the state of a training to resume", found: "a model without one",
        fix: "move the file away, or give another --output")
    }
    func refuse(_ expected: String, _ found: String) -> EngineError {
      EngineError(
        path: path, expected: "a training with \(expected), as this command has", found: found,
        fix:
          "give the options that this training began with, or another --output for a new training")
    }
    let begun = entry.arguments.split(separator: "\n").map(String.init)
      .prefix { !$0.hasPrefix("from_step_") }
    let wanted = [new?.arguments, words?.arguments, settings.arguments(keeping: nil)]
      .compactMap { $0 }.joined(separator: "\n").split(separator: "\n").map(String.init)
    let free =
      ["epochs", "steps", "new_tokens", "dropped_tokens"]
      + (words != nil && words?.rows == nil ? ["new_rows"] : [])
      + (settings.keepsOptimizer ? ["optimizer"] : []) + (freeShards ? ["shards"] : [])
    func compared(_ lines: some Sequence<String>) -> [String] {
      lines.filter { line in !free.contains { line.hasPrefix($0 + "=") } }
    }
    let operation = new == nil ? "finetune" : "train"
    guard entry.operation == operation else {
      throw refuse("its beginning by \(operation)", "one by \(entry.operation)")
    }
    // The length may differ, but not its unit.
    for name in ["epochs", "steps"] {
      let none = "\(name)=none"
      guard begun.contains(none) != wanted.contains(none) else { continue }
      throw refuse(option(name, in: wanted), option(name, in: begun))
    }
    let old = compared(begun)
    let own = compared(wanted)
    for line in own + old where !(own.contains(line) && old.contains(line)) {
      let name = String(line.prefix { $0 != "=" })
      throw refuse(option(name, in: own), option(name, in: old))
    }
    let digests = entry.inputs.split(separator: "\n").map { $0.prefix { $0 != " " } }
    for input in inputs where !digests.contains(input.prefix { $0 != " " }) {
      throw refuse("the file \(input.drop { $0 != " " }.dropFirst())", "one from other contents")
    }
  }
}

/// Returns a setting of the history as the option that gives it.
func option(_ name: String, in lines: some Sequence<String>) -> String {
  let isTerm = name.contains { $0 == ":" }
  let setting = TrainingSetting.all.first { $0.name == name }
  let option = setting?.option ?? optionNames[name] ?? (isTerm ? "--regularize \(name)" : name)
  guard let line = lines.first(where: { $0.hasPrefix(name + "=") }) else { return "no \(option)" }
  let value = line.dropFirst(name.count + 1)
  return isTerm ? "\(option)=\(value)" : "\(option) \(value)"
}

/// The options of a new model, of its words and of the optimizer that the history has under other names.
private let optionNames = [
  "embedding": "--embedding-size", "hidden": "--hidden-size", "model_seed": "--seed",
  "initialization": "--init", "minimum_count": "--min-count", "maximum_size": "--vocabulary-size",
  "new_rows": "--new-rows", "learning_rate": "--learning-rate", "weight_decay": "--weight-decay",
  "keep_optimizer": "--keep-optimizer", "cell": "--cell", "activation": "--activation",
  "tied": "--tied", "momentum": "--momentum", "tokenizer": "--tokenizer",
  "vocabulary": "--vocabulary", "forget_bias": "--forget-bias", "line_start": "--line-start",
  "line_end": "--line-end",
]
