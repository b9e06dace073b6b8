// `unroll report`: writes a page that compares several models.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollReport
import UnrollTensors

struct WriteReport: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Write a page that compares several models.",
    usage: "unroll report <models> ... --output <file.html> [<options>]",
    discussion: """
      `unroll report a.last.unroll.h5 b.last.unroll.h5 -o models.html`

      Sizes, cells, tokens, licenses and history in a table, the learning curves in one figure, and the norms of all \
      parameters. Learning curves are in the state of a training, the file that ends in .last.unroll.h5.
      """)

  /// The maximum number of models, since more curves cannot be distinguished.
  private static let limit = 12

  @Argument(help: "Models: checkpoints, or files that `unroll convert` reads.")
  var models: [String]

  @Option(
    name: [.short, .long],
    help: ArgumentHelp("Page to write.", valueName: "file.html"))
  var output: String

  @Option(
    help: ArgumentHelp(
      "Also draw the learning curves: a file, or - to print them.", valueName: "file.svg"))
  var plot: String?

  @OptionGroup(title: "Files of other formats") var reading: AnyModelOptions

  @Flag(help: "Replace the page and the figure if they exist.")
  var force = false

  @Flag(help: "Print the comparison as one JSON object.")
  var json = false

  /// The page and the figure.
  private var shown: ReportOptions {
    var shown = ReportOptions()
    shown.report = output
    shown.plot = plot
    return shown
  }

  func validate() throws {
    guard (2...Self.limit).contains(models.count) else {
      throw ValidationError("Give 2 to \(Self.limit) models; `unroll inspect` shows one.")
    }
    try ReportOptions.checkEnding(of: output, "--output", "HTML", ["html", "htm"])
    try shown.validate()
  }

  func run() throws {
    try shown.check(inputs: models + reading.paths, replacing: force, json: json)
    var progress = Progress()
    var compared: [(model: ComparedModel, checkpoint: Checkpoint)] = []
    for model in models {
      progress.report { _ in "reading \(printable(model))" }
      compared.append(try read(model))
    }
    progress.finish()
    let comparison = ComparedModels(
      compared.map(\.model), vocabularies: compared.map(\.checkpoint.vocabulary))
    for warning in comparison.warnings { Output.note("note: \(warning)") }
    if json { try Output.json(comparison) }
    let digests = compared.map(\.checkpoint.statedDigest)
    try shown.write(
      { try comparison.document(digests: digests) }, figure: comparison.figure, replacing: force)
  }

  /// Reads a model with its weights.
  private func read(_ path: String) throws -> (model: ComparedModel, checkpoint: Checkpoint) {
    let file = try ModelFile(
      contentsOf: path, options: reading.conversion, upTo: .bytes, reader: .inChild)
    switch file {
    case .checkpoint(let examination):
      let checkpoint = try Checkpoint(examination)
      return (ComparedModel(checkpoint, ModelReport(checkpoint, examination)), checkpoint)
    case .foreign(let foreign):
      let checkpoint = foreign.conversion.checkpoint
      return (ComparedModel(checkpoint, ModelReport(foreign, path: path)), checkpoint)
    }
  }
}
