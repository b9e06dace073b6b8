// `unroll diff`: compares two models.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollReport
import UnrollTensors

struct Diff: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compare two models of any readable format.",
    usage: "unroll diff <first> <second> [<options>]",
    discussion: """
      `unroll diff poet.unroll.h5 tuned.unroll.h5 --text test.txt`

      Exit code 0 if the models are the same, 1 if they differ; the first line is the verdict. A file of another format has \
      no history: only what both formats can hold is compared. --weights lists every tensor; --text compares losses with a 95 % interval \
      and the mean Kullback-Leibler divergence of the second model from the first.
      """)

  @Argument(help: "The first model.")
  var first: String

  @Argument(help: "The second model.")
  var second: String

  @Flag(help: "List every tensor with its largest differences, equal ones too.")
  var weights = false

  @Option(
    help: ArgumentHelp(
      "Also compare the log-probabilities of this text's tokens, each line a sentence.",
      valueName: "file"))
  var text: String?

  @OptionGroup(title: "Files of other formats") var reading: AnyModelOptions

  @OptionGroup(title: "Page and figure") var shown: ReportOptions

  @Flag(help: "Replace the page and the figure if they exist.")
  var force = false

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let inputs = [first, second] + [text].compactMap { $0 }
    try shown.check(inputs: inputs + reading.paths, replacing: force, json: json)
    let (pair, difference) = try Progress.during("comparing \(first) and \(second)") {
      let pair = try ModelPair([first, second], options: reading.conversion, reader: .inChild)
      return (pair, pair.difference)
    }
    var paired =
      text == nil || shown.report == nil
      ? nil : PairedText(names: (first, second), unit: "nats", isSpaced: false)
    let report = DifferenceReport(
      files: [first, second], difference, listsTensors: weights,
      try text.map { try compare(pair.checkpoints, $0, &paired) })
    if json {
      try Output.json(report)
    } else if !shown.printsFigure {
      report.lines.forEach(Output.result)
    }
    try shown.write(
      { try report.document(of: pair.checkpoints, text: text, paired: paired) },
      figure: report.figure, replacing: force)
    try Output.finish()
    if !report.equal { throw Ending.no }
  }

  private func compare(
    _ models: [Checkpoint], _ text: String, _ paired: inout PairedText?
  ) throws -> TextDifference {
    let models = try zip(models, [first, second]).map { try LanguageModel($0, path: $1) }
    var progress = Progress()
    let vocabulary = models[0].encoder.vocabulary
    let difference = try TextDifference(
      models, onText: text,
      line: { line in
        try paired?.add(
          line: line.line,
          line.ids.indices.map { index in
            PairedText.Part(
              text: vocabulary.text(of: Int(line.ids[index])),
              values: (-line.logProbabilities[0][index], -line.logProbabilities[1][index]))
          })
      },
      progress: { count in
        progress.report { _ in "comparing: \(Output.grouped(count)) predictions" }
      })
    progress.finish()
    return difference
  }
}
