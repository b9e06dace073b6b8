// `unroll gradients`: measures gradient flow through time.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollReport
import UnrollTensors

struct Gradients: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure how gradients vanish or explode over time steps.",
    discussion: """
      `unroll gradients poet.unroll.h5 test.txt --lags 50`

      The loss of one sampled step at a time is propagated back: the figure for lag k is the norm of its gradient by the state \
      k steps before, relative to lag 0. Definitions of all figures: docs/reference/verbs.md
      """)

  @OptionGroup var options: ModelOptions

  @Argument(help: "Text: a file, a .gz file, or - for standard input.")
  var text: String

  @Option(parsing: .unconditional, help: "Largest lag K, in time steps.")
  var lags = GradientSettings().lags

  @Option(
    parsing: .unconditional,
    help: "Positions to measure at; rounded up to a multiple of --batch-size.")
  var positions = GradientSettings().positions

  @Option(parsing: .unconditional, help: "Streams of the text side by side in a batch.")
  var batchSize = GradientSettings().columns

  @Option(parsing: .unconditional, help: "Time steps of truncated backpropagation.")
  var bptt = GradientSettings().window

  @Option(parsing: .unconditional, help: "Maximum number of batches whose gradient is computed.")
  var windows = GradientSettings().windows

  @Option(parsing: .unconditional, help: "Largest global norm of a gradient in training.")
  var clip = GradientSettings().clip

  @Option(
    parsing: .unconditional, help: "Fraction of the gradient at lag 0 that defines the horizon.")
  var threshold = GradientSettings().threshold

  @Option(help: "Random seed of the positions and batches.")
  var seed = GradientSettings().seed

  @OptionGroup(title: "Page and figure") var shown: ReportOptions

  @Option(
    help: ArgumentHelp(
      "With --report or --plot: also draw the curves of another model; may be given several times.",
      valueName: "model"))
  var baseline: [String] = []

  @Flag(help: "Replace the page and the figure if they exist.")
  var force = false

  @Flag(help: "Print the result as one JSON object.")
  var json = false

  func validate() throws {
    guard baseline.isEmpty || (shown.isGiven && text != "-") else {
      throw ValidationError("--baseline needs --report or --plot, and the file of a text.")
    }
    for (name, value) in [
      ("--lags", lags), ("--positions", positions), ("--batch-size", batchSize), ("--bptt", bptt),
      ("--windows", windows),
    ] where !(1...Int(Int32.max)).contains(value) {
      throw ValidationError("\(name) is 1 to \(Int32.max).")
    }
    guard clip > 0, clip.isFinite else {
      throw ValidationError("--clip is a number above 0, not infinite.")
    }
    guard threshold > 0, threshold < 1 else {
      throw ValidationError("--threshold is a number between 0 and 1.")
    }
  }

  func run() throws {
    try shown.check(inputs: [options.model, text] + baseline, replacing: force, json: json)
    let checkpoint = try options.checkpoint()
    var report = GradientReport(
      flow: try measure(checkpoint, path: options.model), path: options.model)
    report.others = try baseline.map { path in
      var other = options
      other.model = path
      return (path, try measure(try other.checkpoint(), path: path))
    }
    if json {
      try Output.json(GradientJSON(report.flow))
    } else if !shown.printsFigure {
      for line in report.lines { Output.result(line) }
    }
    let note = report.unknownNote
    if let note { Output.note(note) }
    try shown.write(
      {
        var document = Document(
          title: "Gradient flow of \(options.model)",
          lead: "Size of the gradient of one step's loss by the state k steps before, by k.",
          files: ["model": options.model], weights: checkpoint.statedDigest, texts: [text])
        document.facts += baseline.map { Document.Fact("baseline", printable($0)) }
        document.add([note].compactMap { $0 })
        try report.fill(&document)
        return document
      }, figure: report.figure, replacing: force)
  }

  private func measure(_ checkpoint: Checkpoint, path: String) throws -> GradientFlow {
    var progress = Progress()
    defer { progress.finish() }
    return try GradientFlow(of: checkpoint, path: path, text: text, settings: settings) {
      stage, fraction in
      progress.report { _ in progressLine(stage, fraction) }
    }
  }

  private var settings: GradientSettings {
    var settings = GradientSettings()
    settings.lags = lags
    settings.positions = positions
    settings.columns = batchSize
    settings.window = bptt
    settings.windows = windows
    settings.clip = clip
    (settings.threshold, settings.seed) = (threshold, seed)
    settings.eigenvalueLimit = shown.report == nil ? 0 : GradientReport.eigenvalueLimit
    return settings
  }

  private func progressLine(_ stage: GradientFlow.Stage, _ fraction: Double?) -> String {
    let task =
      switch stage {
      case .reading: "reading \(printable(text))"
      case .measuring: "going back in time"
      case .weights: "looking at the recurrent weights"
      }
    return task + (fraction.map { String(printf: ": %.0f %%", 100 * $0) } ?? "")
  }
}
