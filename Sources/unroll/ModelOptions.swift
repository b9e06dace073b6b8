// Options of verbs that run a model, and warnings about their texts.

import ArgumentParser
import UnrollEngine
import UnrollFormat
import UnrollNeural
import UnrollTensors
import UnrollTokenization

/// The arguments of every verb that runs a model.
struct ModelOptions: ParsableArguments {
  @Argument(help: "Checkpoint.")
  var model: String

  @OptionGroup var threads: ThreadOptions

  /// Opens the checkpoint, and sets the number of threads.
  ///
  /// - Throws: The errors of opening a checkpoint.
  func checkpoint() throws -> Checkpoint {
    let checkpoint = try Progress.during("opening \(model)") {
      try Checkpoint(contentsOf: model, reader: .inChild)
    }
    threads.apply()
    return checkpoint
  }
}

/// The arguments of every verb that runs inference only.
struct RunningModelOptions: ParsableArguments {
  @OptionGroup var options: ModelOptions

  @Option(
    help: "Compute precision; bf16 and int8 are less accurate, and faster where memory decides."
  )
  var precision: Precision = .float32

  @OptionGroup var lines: LineOptions

  /// The model's path.
  var path: String { options.model }

  /// Opens the checkpoint with the requested line conventions.
  ///
  /// - Throws: The errors of opening a checkpoint; `TextError` if the vocabulary lacks a token.
  func checkpoint() throws -> Checkpoint {
    var checkpoint = try options.checkpoint()
    try lines.tokens.apply(to: &checkpoint, path: path)
    return checkpoint
  }

  /// Opens the model.
  ///
  /// - Parameters:
  ///   - opened: The checkpoint, if it is open already.
  ///   - text: The text to whose tokens the output is restricted; `nil` for all tokens.
  ///   - leavesOutUnknown: `true` if unknown words are removed from texts, as Keras does.
  /// - Returns: The model.
  /// - Throws: The errors of opening a checkpoint and reading the text; `TextError` if unknown
  ///   words cannot be left out.
  func load(
    _ opened: Checkpoint? = nil, shortlist text: String? = nil,
    leavingOutUnknown leavesOutUnknown: Bool = false
  ) throws -> LanguageModel {
    let checkpoint = try opened ?? self.checkpoint()
    let tokens = try text.map { text in
      let encoder = try LanguageModel.encoder(of: checkpoint, path: path)
      return try Progress.during("reading \(text)") {
        try LanguageModel.tokens(ofText: text, encoder)
      }
    }
    for note in LanguageModel.precisionNotes(for: checkpoint, in: precision) {
      Output.note("note: \(note)")
    }
    var model = try LanguageModel(checkpoint, path: path, precision: precision, shortlist: tokens)
    if leavesOutUnknown { try model.leaveOutUnknown() }
    return model
  }
}

extension Precision: ExpressibleByArgument {}

/// Prints a warning if the line ends of a text do not fit the model: if they already hold the token
/// that the model adds, or have carriage returns that are unknown.
///
/// - Parameters:
///   - path: The text.
///   - encoder: The model's encoder.
///   - isLowered: `true` if capitals are made small before the text is cut.
///   - fix: The options that leave out the model's own token, in words.
func warnOfLineEnds(
  inText path: String, _ encoder: Encoder, isLowered: Bool = false,
  fix: (_ option: String) -> String = { "give \($0) none" }
) {
  if let cause = encoder.unknownTextCause(inText: path, isLowered: isLowered) {
    Output.note(
      "warning: \(printable(path)): the text has \(cause.found): \(cause.parts) are unknown\n"
        + "  fix: \(cause.fix)")
  }
  for repeated in encoder.repeatedLineTokens(inText: path) {
    let (having, seen) = repeated.lines
    let lines = having == seen ? "lines" : "\(having) of the first \(counted(seen, "line"))"
    Output.note(
      "warning: \(printable(path)): \(lines) \(repeated.isStart ? "start" : "end") with \(repeated.token) already, "
        + "and each gets a second one\n  fix: "
        + (having == seen ? fix(repeated.isStart ? "--line-start" : "--line-end") + ", or " : "")
        + "take the token out of the text")
  }
}

/// The number of threads of a verb that computes.
struct ThreadOptions: ParsableArguments {
  @Option(help: "Number of threads; results do not depend on it.")
  var threads: Int?

  func validate() throws {
    guard let threads, !(1...1024).contains(threads) else { return }
    throw ValidationError("--threads is 1 to 1024.")
  }

  /// The option as given.
  var arguments: [String] { threads.map { ["--threads", String($0)] } ?? [] }

  /// Sets the number of threads for all computation.
  func apply() {
    if let threads { Threads.count = threads }
  }
}
