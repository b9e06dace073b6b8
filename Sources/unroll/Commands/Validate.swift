// `unroll validate` and `unroll explain`: the rules.

import ArgumentParser
import UnrollFormat
import UnrollTensors

struct Validate: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check checkpoints against the rules of the format, digests of all data included.",
    discussion: "Exit code 1 if a file breaks a rule of level error, 2 if one cannot be read.")

  @Argument(help: "The checkpoints.")
  var files: [String]

  @Flag(help: "Print the findings as JSON.")
  var json = false

  func run() throws {
    var reports: [FileReport] = []
    var failures: [FileError] = []
    for file in files {
      do throws(FileError) {
        let examination = try Examination(of: file, upTo: .bytes, reader: .inChild)
        reports.append(FileReport(file: file, findings: examination.findings))
      } catch {
        // The other files still get their report.
        failures.append(error)
      }
    }
    if json {
      try Output.json(reports)
    } else {
      for report in reports { report.print() }
    }
    guard failures.isEmpty else {
      try Output.finish()
      throw Refusal(failures.map(\.description).joined(separator: "\n"))
    }
    if reports.contains(where: { !$0.isValid }) {
      try Output.finish()
      throw Ending.no
    }
  }
}

/// The findings of one file, as `--json` prints them.
private struct FileReport: Encodable {
  let file: String
  let isValid: Bool
  let findings: [FindingReport]
  private let lines: [String]

  init(file: String, findings: [Finding]) {
    self.file = file
    isValid = !findings.contains { $0.level == .error }
    self.findings = findings.map(FindingReport.init)
    lines = findings.map(\.description)
  }

  func print() {
    for line in lines { Output.result(line) }
    let count = findings.isEmpty ? "no findings" : "\(findings.count) finding(s)"
    Output.result("\(file): \(isValid ? "valid" : "invalid"), \(count)")
  }

  private enum CodingKeys: String, CodingKey {
    case file
    case isValid = "valid"
    case findings
  }
}

private struct FindingReport: Encodable {
  let rule: String
  let level: String
  let object: String
  let expected: String
  let found: String
  let fix: String

  init(_ finding: Finding) {
    rule = finding.rule
    level = finding.level.rawValue
    object = finding.violation.object
    expected = finding.violation.expected
    found = finding.violation.found
    fix = finding.violation.fix
  }
}

struct Explain: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a rule wants and why.")

  @Argument(help: "The ids of rules, such as V002.")
  var ids: [String] = []

  @Flag(help: "Show every rule.")
  var all = false

  func validate() throws {
    guard all != ids.isEmpty else { return }
    throw ValidationError(all ? "Give ids or --all, not both." : "Give the id of a rule, or --all.")
  }

  func run() throws {
    let rules = try all ? Rule.all : ids.map(rule)
    Output.result(rules.map(\.explanation).joined(separator: "\n\n"))
  }

  private func rule(_ id: String) throws -> Rule {
    guard let rule = Rule.all.first(where: { $0.id == id.uppercased() }) else {
      throw ValidationError("There is no rule \(id). `unroll explain --all` shows all.")
    }
    return rule
  }
}
