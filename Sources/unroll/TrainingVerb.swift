// Shared parts of `train` and `finetune`: texts, files, the training loop, and its reports.

import ArgumentParser
import CProcess
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollTensors
import UnrollTokenization

/// The texts that a training reads and the files that it writes.
struct TrainingVerb: ParsableArguments {
  @Option(help: ArgumentHelp("Training text: a file or a .gz file.", valueName: "file"))
  var train: String?

  @Option(help: ArgumentHelp("Validation text, which selects the best model.", valueName: "file"))
  var valid: String?

  @Option(
    help: ArgumentHelp(
      "Instead of --valid: the share of the training text's lines, from its end, to validate on.",
      valueName: "share"))
  var validFraction: Double?

  @Option(
    name: [.short, .long],
    help: ArgumentHelp(
      "Best model, such as poet.unroll.h5; .last.unroll.h5 is beside it.", valueName: "file"))
  var output: String?

  @Flag(help: "Replace the output file if it exists.")
  var force = false

  @Flag(
    help: ArgumentHelp(
      "Begin this training, or resume it if its .last file exists."
    ))
  var autoResume = false

  @Option(help: ArgumentHelp("Pause after N steps, as Ctrl-C does.", valueName: "steps"))
  var pauseAfter: Int?

  @Option(
    help: ArgumentHelp(
      "Stop early when N evaluations in a row have not improved the validation loss; not stored: give it again "
        + "to a resumed run.",
      valueName: "n"))
  var patience: Int?

  @Option(
    help: ArgumentHelp(
      "Write each step and evaluation as a line of JSON; a resumed run appends.",
      valueName: "file"))
  var log: String?

  @Option(
    help: ArgumentHelp(
      "Keep resumable states of the last N evaluations, as NAME.step-STEP.unroll.h5.",
      valueName: "states"))
  var keep: Int?

  @Option(
    help: ArgumentHelp(
      "Write losses, learning rates, settings and histograms of the weights for TensorBoard.",
      valueName: "folder"))
  var tensorboard: String?

  @OptionGroup(title: "Page and figure") var shown: ReportOptions

  @OptionGroup var sampled: TrainingSampleOptions

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Save a resumable state every N steps (default: every ten minutes); always after an "
        + "evaluation.",
      valueName: "steps"))
  var saveEvery: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "On several machines: the seconds that a rank waits for the others before it ends, at least 10 (default: 600).",
      valueName: "seconds"))
  var peerTimeout: Int?

  @Flag(help: "Estimate time and memory from a few seconds of work, and stop.")
  var estimate = false

  @Flag(help: "Print lines of JSON instead of the table.")
  var json = false

  func validate() throws {
    if let keep, keep < 1 { throw ValidationError("--keep is at least 1.") }
    if let peerTimeout, !(10...1_000_000).contains(peerTimeout) {
      throw ValidationError("--peer-timeout is 10 to 1000000.")
    }
    if let saveEvery, saveEvery < 1 { throw ValidationError("--save-every is at least 1.") }
    if let patience, patience < 1 { throw ValidationError("--patience is at least 1.") }
    if let pauseAfter, pauseAfter < 1 { throw ValidationError("--pause-after is at least 1.") }
    if let validFraction {
      guard validFraction > 0 && validFraction < 1 else {
        throw ValidationError("--valid-fraction is a number between 0 and 1, such as 0.1.")
      }
      guard valid == nil else {
        throw ValidationError("--valid and --valid-fraction cannot be combined.")
      }
    }
    if autoResume && force {
      throw ValidationError(
        "--auto-resume and --force cannot be combined: one keeps the files of a training, the other replaces them."
      )
    }
    if output?.isEmpty == true { throw ValidationError("--output needs a name.") }
  }

  /// Trains to the end or to a pause.
  ///
  /// - Parameters:
  ///   - names: The texts and the output.
  ///   - resuming: `true` if the files belong to the training to resume.
  ///   - inputs: The files that are read in addition to the texts; they are never written.
  ///   - resumeOptions: Additional options of the command to resume.
  ///   - begin: Returns the run.
  /// - Throws: `Refusal` before the work; `ExitCode` after it, when everything is reported.
  func run(
    _ names: TrainingNames, resuming: Bool, inputs: [String], resumeOptions: [String],
    begin: (TrainingFiles, inout TrainingReporter) throws -> TrainingRun
  ) throws {
    try checkLauncher()
    let files = TrainingFiles(best: names.output, keptStates: keep ?? 0)
    let page =
      shown.isGiven
      ? TrainingPage(
        shown, output: names.output, texts: [names.train, names.valid], prompt: sampled.sample)
      : nil
    var reporter = TrainingReporter(
      log: log, resuming: resuming, tensorBoard: tensorboard, json: json, page: page,
      sample: sampled.sample.map { TrainingSample(prompt: $0) }, output: names.output)
    var outcome = Outcome(files)
    let begun = Result {
      if !estimate && !Launcher.isQuiet {
        try checkFiles(names, files, resuming: resuming, inputs: inputs)
      }
      return try begin(files, &reporter)
    }
    var (run, group) = try share(begun)
    run.patience = patience
    defer { group?.close(code: Ending.failure) }
    run.keepsHistograms = tensorboard != nil && !Launcher.isQuiet
    guard !estimate else { return try printEstimate(of: &run) }
    let firstStep = run.state.step
    // A closed standard output must not end the training.
    signal(SIGPIPE, SIG_IGN)
    unroll_catch_requests_to_stop()
    do {
      if !Launcher.isQuiet { try reporter.begin(run) }
      let end = try run.run(
        saving: files, every: saveEvery,
        shouldPause: { state in
          unroll_asked_to_stop() || pauseAfter.map { state.step - firstStep >= $0 } ?? false
        },
        report: {
          outcome.add($0)
          if !Launcher.isQuiet { try reporter.report($0, $1) }
        }, progress: { reporter.report($0) })
      reporter.finish()
      if !Launcher.isQuiet { try reporter.end(run, end) }
      switch end {
      case .finished: if !Launcher.isQuiet { try conclude(run, files, outcome) }
      case .paused:
        Output.note("paused after step \(run.state.step): saved \(printable(files.last))")
        Output.note("  resume: \(resumeCommand(names, files, resumeOptions))")
        try Output.finish()
        throw Ending.paused
      }
    } catch let error where !(error is ExitCode) {
      run.abandon(error)
      reporter.finish()
      // The ranks agree on errors, and rank 0 prints them; an error of the communication is each rank's own.
      if !Launcher.isQuiet || error is GroupError { Output.failure(error) }
      if (resuming || outcome.wroteLast(of: files)) && !(error is OutputTaken) {
        noteWhatIsSaved(names, files, resumeOptions)
      }
      throw ExitCode(Ending.failure)
    }
  }

  /// The progress of a run.
  struct Outcome {
    /// `true` if the best model's file did not exist before.
    let bestIsNew: Bool
    /// The inode number of the file to resume from before the run, perhaps of another training.
    private let lastBefore: UInt64?
    private(set) var wroteBest = false
    private(set) var didAnything = false

    /// Records the existing files.
    ///
    /// - Parameter files: The output files.
    init(_ files: TrainingFiles) {
      bestIsNew = !FileManager.default.fileExists(atPath: files.best)
      lastBefore = Self.number(of: files.last)
    }

    /// Records an event.
    ///
    /// - Parameter event: The event.
    mutating func add(_ event: TrainingEvent) {
      didAnything = true
      if case .evaluation(_, true, _) = event { wroteBest = true }
    }

    /// Returns `true` if this run wrote the file to resume from: a replaced file has a new inode
    /// number.
    func wroteLast(of files: TrainingFiles) -> Bool { Self.number(of: files.last) != lastBefore }

    private static func number(of path: String) -> UInt64? {
      var status = stat()
      return lstat(path, &status) == 0 ? UInt64(status.st_ino) : nil
    }
  }
}
