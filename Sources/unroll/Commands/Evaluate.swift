// `unroll evaluate`: how well a model predicts a text.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollNeural

/// What every verb takes that runs a model.
struct ModelOptions: ParsableArguments {
  @Argument(help: "The checkpoint.")
  var model: String

  @OptionGroup var threads: ThreadOptions

  /// Opens the model.
  ///
  /// - Throws: What opening a checkpoint throws.
  func load() throws -> LanguageModel { try LanguageModel(open(), path: model) }

  /// Opens the checkpoint.
  ///
  /// - Throws: What opening a checkpoint throws.
  func open() throws -> Checkpoint {
    let checkpoint = try Progress.during("opening \(model)") {
      try Checkpoint(contentsOf: model, reader: .inChild)
    }
    threads.apply()
    return checkpoint
  }
}

/// The threads of a verb that computes.
struct ThreadOptions: ParsableArguments {
  @Option(help: "The number of threads; results do not depend on it.")
  var threads: Int?

  func validate() throws {
    guard let threads, !(1...1024).contains(threads) else { return }
    throw ValidationError("--threads is 1 to 1024.")
  }

  /// Makes all computation use the number of threads that was given.
  func apply() {
    if let threads { Threads.count = threads }
  }
}

struct Evaluate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure the perplexity of a text.",
    discussion: """
      Protocols: stream is one stream with the state carried to the end, every token but the first \
      predicted. columns is what PyTorch's word_language_model prints: 10 columns, state carried. \
      sentence takes each line alone, from <eos> with a zero state.
      """)

  @OptionGroup var options: ModelOptions

  @Argument(help: "The text: a file, a .gz file, or - for standard input.")
  var text: String

  @Option(help: "Which tokens are predicted, and from what: stream, columns or sentence.")
  var `protocol`: PerplexityProtocol = .stream

  @Flag(help: "Print the result as one JSON object.")
  var json = false

  func run() throws {
    let model = try options.load()
    var progress = Progress()
    let result = try model.perplexity(ofText: text, protocol: `protocol`) { state in
      progress.report { seconds in progressLine(state, seconds) }
    }
    progress.finish()
    if json {
      try Output.json(PerplexityReport(result))
    } else {
      printTable(result)
    }
    if result.unknown > 0 {
      Output.note(
        "note: \(Output.grouped(result.unknown)) words are not in the vocabulary; each counts with "
          + "the probability of unknown words as a whole, which flatters the perplexity")
    }
  }

  private func progressLine(_ state: EvaluationProgress, _ seconds: Double) -> String {
    let result = state.perplexity
    let speed = Double(result.predictions) / seconds
    var line =
      "\(Output.grouped(result.predictions)) tokens, \(Output.grouped(Int(speed))) tokens/s, "
      + String(format: "perplexity %.2f", result.perplexity)
    if let fraction = state.fraction, fraction > 0 {
      line += String(format: ", %.0f %%, %.0f s left", 100 * fraction, seconds / fraction - seconds)
    }
    return line
  }

  private func printTable(_ result: Perplexity) {
    func row(_ name: String, _ value: String) {
      Output.result(name + String(repeating: " ", count: 16 - name.count) + value)
    }
    func number(_ value: Double) -> String { String(format: "%.6f", value) }
    row("protocol", result.protocol.rawValue)
    row("tokens", Output.grouped(result.tokens))
    row("predictions", Output.grouped(result.predictions))
    row("words", Output.grouped(result.words))
    row("bytes", Output.grouped(result.bytes))
    row("unknown", Output.grouped(result.unknown))
    row("nll", number(result.nll) + " nats a token")
    row("perplexity", number(result.perplexity))
    row("bits per token", number(result.bitsPerToken))
    row("bits per word", result.bitsPerWord.map(number) ?? "-")
    row("bits per byte", number(result.bitsPerByte))
    row(
      "time",
      String(format: "%.2f s, ", result.seconds)
        + Output.grouped(Int(result.tokensPerSecond)) + " tokens/s")
  }
}

extension PerplexityProtocol: ExpressibleByArgument {}

/// A perplexity as `--json` prints it.
private struct PerplexityReport: Encodable {
  let `protocol`: String
  let tokens: Int
  let predictions: Int
  let words: Int
  let bytes: Int
  let unknown: Int
  let nll: Double
  let perplexity: Double
  let bitsPerToken: Double
  let bitsPerWord: Double?
  let bitsPerByte: Double
  let seconds: Double
  let tokensPerSecond: Double

  init(_ result: Perplexity) {
    `protocol` = result.protocol.rawValue
    tokens = result.tokens
    predictions = result.predictions
    words = result.words
    bytes = result.bytes
    unknown = result.unknown
    nll = result.nll
    perplexity = result.perplexity
    bitsPerToken = result.bitsPerToken
    bitsPerWord = result.bitsPerWord
    bitsPerByte = result.bitsPerByte
    seconds = result.seconds
    tokensPerSecond = result.tokensPerSecond
  }
}
