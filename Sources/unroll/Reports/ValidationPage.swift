// The page of `unroll validate`: findings by file and severity.

import Foundation
import UnrollFormat
import UnrollReport
import UnrollTensors

/// The page of findings.
struct ValidationPage {
  let report: Report
  /// The files and folders as given.
  let inputs: [String]

  private var findings: [Finding] { report.files.flatMap(\.findings) }
  private var counts: FindingCounts { FindingCounts(report.files) }

  /// The main figure: the number of findings of each rule; `nil` without findings.
  var figure: Figure? {
    let ids = findings.map(\.rule)
    return .bars(
      title: "Findings of each rule", label: "findings",
      rows: Set(ids).sorted().map { id in (id, Double(ids.count { $0 == id })) })
  }

  /// Returns the page.
  ///
  /// - Throws: `EncodingError` if a number is not finite.
  func document() throws -> Document {
    var document = Document(
      title: "Findings in \(inputs.count == 1 ? inputs[0] : counted(inputs.count, "input"))",
      lead: verdict, files: ["files": inputs.joined(separator: ", ")])
    document.facts += rules
    document.highlights = [
      Document.Fact("files", Output.grouped(report.files.count)),
      Document.Fact("errors", Output.grouped(counts.errors)),
      Document.Fact("warnings", Output.grouped(counts.warnings)),
      Document.Fact("notes", Output.grouped(counts.notes)),
    ]
    document.notes = report.failures.map(\.description)
    document.sections =
      (figure.map { [Document.Section("Rules", [.figure($0)])] } ?? [])
      + report.files.filter { !$0.findings.isEmpty }.map(section) + [fileSection]
    document.result = LongText(try Output.encoded(JSONReport(report)))
    return document
  }

  private var verdict: String {
    let invalid = report.files.count { !$0.isValid }
    let files = counted(report.files.count, "file")
    return invalid == 0
      ? "No file breaks a rule of level error; \(files) checked."
      : "\(invalid) of \(files) \(invalid == 1 ? "breaks" : "break") a rule of level error."
  }

  private var rules: [Document.Fact] {
    let checked = Set(report.files.flatMap { $0.checkedRules.map(\.id) })
    let fails =
      report.failingLevel.map { "findings of level \($0.rawValue) or above" } ?? "no finding"
    return [
      Document.Fact("rules checked", "\(checked.count)"), Document.Fact("exit code 1 for", fails),
    ]
  }

  private func section(_ file: FileReport) -> Document.Section {
    // Sorting is stable: within a level the causes come first.
    let rows = file.shown.sorted { $0.level > $1.level }.map { finding in
      [
        finding.level.rawValue, finding.rule, excerpt(finding.object), excerpt(finding.expected),
        excerpt(finding.found), finding.fix,
      ]
    }
    let omitted =
      file.omittedCount > 0
      ? [
        Document.Block.paragraph(
          "\(counted(file.omittedCount, "more finding")) left out; --max-findings shows more.")
      ]
      : []
    let table = Table(
      "\(counted(file.findings.count, "finding")) in \(printable(file.file))",
      ["level", "rule", "object", "expected", "found", "fix"].map { .text($0) }, rows)
    let explanations = Set(file.shown.map(\.rule)).sorted().compactMap(explanation)
    return Document.Section(printable(file.file), [.table(table)] + explanations + omitted)
  }

  /// Returns the text of `unroll explain`, folded.
  private func explanation(_ id: String) -> Document.Block? {
    Rule[id].map { rule in
      // The first line is the id, with its level.
      let lines = rule.explanation.split(separator: "\n").dropFirst().map(String.init)
      return .folded("Explain \(id)", lines)
    }
  }

  private var fileSection: Document.Section {
    let rows = report.files.map { file in
      [
        printable(file.file), file.isValid ? "valid" : "invalid",
        Output.grouped(file.findings.count), Output.grouped(file.checkedRules.count),
        file.uncheckedRules.map(\.id).joined(separator: ", "),
      ]
    }
    let table = Table(
      "All files that were read",
      [
        .text("file"), .text("verdict"), .number("findings"), .number("rules checked"),
        .text("rules that an error hides"),
      ], rows)
    return Document.Section("Files", [.table(table)])
  }
}
