// Scores of a text that several processes of an MPI launcher share.

import Foundation
import UnrollEngine
import UnrollFormat
import UnrollNeural
import UnrollTensors

extension Score {
  /// Scores parts of the text on each rank; rank 0 prints the bytes that one process prints.
  ///
  /// - Throws: `Refusal` without an MPI library; `ExitCode`, after rank 0 has printed the reason, for what cannot be
  ///   shared, if a rank failed, or if the ranks do not fit together.
  func runShared() throws {
    Launcher.beginShared()
    try MPIGroup.load()
    Threads.shareProcessors()
    var progress = Progress()
    let job = Result { try sharedJob { progress.report($0, "lines", $1) } }
    // Ranks wait for the slowest one as long as it takes; the launcher ends the job of a lost process.
    try MPIGroup(patience: 1_000_000).run { group in
      let totals = try SharedScoring.run(
        job.map(\.scoring), group, host: Launcher.host, output: Output.lines)
      progress.finish()
      let (_, model, style) = try job.get()
      for note in notes(totals, model, style) { Output.note(note) }
    }
  }

  /// Refuses what ranks cannot share.
  ///
  /// - Throws: `Refusal`.
  func checkShared() throws {
    guard text != "-" else {
      throw Refusal(
        "expected a text that the processes of an MPI launcher can share; found standard input\n"
          + "  fix: write it into a file, or start one process")
    }
    let given = (wholeTextOptions + [("--flush", flush)]).first { $0.isGiven }
    guard let given else { return }
    throw Refusal(
      "expected options that the processes of an MPI launcher can share; found \(given.name)\n"
        + "  fix: leave \(given.name) out, or start one process")
  }

  /// Opens everything that is read, with the notes of one process.
  private func sharedJob(
    progress: @escaping (_ line: Int, _ fraction: Double?) -> Void
  ) throws -> (scoring: SharedScoring, model: LanguageModel, style: ScoreStyle) {
    try checkShared()
    let model = try options.load(leavingOutUnknown: unknown?.leavesOut == true)
    let mixture = try mixtureOptions.mixture(
      of: model, options, protocol: .sentence, preparation: preparation.preparation)
    if let mixture { Output.note(mixture.note) }
    warnOfLineEnds(inText: text, model.encoder, isLowered: preparation.lowercase)
    let settings = try settings(model, mixture)
    let style = style(model, settings)
    for note in notes(model) { Output.note(note) }
    let scoring = try SharedScoring(
      ofText: text, model, settings, facts: facts(style),
      header: json ? "" : style.form.row(style.header) + "\n"
    ) { sentence, fraction in
      progress(sentence.line, fraction)
      let report = SentenceReport(sentence, style)
      guard !json else { return try report.json + "\n" }
      return report.rows.map { style.form.row($0) + "\n" }.joined()
    }
    return (scoring, model, style)
  }

  /// Everything that must be the same on every rank.
  private func facts(_ style: ScoreStyle) throws -> [SharedScoring.Fact] {
    let settings: [(name: String, value: String?)] = [
      ("--precision", options.precision.rawValue), ("--line-start", options.lines.lineStart),
      ("--line-end", options.lines.lineEnd), ("--level", level.rawValue),
      ("--base", style.base.rawValue), ("--boundary", boundary.rawValue),
      ("--unknown", unknown?.argument), ("--context", windows.context.map(String.init)),
      ("--pad", windows.pad), ("--guesses", guesses.map(String.init)),
      ("--weights", mixtureOptions.weights?.numbers.description),
      ("--normalize", preparation.normalize.rawValue), ("--lowercase", "\(preparation.lowercase)"),
      ("--csv", "\(csv)"), ("--json", "\(json)"),
    ]
    let models = [options.path] + mixtureOptions.with
    let texts = [text] + [mixtureOptions.fitWeights].compactMap { $0 }
    return [("version", UnrollVersion.producer), ("number of models", "\(models.count)")]
      + (try models.map { ("model", try digest($0)) })
      + (try texts.map { ("text", try digest($0)) })
      + settings.map { ("option \($0.name)", $0.value ?? "not given") }
  }

  private func digest(_ path: String) throws -> String {
    try Progress.during("reading \(path)") {
      "sha256 " + UnrollFormat.digest(of: try MappedFile(path: path))
    }
  }
}
