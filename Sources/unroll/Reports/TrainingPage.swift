// The page of a training, written anew at every evaluation.

import Foundation
import UnrollEngine
import UnrollReport
import UnrollTensors

/// The page and the figure of a training.
struct TrainingPage {
  let options: ReportOptions
  /// The best model's file.
  let output: String
  /// The texts.
  let texts: [String]

  /// The evaluations so far as JSON, as `--json` prints them.
  var objects: [String] = []

  init(_ options: ReportOptions, output: String, texts: [String]) {
    self.options = options
    self.output = output
    self.texts = texts
  }

  /// Writes the files.
  ///
  /// - Parameters:
  ///   - run: The training.
  ///   - isRunning: `true` if it goes on: the page says so, and nothing is printed.
  /// - Throws: `FileError` if a file cannot be written.
  func write(_ run: TrainingRun, isRunning: Bool) throws {
    let curve = LearningCurve(run.state)
    try options.write(
      { document(run, curve, isRunning) }, figure: curve.figure, replacing: true,
      isFinal: !isRunning)
  }

  private func document(_ run: TrainingRun, _ curve: LearningCurve, _ isRunning: Bool) -> Document {
    var document = Document(
      title: "Training of \(output)",
      lead: isRunning
        ? "The training is running: load this page again to see its newer evaluations."
        : "The training is at step \(Output.grouped(run.state.step)).",
      files: ["model": output], weights: run.state.best?.weightsDigest, texts: texts)
    document.highlights = curve.highlights
    document.sections = [
      Document.Section("Evaluations", curve.blocks),
      Document.Section(
        "Settings",
        [
          .facts(
            run.settings.map { Document.Fact($0.name.replacing(scalar: "_", with: " "), $0.value) })
        ]),
    ]
    document.result = LongText("[\n" + objects.joined(separator: ",\n") + "\n]")
    return document
  }
}
