// `unroll train`: trains a new model.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollInterchange
import UnrollNeural
import UnrollSerialization
import UnrollTensors
import UnrollTokenization

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a new model from a text.",
    discussion: """
      `unroll train --train train.txt --valid valid.txt -o poet.unroll.h5`

      Without options the model is that of word_language_model: an LSTM of two layers of 200, with words as tokens and \
      lines that end with <eos>. A pause is resumed by `unroll finetune poet.last.unroll.h5 --resume`. Details: \
      docs/reference/verbs.md
      """)

  @OptionGroup(title: "Texts and output") var verb: TrainingVerb

  @Option(help: ArgumentHelp("JSON file of options.", valueName: "file"))
  var config: String?

  @OptionGroup(title: "Model") var model: NewModelOptions

  @OptionGroup(title: "Tokens") var tokens: NewVocabularyOptions

  @OptionGroup(title: "Tokens") var lines: LineOptions

  @OptionGroup(title: "Training") var training: TrainingOptions

  @OptionGroup var threads: ThreadOptions

  func validate() throws { _ = try verb.names() }

  func run() throws {
    Launcher.beginShared()
    let names = try verb.names()
    if let state = verb.stateToResume(names) {
      let begun = try Checkpoint(try Examination.shown(of: state, upTo: .header))
      try begun.checkBeginning(
        try training.settings(), new: newModel(width: begun.architecture.embeddingSize), words: nil,
        inputs: try inputs, freeShards: training.shards == nil, path: state)
      Output.note("note: \(printable(state)) exists: its training is resumed")
      return try verb.resume(
        state, names, training.length, lines: lines.tokens, threads: threads)
    }
    try verb.run(
      names, resuming: false, inputs: tokens.paths + model.paths + [config].compactMap { $0 },
      resumeOptions: threads.arguments
    ) { _, reporter in
      threads.apply()
      let (tokenizer, vocabulary) = try tokens.tokens(
        train: names.train, lines: lines.tokens,
        order: training.sampledSoftmax == nil ? model.vocabularyOrder : .frequency)
      let vectors = try model.wordVectors(for: vocabulary)
      let new = newModel(width: vectors?.width)
      var checkpoint = try new.checkpoint(
        vocabulary: vocabulary, tokenizer: tokenizer, vectors: vectors)
      try lines.tokens.apply(
        to: &checkpoint, path: tokens.vocabulary ?? tokens.tokenizer ?? names.train,
        fix: tokens.fixOfMissingToken)
      let encoder = try LanguageModel.encoder(of: checkpoint, path: names.output)
      if let cause = encoder.knownCarriageReturns(inText: names.train) {
        Output.note(
          "warning: \(printable(names.train)): the text has \(cause.found), and the model learns the carriage returns\n"
            + "  fix: \(cause.fix)")
      }
      let texts = try verb.texts(names, encoder, reporter: &reporter)
      let parameters = checkpoint.architecture.parameters.reduce(0) {
        $0 + ($1.shape.elementCount ?? 0)
      }
      Output.note(
        "note: \(Output.grouped(vocabulary.count)) tokens, "
          + "\(Output.grouped(parameters)) parameters")
      return try TrainingRun(
        checkpoint, settings: try training.settings(), train: texts.train, valid: texts.valid,
        inputs: try inputs, new: new)
    }
  }

  /// The digests and names of the files other than the texts.
  private var inputs: [String] {
    get throws {
      try (tokens.paths + model.paths).map { ProvenanceEntry.input(try MappedFile(path: $0)) }
    }
  }

  /// Returns the settings of the new model.
  ///
  /// - Parameter width: The width of its word vectors, if there are any.
  /// - Returns: The settings.
  private func newModel(width: Int?) -> NewModel {
    var new = model.model(width: model.vectors == nil ? nil : width, seed: training.seed)
    new.origins = tokens.origins + lines.origins + model.origins
    return new
  }

  /// Refuses `train --resume`: `finetune` resumes a training.
  ///
  /// - Parameter arguments: The verb and its options.
  /// - Throws: `ValidationError` with the command to use.
  static func refuseResuming(_ arguments: [String]) throws {
    guard arguments.first == "train",
      let index = arguments.firstIndex(where: { $0 == "--resume" || $0.hasPrefix("--resume=") })
    else { return }
    let own = arguments[index].dropFirst("--resume=".count)
    let next = arguments.dropFirst(index + 1).first.flatMap { $0.hasPrefix("-") ? nil : $0 }
    let file = own.isEmpty ? next ?? "FILE.last.unroll.h5" : String(own)
    throw ValidationError(
      "train starts a new model. The same command with --resume auto resumes it; any training is resumed by "
        + "unroll finetune \(printable(file)) --resume --train TEXT --valid TEXT -o FILE.unroll.h5")
  }

  /// Returns the arguments with the options of a configuration file inserted before the others.
  ///
  /// - Parameter arguments: The verb and its options.
  /// - Returns: The arguments, and those from the file.
  /// - Throws: `FileError` if the file cannot be read; `Refusal` if it holds no options.
  static func expandingConfiguration(
    _ arguments: [String]
  ) throws -> (arguments: [String], configured: [String]) {
    var rest = Array(arguments.dropFirst())
    guard arguments.first == "train",
      let index = rest.firstIndex(where: { $0 == "--config" || $0.hasPrefix("--config=") })
    else { return (arguments, []) }
    var path = String(rest.remove(at: index).dropFirst("--config=".count))
    if path.isEmpty {
      guard index < rest.count else { return (arguments, []) }
      path = rest.remove(at: index)
    }
    let configured = try options(inFile: path)
    // The option `--config` stays, so that the file counts as an input.
    return (["train"] + configured + ["--config", path] + rest, configured)
  }

  /// Returns the options of a configuration as words of a command line.
  private static func options(inFile path: String) throws -> [String] {
    let file = try MappedFile(path: path)
    func refuse(_ found: String) -> Refusal {
      Refusal(
        "\(printable(path)): expected a JSON object of options, each with a text, number or true; found "
          + "\(found)\n  fix: `unroll train --help` shows the options")
    }
    guard let members = try? JSONValue(file.copy(0..<file.count)).members else {
      throw refuse("something else")
    }
    var names: Set<String> = []
    return try members.flatMap { key, value in
      let name = String(decoding: key, as: UTF8.self).replacing("_", with: "-")
      guard name != "config" else { throw refuse("another configuration") }
      guard names.insert(name).inserted else { throw refuse("\(printable(name)) twice") }
      let text: String? =
        switch value {
        case .bool(true): nil
        case .number(let number): value.int.map { "\($0)" } ?? "\(number)"
        case .string: value.text
        case .bool(false): ""
        default: throw refuse("another value of \(printable(name))")
        }
      return text == "" ? [] : ["--\(name)"] + [text].compactMap { $0 }
    }
  }
}
