// The options that select the reported findings.

import ArgumentParser
import Foundation
import UnrollFormat
import UnrollTensors

/// The selection of reported findings, and of those that make the run fail.
struct FindingChoice: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Report only these rules: ids or letters of families, as V002,T. May be repeated.",
      valueName: "ids"))
  var select: [String] = []

  @Option(
    help: ArgumentHelp(
      "Leave these rules out: ids or letters, as T007. May be repeated.", valueName: "ids"))
  var ignore: [String] = []

  @Option(help: "The lowest level to report: note, warning or error. (default: note)")
  var level: Level?

  @Flag(help: "Warnings make the run fail too.")
  var strict = false

  @Option(
    help: ArgumentHelp(
      "Maximum number of findings per file, worst first (not for --format junit).", valueName: "n"))
  var maxFindings: Int?

  @Option(
    help: ArgumentHelp(
      "A configuration. (default: .unroll.json, if the current folder has it)", valueName: "file"))
  var config: String?

  @Option(help: ArgumentHelp("Leave out the findings that this file lists.", valueName: "file"))
  var baseline: String?

  @Option(
    name: .customLong("write-baseline"),
    help: ArgumentHelp(
      "List the findings, and those of --baseline, in this file; then they are no failure.",
      valueName: "file"))
  var writtenBaseline: String?

  func validate() throws {
    _ = try (selectors(select, "--select"), selectors(ignore, "--ignore"))
    if let maxFindings, maxFindings < 0 {
      throw ValidationError("--max-findings needs a number of at least 0.")
    }
  }

  /// Combines the options and the configuration.
  ///
  /// - Parameters:
  ///   - files: The files that are examined; they are never written.
  ///   - replacing: `true` to replace an existing baseline.
  /// - Returns: The selection, and the lowest level that makes the run fail, if any.
  /// - Throws: `ValidationError` for contradictory options; the errors of reading files.
  func screening(files: [String], replacing: Bool) throws -> (
    screening: Screening, failingLevel: Level?
  ) {
    let configuration = try Configuration.read(config)
    var screening = Screening()
    let selected = try selectors(select, "--select")
    screening.selection.select = selected.isEmpty ? configuration.select : selected
    screening.selection.ignore = try configuration.ignore + selectors(ignore, "--ignore")
    screening.lowestLevel = level ?? configuration.level ?? .note
    screening.levels = configuration.levels
    screening.suppressions = configuration.suppressions
    let failingLevel: Level = strict || configuration.strict ? .warning : .error
    guard screening.lowestLevel <= failingLevel else {
      throw ValidationError("--strict is about warnings, which --level error does not report.")
    }
    if let baseline { screening.baseline = try Baseline(contentsOf: baseline) }
    if let writtenBaseline {
      try OutputOptions.check(writtenBaseline, inputs: files, replacing: replacing)
    }
    return (screening, writtenBaseline == nil ? failingLevel : nil)
  }

  /// Writes the requested baseline: the known findings and the reported ones.
  ///
  /// - Throws: `FileError` if that fails.
  func writeBaseline(_ known: Baseline, _ report: Report, replacing: Bool) throws {
    guard let writtenBaseline else { return }
    var baseline = known
    for finding in report.files.flatMap(\.findings) { baseline.insert(finding) }
    try baseline.write(to: writtenBaseline, replacing: replacing)
    Output.note(
      "wrote \(printable(writtenBaseline)): \(counted(baseline.entries.count, "known finding"))")
  }

  private func selectors(_ lists: [String], _ option: String) throws -> [RuleSelector] {
    try lists.flatMap { $0.split(separator: ",", omittingEmptySubsequences: false) }.map { text in
      guard let selector = RuleSelector(String(text.withoutOuterBlanks)) else {
        throw ValidationError(
          "\(option): there is no rule or family \"\(text)\". `unroll explain --all` shows all.")
      }
      return selector
    }
  }
}

extension Substring {
  /// The text without spaces and tabs at its ends.
  fileprivate var withoutOuterBlanks: Substring {
    let isBlank = { (character: Character) in character == " " || character == "\t" }
    var text = drop(while: isBlank)
    while let last = text.last, isBlank(last) { text.removeLast() }
    return text
  }
}

extension Level: ExpressibleByArgument {}
