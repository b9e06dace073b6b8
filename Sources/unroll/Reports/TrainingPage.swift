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
  /// The prompt of the samples; `nil` for none.
  let prompt: String?

  /// The steps of this run.
  var steps = StepCurve()
  /// The evaluations so far as JSON, as `--json` prints them.
  private var objects: [String] = []
  /// The samples of this run, with the steps of their evaluations.
  private var samples: [(step: Int, text: String)] = []
  /// The losses of the retention text in this run.
  private var retention: [Figure.Point] = []

  init(_ options: ReportOptions, output: String, texts: [String], prompt: String?) {
    self.options = options
    self.output = output
    self.texts = texts
    self.prompt = prompt
  }

  /// Adds an evaluation.
  ///
  /// - Parameters:
  ///   - step: Its step.
  ///   - object: The evaluation as `--json` prints it.
  ///   - retentionNLL: The loss of the retention text, if there is one.
  ///   - sample: The generated text, if one is requested.
  mutating func add(step: Int, object: String, retentionNLL: Double?, sample: String?) {
    objects.append(object)
    if let retentionNLL, retentionNLL.isFinite {
      retention.append(.init(x: Double(step), y: retentionNLL))
    }
    if let sample { samples.append((step, sample)) }
  }

  /// Writes the files.
  ///
  /// - Parameters:
  ///   - run: The training.
  ///   - progress: The progress in words, of a training that goes on; `nil` for one that ended or paused, of which
  ///     the page has no times.
  /// - Throws: `FileError` if a file cannot be written.
  func write(_ run: TrainingRun, progress: String?) throws {
    let curve = LearningCurve(run.state)
    try options.write(
      { document(run, curve, progress) }, figure: curve.figure(retention: retention),
      replacing: true,
      isFinal: progress == nil)
  }

  private func document(_ run: TrainingRun, _ curve: LearningCurve, _ progress: String?) -> Document
  {
    var document = Document(
      title: "Training of \(output)",
      lead: progress.map {
        "The training is running, \($0): load this page again to see its newer evaluations."
      }
        ?? (run.stepsLeft == 0 || run.isStuck
          ? "The training is finished, after step \(Output.grouped(run.state.step))."
          : "The training is at step \(Output.grouped(run.state.step)), and can be resumed."),
      files: ["model": output], weights: run.state.best?.weightsDigest, texts: texts)
    document.highlights = curve.highlights
    document.notes = run.outputRemarks
    document.sections =
      [
        Document.Section(
          "Evaluations", [.paragraph(Self.meaning(run))] + curve.blocks(retention: retention))
      ]
      + steps.sections(run.clip) + sampleSections(run)
      + [Document.Section("Settings", settingBlocks(run))]
    document.result = LongText("[\n" + objects.joined(separator: ",\n") + "\n]")
    return document
  }

  private static func meaning(_ run: TrainingRun) -> String {
    "The model is not trained on the validation text: its loss says how well the model does on new text, and the model of "
      + "the best step is the one that is kept. A loss is the mean of minus the natural logarithm of a token's probability, and "
      + "perplexity is e to that power."
      + (run.state.sampledSoftmax == nil
        ? ""
        : " The training loss is that of a sampled softmax, another number, which cannot be compared with the validation loss.")
  }

  // MARK: Samples

  /// The largest number of samples on the page.
  private static let sampleLimit = 20

  private func sampleSections(_ run: TrainingRun) -> [Document.Section] {
    guard let prompt, !samples.isEmpty else { return [] }
    let best = run.state.best?.step
    let shown = samples.evenly(
      Self.sampleLimit, keeping: samples.firstIndex { $0.step == best })
    let rows = shown.map { sample in
      [
        Output.grouped(sample.step), sample.step == best ? "best" : "",
        TrainingSample.line(sample.text),
      ]
    }
    let cut =
      shown.count < samples.count
      ? " \(shown.count) of \(Output.grouped(samples.count)) samples are shown, evenly chosen." : ""
    return [
      Document.Section(
        "Samples",
        [
          .paragraph(
            "Each evaluation of this run continued the prompt by \(TrainingSample.settings). A slash stands for the end "
              + "of a line.\(cut)"),
          .table(
            Table(
              "Text behind “\(excerpt(prompt))”", [.number("step"), .text("best"), .text("text")],
              rows)),
        ])
    ]
  }

  // MARK: Settings

  private func settingBlocks(_ run: TrainingRun) -> [Document.Block] {
    let settings = run.describedSettings
    let chosen = settings.filter(\.isChosen)
    let table = Table(
      "Settings that differ from the defaults",
      [.text("setting"), .text("value"), .text("default")],
      chosen.map { [Self.name($0), excerpt($0.value), $0.usual ?? "none"] })
    return
      (chosen.isEmpty
      ? [.paragraph("All settings are the defaults.")] : [Document.Block.table(table)])
      + [
        .paragraph("All settings:"),
        .facts(settings.map { Document.Fact(Self.name($0), excerpt($0.value)) }),
      ]
  }

  private static func name(_ setting: TrainingRun.Setting) -> String {
    setting.name.replacing(scalar: "_", with: " ")
  }
}

extension Array {
  /// Returns at most a number of elements: evenly chosen, with the first, the last, and one more.
  ///
  /// - Parameters:
  ///   - limit: The number, at least 3.
  ///   - kept: The index of an element that is chosen in any case; `nil` for none.
  /// - Returns: The elements in their order.
  func evenly(_ limit: Int, keeping kept: Int?) -> [Element] {
    guard count > limit else { return self }
    var chosen = (0..<limit).map { $0 * (count - 1) / (limit - 1) }
    if let kept, !chosen.contains(kept),
      let nearest = chosen.indices.dropFirst().dropLast().min(by: {
        abs(chosen[$0] - kept) < abs(chosen[$1] - kept)
      })
    {
      chosen[nearest] = kept
    }
    return chosen.map { self[$0] }
  }
}
