// `unroll diff`: what is different between two models.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollTensors

struct Diff: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Compare two models of any readable format: variants, tensors, tokens, history.",
    discussion: """
      Exit code 0 if they are the same, 1 if they differ. Type and bits of every number are compared, \
      whatever the names and the storage. Between a checkpoint and a foreign file, which has no \
      history, only what both can hold is compared; a foreign file without tokens is taken to have \
      those of the other one.
      """)

  @Argument(help: "The first model.")
  var first: String

  @Argument(help: "The second model.")
  var second: String

  @Option(
    help: ArgumentHelp(
      "Also compare the log-probabilities of this text's tokens, each line a sentence.",
      valueName: "file"))
  var text: String?

  @Option(
    help: ArgumentHelp("The tokens of files that have none, one a line.", valueName: "file"))
  var vocabulary: String?

  @Option(help: "The activation of a plain RNN, which a state_dict does not tell: tanh or relu.")
  var nonlinearity: Activation?

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let options = ConversionOptions(
      vocabulary: vocabulary.map { .list($0) } ?? .file, nonlinearity: nonlinearity)
    let (pair, difference) = try Progress.during("comparing \(first) and \(second)") {
      let pair = try ModelPair([first, second], options: options, reader: .inChild)
      return (pair, pair.difference)
    }
    let report = DifferenceReport(
      files: [first, second], difference, try text.map { try compare(pair.checkpoints, $0) })
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

/// What is different, as `--json` prints it.
private struct DifferenceReport: Encodable {
  struct Part: Encodable {
    let part: String
    let first: String?
    let second: String?

    init(_ difference: PartDifference) {
      part = difference.part
      (first, second) = (difference.values[0], difference.values[1])
    }

    var line: String {
      "  \(printable(part)): \(printable(first ?? "none")) -> \(printable(second ?? "none"))"
    }
  }

  struct TensorPart: Encodable {
    let path: String
    let first: String?
    let second: String?
    let differing: Int?
    let largest: Double?
    let largestRelative: Double?
    let cosine: Double?

    init(_ difference: TensorDifference) {
      path = difference.path
      (first, second) = (difference.types[0], difference.types[1])
      differing = difference.differing
      // JSON has no infinity; a largest difference of NaN is told by its absence.
      largest = difference.largest.flatMap { $0.isFinite ? $0 : nil }
      largestRelative = difference.largestRelative.flatMap { $0.isFinite ? $0 : nil }
      cosine = difference.cosine
    }

    var line: String {
      let types = first == second ? "" : "  \(first ?? "none") -> \(second ?? "none")"
      guard let differing else { return "  \(path)\(types)" }
      guard differing > 0 else { return "  \(path)\(types)  same numbers" }
      let largest = self.largest.map { short($0) } ?? "not a number"
      return "  \(path)\(types)  \(Output.grouped(differing)) differ, largest \(largest), "
        + "relative \(largestRelative.map { short($0) } ?? "-"), "
        + "cosine \(cosine.map { String(format: "%.6f", $0) } ?? "-")"
    }
  }

  struct Text: Encodable {
    let predictions: Int
    let firstNll: Double
    let secondNll: Double
    let meanDifference: Double
    let largestDifference: Double

    var lines: [String] {
      [
        "text",
        "  \(Output.grouped(predictions)) predictions, nll "
          + String(format: "%.6f -> %.6f", firstNll, secondNll) + " nats a token",
        "  log-probabilities differ by \(short(meanDifference)) on average, "
          + "\(short(largestDifference)) at most",
      ]
    }
  }

  let files: [String]
  let equal: Bool
  let architecture: [Part]
  let tensors: [TensorPart]
  let tokens: [Part]?
  let metadata: [Part]
  let text: Text?

  init(files: [String], _ difference: ModelDifference, _ text: TextDifference?) {
    self.files = files
    equal = difference.isEmpty
    architecture = difference.architecture.map(Part.init)
    tensors = difference.tensors.filter { !$0.isEmpty }.map(TensorPart.init)
    tokens = difference.tokens?.map(Part.init)
    metadata = difference.metadata.map(Part.init)
    self.text = text.map {
      Text(
        predictions: $0.predictions, firstNll: $0.nll[0], secondNll: $0.nll[1],
        meanDifference: $0.mean, largestDifference: $0.largest)
    }
  }

  /// The report for people.
  var lines: [String] {
    let sections = [
      ("variants", architecture.map(\.line)), ("tensors", tensors.map(\.line)),
      ("tokens", tokens?.map(\.line) ?? []), ("history and companions", metadata.map(\.line)),
    ]
    return (equal ? ["the same"] : [])
      + sections.filter { !$0.1.isEmpty }.flatMap { [$0.0] + $0.1 } + (text?.lines ?? [])
  }
}

/// A number in three digits.
private func short(_ number: Double) -> String { String(format: "%.3g", number) }
