// `unroll validate`: checks files against the rules and reports findings.

import ArgumentParser
import Foundation
import UnrollEngine
import UnrollFormat
import UnrollNeural
import UnrollTensors

struct Validate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check checkpoints against the rules of the format.",
    discussion: """
      `unroll validate models/ --strict`

      A folder stands for all *.h5 and *.hdf5 below it. Exit code 1 if a finding is an error (or a warning, with --strict), \
      2 if a file cannot be read or a folder has no such file. A configuration selects rules and levels: \
      docs/reference/configuration.md. An ignored error is hidden from the report; other verbs still refuse the file.
      """)

  @Argument(help: "The checkpoints, and folders with checkpoints.")
  var files: [String]

  @OptionGroup(title: "What is reported")
  var choice: FindingChoice

  @Flag(help: "Also compute the self-test and compare its log-probabilities.")
  var replay = false

  @Option(
    name: .customLong("fix"),
    help: ArgumentHelp(
      "Write a copy with everything put right that follows from the rest, and report on it.",
      valueName: "file"))
  var copy: String?

  @OptionGroup(title: "Page and figure") var shown: ReportOptions

  @Flag(help: "Replace the files of --fix, --write-baseline, --report and --plot if they exist.")
  var force = false

  @Option(
    help:
      "The form of the report: text, json, sarif (2.1.0), junit or github (workflow commands).")
  var format: ReportFormat?

  @Flag(help: "Short for --format json.")
  var json = false

  func validate() throws {
    if force && copy == nil && choice.writtenBaseline == nil && !shown.isGiven {
      throw ValidationError(
        "--force is for --fix, --write-baseline, --report and --plot, and none is given.")
    }
    if copy != nil && files.count != 1 {
      throw ValidationError("--fix repairs one file at a time.")
    }
    guard json, let format, format != .json else { return }
    throw ValidationError("--json and --format \(format.rawValue) are two forms; give one.")
  }

  func run() throws {
    let (screening, failingLevel) = try choice.screening(files: files, replacing: force)
    let search = CheckpointSearch(files)
    if let copy {
      guard search.files == files || !search.failures.isEmpty else {
        throw ValidationError("--fix repairs one file, and \(printable(files[0])) is a folder.")
      }
      try OutputOptions.check(
        copy, inputs: files, outputs: [choice.writtenBaseline].compactMap { $0 }, replacing: force)
    }
    try shown.check(
      inputs: files, outputs: [copy, choice.writtenBaseline].compactMap { $0 }, replacing: force,
      json: reportFormat != .text)
    for note in search.notes { Output.note(note) }
    let empty = search.emptyFolders.map {
      FileError("find *.h5 or *.hdf5 in this folder", path: $0, code: ENOENT)
    }
    var report = Report(failures: search.failures + empty, failingLevel: failingLevel)
    try examine(search.files, screening, &report)
    try printEnd(report, isOne: files.count == 1 && search.files == files)
    try choice.writeBaseline(screening.baseline, report, replacing: force)
    let page = ValidationPage(report: report, inputs: files)
    try shown.write(page.document, figure: page.figure, replacing: force)
    try Output.finish()
    guard report.failures.isEmpty else {
      throw Refusal(report.failures.map(\.description).joined(separator: "\n"))
    }
    if report.hasFailed { throw Ending.no }
  }

  private var reportFormat: ReportFormat { format ?? (json ? .json : .text) }

  private func examine(_ files: [String], _ screening: Screening, _ report: inout Report) throws {
    // A single thread starts no others, so the reader of the next file can be forked.
    if replay { Threads.count = 1 }
    var progress = Progress()
    for (index, file) in files.enumerated() {
      progress.report { _ in "\(index) of \(files.count) files: \(printable(file))" }
      do {
        var examination = try Examination.shown(of: file, upTo: .bytes)
        let fixed = try copy.map { try fix(&examination, to: $0) } ?? []
        if replay, !examination.hasSelfTest {
          Output.note("note: \(printable(file)): no self-test to replay")
        }
        if replay { examination = try examination.replaying(UnrollEngine.replay) }
        let found = FileReport(
          examination, screening: screening, maximum: choice.maxFindings, fixed: fixed)
        report.files.append(found)
        if reportFormat == .text, !shown.printsFigure { Output.result(found.text) }
      } catch let error as FileError {
        // The remaining files are still reported.
        report.failures.append(error)
      }
    }
    progress.finish()
  }

  /// Repairs a file.
  ///
  /// - Parameters:
  ///   - examination: The file. Out: its repaired copy, if there is one.
  ///   - copy: The path of the copy.
  /// - Returns: The findings that were repaired.
  /// - Throws: `FileError` or `HDF5Error` if the copy cannot be written.
  private func fix(_ examination: inout Examination, to copy: String) throws -> [Finding] {
    do {
      let fixed = try Progress.during("writing and reading back \(copy)") {
        try examination.repair(to: copy, replacing: force)
      }
      guard !fixed.isEmpty else {
        Output.note(
          "note: \(printable(copy)): not written, since there is nothing that --fix repairs")
        return []
      }
      for finding in fixed {
        let repair = Rule[finding.rule]?.repair?.explanation ?? ""
        Output.note("fixed: \(excerpt(finding.object)): \(finding.rule): \(repair)")
      }
      Output.note("wrote \(printable(copy))")
      examination = try Examination.shown(of: copy, upTo: .bytes)
      return fixed
    } catch let error as InvalidCheckpoint {
      let rules = Set(error.findings.map(\.rule)).sorted().joined(separator: ", ")
      Output.note(
        "note: \(printable(copy)): not written: what breaks \(rules) does not follow from the rest")
      return []
    }
  }

  private func printEnd(_ report: Report, isOne: Bool) throws {
    switch reportFormat {
    case .text: if !isOne, !shown.printsFigure { Output.result(report.summary) }
    case .json: try Output.json(JSONReport(report))
    case .sarif: try Output.json(SARIFReport(report), keys: .useDefaultKeys)
    case .junit: Output.result(report.junit)
    case .github: for line in report.workflowCommands { Output.result(line) }
    }
  }
}

/// The forms of a report.
enum ReportFormat: String, ExpressibleByArgument, CaseIterable {
  case text, json, sarif, junit, github
}
