// `unroll generate`: generates text from a model.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollReport
import UnrollTensors

struct Generate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Generate text from a model.",
    discussion: """
      `unroll generate poet.unroll.h5 --prompt "The " --temperature 0.8`

      The text goes to standard output as it comes. The same seed gives the same text, for any number of threads and \
      samples. --temperature, --top-k and --top-p act in this order; temperature 0 takes the most likely token.
      """)

  @OptionGroup var options: RunningModelOptions

  @Option(help: "Text to continue.")
  var prompt = ""

  @Option(help: ArgumentHelp("Maximum number of tokens of a sample.", valueName: "tokens"))
  var maxTokens = 100

  @Option(
    parsing: .unconditional,
    help: "Sampling temperature; 0 selects the most likely token.")
  var temperature = 1.0

  @Option(help: ArgumentHelp("Sample from the k most likely tokens only.", valueName: "k"))
  var topK: Int?

  @Option(
    help: ArgumentHelp(
      "Sample from the most likely tokens whose total probability is p.", valueName: "p"))
  var topP: Double?

  @Option(
    help: ArgumentHelp(
      "Sample only tokens of this text; faster for a large vocabulary.",
      valueName: "text"))
  var shortlist: String?

  @OptionGroup(title: "Windows") var windows: WindowOptions

  @Option(help: "Number of samples.")
  var samples = 1

  @Flag(help: "End a sample at the end-of-sentence token.")
  var stopAtEos = false

  @Flag(help: "Never sample the token for unknown words.")
  var noUnknown = false

  @Option(help: "Random seed.")
  var seed: UInt32 = 1

  @OptionGroup(title: "Page and figure") var shown: ReportOptions

  @Flag(help: "Replace the page and the figure if they exist.")
  var force = false

  @Flag(help: "Print one JSON object per sample.")
  var json = false

  func validate() throws {
    let counts = [("--max-tokens", maxTokens), ("--top-k", topK ?? 1)]
    for (name, value) in counts where !(1...1_000_000_000).contains(value) {
      throw ValidationError("\(name) is at least 1.")
    }
    guard (1...10_000).contains(samples) else {
      throw ValidationError("--samples is 1 to 10,000.")
    }
    guard temperature >= 0, temperature.isFinite else {
      throw ValidationError("--temperature is a number of at least 0.")
    }
    if let topP, !(topP > 0 && topP <= 1) {
      throw ValidationError("--top-p is a probability above 0.")
    }
  }

  func run() throws {
    try shown.check(
      inputs: [options.path] + [shortlist].compactMap { $0 }, replacing: force, json: json)
    let checkpoint = try options.checkpoint()
    let model = try options.load(checkpoint, shortlist: shortlist)
    if stopAtEos && model.encoder.vocabulary.endOfSentenceID == nil {
      throw Refusal(
        "\(printable(options.path)): expected a token that ends sentences, for --stop-at-eos; found none"
          + "\n  fix: leave it out")
    }
    let unknown = try model.unknownCount(ofPrompt: prompt)
    if unknown > 0 {
      Output.note("note: the vocabulary lacks \(counted(unknown, "word")) of the prompt")
    }
    var settings = GenerationSettings()
    settings.length = maxTokens
    settings.temperature = temperature
    (settings.topK, settings.topP, settings.seed) = (topK, topP, seed)
    (settings.stopsAtEndOfSentence, settings.excludesUnknown) = (stopAtEos, noUnknown)
    settings.window = try windows.window(of: model)
    let results = try printed(model, settings)
    guard shown.isGiven else { return }
    var page = SamplesPage(model.encoder)
    for (index, sample) in results.enumerated() {
      try page.add(sample) {
        try Output.encoded(report(index, sample, of: model, settings), isPretty: false)
      }
    }
    try Output.finish()
    try shown.write(
      {
        var document = Document(
          title: "Samples of \(options.path)",
          lead: "Text that the model generates after the prompt.",
          files: ["model": options.path], weights: checkpoint.statedDigest)
        try page.fill(&document, settings: settingFacts)
        return document
      }, figure: page.histogram, replacing: force)
  }

  /// The prompt, the seed and the other settings.
  private var settingFacts: [Document.Fact] {
    [
      ("prompt", prompt.isEmpty ? "none" : excerpt(prompt)), ("seed", "\(seed)"),
      ("temperature", TextLayout.number(temperature)),
      ("top k", topK.map(Output.grouped) ?? "all tokens"),
      ("top p", topP.map(TextLayout.number) ?? "1"),
      ("shortlist", shortlist.map(printable) ?? "none"),
      ("maximum number of tokens", Output.grouped(maxTokens)),
      ("end of sentence", stopAtEos ? "ends a sample" : "goes on"),
      ("unknown words", noUnknown ? "never sampled" : "sampled as other tokens"),
      ("precision", options.precision.rawValue),
    ].map { Document.Fact($0, $1) }
  }

  /// Generates samples, prints them unless the figure is printed, and returns them.
  private func printed(
    _ model: LanguageModel, _ settings: GenerationSettings
  ) throws -> [GeneratedSample] {
    guard samples == 1, !json, !shown.printsFigure else {
      return try printSamples(of: model, settings)
    }
    var stream = TextStream(model.encoder)
    let results = try model.generate(after: prompt, settings) { _, token in
      try Output.text(stream.add(token))
      return true
    }
    try Output.text(stream.finish())
    if results.first.map({ !model.text(of: $0).hasSuffix("\n") }) == true {
      try Output.text([UInt8(ascii: "\n")])
    }
    return results
  }

  /// Returns a sample as `--json` prints it.
  private func report(
    _ number: Int, _ sample: GeneratedSample, of model: LanguageModel,
    _ settings: GenerationSettings
  ) -> SampleReport {
    let window = settings.window.map { model.description(of: $0, crossesLines: true) }
    return SampleReport(number + 1, sample, model.text(of: sample), window)
  }

  /// Prints whole samples, each as soon as it is complete.
  private func printSamples(
    of model: LanguageModel, _ settings: GenerationSettings
  ) throws -> [GeneratedSample] {
    var progress = Progress()
    var tokens = 0
    var lastHadLines = false
    let results = try model.generate(
      after: prompt, samples: samples, settings,
      { _, _ in
        tokens += 1
        let tokens = tokens
        progress.report { seconds in
          "\(Output.grouped(tokens)) tokens, \(Output.grouped(Int(Double(tokens) / seconds))) tokens/s"
        }
        return true
      },
      finish: { number, sample in
        progress.finish()
        guard !shown.printsFigure else { return }
        if json {
          try Output.jsonLine(report(number, sample, of: model, settings))
        } else {
          let text = model.text(of: sample)
          let hasLines = text.dropLast().contains("\n")
          if number > 0 && (hasLines || lastHadLines) { Output.result("") }
          lastHadLines = hasLines
          try Output.finish()
          try Output.text(Array((text.hasSuffix("\n") ? text : text + "\n").utf8))
        }
        try Output.finish()
      })
    progress.finish()
    return results
  }
}

/// A sample as `--json` prints it.
private struct SampleReport: Encodable {
  let sample: Int
  let text: String
  let ids: [Int32]
  let logprob: Double
  let ended: Bool
  private let window: WindowDescription?

  init(
    _ number: Int, _ sample: GeneratedSample, _ text: String, _ window: WindowDescription?
  ) {
    self.sample = number
    self.text = text
    ids = sample.ids
    logprob = sample.logProbability
    ended = sample.isEnded
    self.window = window
  }

  enum CodingKeys: String, CodingKey {
    case `protocol`, contextLength, pad, sample, text, ids, logprob, ended
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(window == nil ? "stream" : "window", forKey: .protocol)
    try container.encode(window?.length, forKey: .contextLength)
    try container.encode(window?.padding, forKey: .pad)
    try container.encode(sample, forKey: .sample)
    try container.encode(text, forKey: .text)
    try container.encode(ids, forKey: .ids)
    try container.encode(logprob, forKey: .logprob)
    try container.encode(ended, forKey: .ended)
  }
}
