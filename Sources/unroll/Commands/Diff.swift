// `unroll diff`: compares two models.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollTensors

struct Diff: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compare two models of any readable format.",
    discussion: """
      Exit code 0 if they are the same, 1 if they differ; the first line is the verdict. Everything that a \
      file holds is compared, type and bits of every number, whatever the names and the storage. Between a checkpoint and a foreign file, which has no \
      history, only what both can hold is compared; a foreign file without tokens is taken to have \
      those of the other one.
      --weights lists every tensor with its largest absolute and relative difference. --text compares the \
      models on a text: losses with a 95 % interval of their difference (paired bootstrap over lines), and \
      the mean Kullback-Leibler divergence of the second model from the first.
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

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let (pair, difference) = try Progress.during("comparing \(first) and \(second)") {
      let pair = try ModelPair([first, second], options: reading.conversion, reader: .inChild)
      return (pair, pair.difference)
    }
    let report = DifferenceReport(
      files: [first, second], difference, listsTensors: weights,
      try text.map { try compare(pair.checkpoints, $0) })
    if json { try Output.json(report) } else { report.lines.forEach(Output.result) }
    try Output.finish()
    if !report.equal { throw Ending.no }
  }

  private func compare(_ models: [Checkpoint], _ text: String) throws -> TextDifference {
    let models = try zip(models, [first, second]).map { try LanguageModel($0, path: $1) }
    var progress = Progress()
    let difference = try TextDifference(models, onText: text) { count in
      progress.report { _ in "comparing: \(Output.grouped(count)) predictions" }
    }
    progress.finish()
    return difference
  }
}
