// Console output and log of a training.

import Foundation
import UnrollEngine
import UnrollFormat
import UnrollNeural
import UnrollTensors

/// Reports a training: evaluations on standard output, progress on standard error, everything in
/// the log.
struct TrainingReporter {
  private var progress = Progress()
  private let logPath: String?
  private let eventFolder: String?
  private let isResuming: Bool
  private let json: Bool
  private var page: TrainingPage?
  private let sample: TrainingSample?
  /// The best model's file.
  private let output: String
  private var log: TrainingLog?
  private var events: TensorBoardFile?
  private var steps = 0
  private var predictions = 0
  private var start = ContinuousClock.now
  private var lastStep = ContinuousClock.now

  /// Creates a reporter.
  ///
  /// - Parameters:
  ///   - log: The path of the log, if there is one.
  ///   - resuming: `true` to append to the log.
  ///   - tensorBoard: The folder of event files, if there is one.
  ///   - json: `true` to print evaluations as JSON objects.
  ///   - page: The page and figure to write, if they are requested.
  ///   - sample: The text to generate at each evaluation, if it is requested.
  ///   - output: The best model's file.
  init(
    log: String?, resuming: Bool, tensorBoard: String?, json: Bool, page: TrainingPage?,
    sample: TrainingSample?, output: String
  ) {
    (self.sample, self.output) = (sample, output)
    (logPath, eventFolder) = (log, tensorBoard)
    isResuming = resuming
    self.json = json
    self.page = page
  }

  /// `true` if the table is printed, not a figure in its place.
  private var printsTable: Bool { page?.options.printsFigure != true }

  /// Shows the progress of reading a text.
  mutating func reading(_ path: String, _ fraction: Double?) {
    progress.report { _ in
      "reading \(printable(path))" + (fraction.map { String(printf: ": %.0f %%", 100 * $0) } ?? "")
    }
  }

  /// Opens the files and prints the header of the table.
  ///
  /// A killed run may have logged steps that its saved state lacks: they are logged again.
  ///
  /// - Throws: `FileError` if a file cannot be opened; the errors of encoding.
  mutating func begin(_ run: TrainingRun) throws {
    let logIsNew = logPath.map { !FileManager.default.fileExists(atPath: $0) } ?? false
    log = try logPath.map { try TrainingLog(path: $0, appending: isResuming) }
    do {
      events = try eventFolder.map { try TensorBoardFile(folder: $0) }
    } catch {
      // A run that does not start leaves no file behind.
      if let logPath, logIsNew { unlink(logPath) }
      throw error
    }
    if isResuming {
      try log?.write(ResumeLine(step: run.state.step))
      try events?.restart(afterStep: run.state.step)
    }
    try events?.write(settings: run.describedSettings.map { ($0.name, $0.value) })
    progress.finish()
    progress = Progress()
    for remark in run.outputRemarks { Output.note("note: \(remark)") }
    (start, lastStep) = (.now, .now)
    let kept = run.retention == nil ? "" : "\tretention_ppl"
    if !json && printsTable {
      Output.result("epoch\tstep\tlearning_rate\ttrain_nll\tvalid_nll\tvalid_ppl\tbest" + kept)
    }
    // The table of a resumed training starts with its previous evaluations.
    var lowest = Double.infinity
    for record in run.state.history {
      // The loss of the retention text is not part of the state.
      try print(
        EvaluationLine(record, isBest: record.validNLL < lowest), in: run)
      lowest = min(lowest, record.validNLL)
    }
    flush()
    let rows = run.state.data.tokens / run.state.data.columns
    if run.state.data.window > rows - 1, run.state.data.windowKind != .sentence {
      Output.note(
        "note: the BPTT length \(run.state.data.window) exceeds the streams of \(rows) tokens: it is "
          + "\(rows - 1)")
    }
  }

  /// Reports an event.
  ///
  /// - Throws: `FileError` if the log cannot be written.
  mutating func report(_ event: TrainingEvent, _ run: TrainingRun) throws {
    switch event {
    case .step(let step):
      steps += 1
      predictions += step.predictions
      let now = ContinuousClock.now
      let seconds = lastStep.duration(to: now) / .seconds(1)
      lastStep = now
      let line = StepLine(step, seconds: seconds)
      try log?.write(line)
      try events?.write(line.scalars, step: step.step)
      page?.steps.add(step, run.clip)
      let speed = Double(predictions) / (start.duration(to: now) / .seconds(1))
      let steps = steps
      progress.report { Self.line(step, run, speed: speed, secondsPerStep: $0 / Double(steps)) }
    case .evaluation(let record, let isBest, let retentionNLL):
      progress.finish()
      var line = EvaluationLine(record, isBest: isBest)
      line.retentionNLL = retentionNLL
      line.sample = try sample?.text(run, path: output)
      try print(line, in: run)
      flush()
      try log?.write(line)
      try events?.write(line.scalars, step: record.step)
      try writeHistograms(run, step: record.step)
      if let sample = line.sample {
        Output.note("sample: \(TrainingSample.line(sample))")
        try events?.write(text: sample, tag: "sample", step: record.step)
      }
      try page?.write(run, progress: progress(of: run))
      if record.step > 0, record.validNLL > Elementary.log(Double(run.vocabularySize)) {
        Output.note(
          "note: worse than guessing among all \(Output.grouped(run.vocabularySize)) tokens: "
            + "the learning rate \(record.learningRate) may be too high")
      }
      lastStep = .now
    case .finished: break
    }
  }

  /// Writes the histograms of the weights and of the last gradients for TensorBoard.
  private func writeHistograms(_ run: TrainingRun, step: Int) throws {
    guard let events else { return }
    let parameters = run.weights.parameters
    let weights = parameters.paths.compactMap { path in
      parameters[path]?.floats().flatMap { NumberHistogram($0) }.map {
        ("weights\(path)", $0)
      }
    }
    let gradients = run.gradientHistograms.map { ("gradients\($0.path)", $0.histogram) }
    try events.write(weights + gradients, step: step)
  }

  /// Shows the progress of an evaluation.
  mutating func report(_ evaluation: EvaluationProgress) {
    let share = evaluation.fraction.map { String(printf: " %.0f %%", 100 * $0) } ?? ""
    progress.report { _ in "evaluating\(share)" }
  }

  func finish() { progress.finish() }

  /// Writes the page of a training that has ended or paused, and the end of its events, if they are requested.
  ///
  /// - Throws: `FileError` if they cannot be written.
  func end(_ run: TrainingRun, _ end: TrainingEnd) throws {
    try page?.write(run, progress: nil)
    if end == .finished { try events?.writeEnd() }
  }

  /// Returns the progress for the page of a running training.
  private func progress(of run: TrainingRun) -> String {
    let step = "at step \(Output.grouped(run.state.step))"
    let seconds = start.duration(to: .now) / .seconds(1)
    guard steps > 0, seconds > 0 else { return step }
    let left = Double(run.stepsLeft) * seconds / Double(steps)
    return step
      + ", with \(Output.grouped(Int(Double(predictions) / seconds))) tokens a second and about "
      + "\(Output.duration(left)) left"
  }

  private static func line(
    _ step: StepReport, _ run: TrainingRun, speed: Double, secondsPerStep: Double
  ) -> String {
    let data = run.state.data
    let nll = data.totalNLL / Double(max(1, run.predictionsOfEpoch))
    let left = Double(run.stepsLeft) * secondsPerStep
    // A narrow terminal shows the beginning.
    return "epoch \(step.epoch), step \(Output.grouped(step.step)), "
      + String(printf: "training perplexity %.2f, ", Elementary.exp(nll))
      + "\(Output.duration(left)) left, "
      + String(printf: "loss %.4f, ", nll) + "\(Output.grouped(Int(speed))) tokens/s"
  }

  private mutating func print(_ line: EvaluationLine, in run: TrainingRun) throws {
    let object = String(decoding: try trainingEncoder.encode(line), as: UTF8.self)
    page?.add(
      step: line.step, object: object, retentionNLL: line.retentionNLL, sample: line.sample)
    guard !json else { return Output.result(object) }
    guard printsTable else { return }
    let epoch = String(printf: "%.2f", line.epoch)
    let train = line.trainNLL.map { String(printf: "%.6f", $0) } ?? "NA"
    let kept = line.retentionNLL.map { String(printf: "%.4f", Elementary.exp($0)) } ?? "NA"
    Output.result(
      "\(epoch)\t\(line.step)\t\(line.learningRate)\t\(train)\t"
        + String(printf: "%.6f\t%.4f\t", line.validNLL, Elementary.exp(line.validNLL))
        + (line.best ? "1" : "0") + (run.retention == nil ? "" : "\t\(kept)"))
  }

  /// Flushes the table now: a training is long, and its table is watched.
  private func flush() { fflush(nil) }
}
