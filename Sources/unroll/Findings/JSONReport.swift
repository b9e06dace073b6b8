// Findings as JSON, described by `spec/findings.schema.json`.

import UnrollFormat

/// The report of `--format json`; texts from files are not truncated.
struct JSONReport: Encodable {
  let version = 1
  let tool = "unroll \(UnrollVersion.number)"
  let files: [File]
  let unreadable: [Unreadable]
  let summary: Summary

  init(_ report: Report) {
    files = report.files.map(File.init)
    unreadable = report.failures.map { Unreadable(file: $0.path, reason: $0.description) }
    summary = Summary(
      files: report.files.count, invalid: report.files.count { !$0.isValid },
      unreadable: report.failures.count, failed: report.hasFailed || !report.failures.isEmpty,
      findings: FindingCounts(report.files))
  }

  struct File: Encodable {
    let file: String
    let valid: Bool
    let findings: [Item]
    let omitted: Int
    let suppressed: [Item]
    let unchecked: [String]
    let fixed: [Item]

    init(_ report: FileReport) {
      file = report.file
      valid = report.isValid
      findings = report.shown.map { Item($0) }
      omitted = report.omittedCount
      suppressed = report.screened.suppressed.map { Item($0.finding, reason: $0.reason) }
      unchecked = report.uncheckedRules.map(\.id)
      fixed = report.fixed.map { Item($0) }
    }
  }

  struct Item: Encodable {
    let rule: String
    let level: String
    let object: String
    let expected: String
    let found: String
    let fix: String
    /// The reason why a suppressed finding is accepted.
    let reason: String?

    init(_ finding: Finding, reason: String? = nil) {
      (rule, level, object) = (finding.rule, finding.level.rawValue, finding.object)
      (expected, found, fix) = (finding.expected, finding.found, finding.fix)
      self.reason = reason
    }
  }

  struct Unreadable: Encodable {
    let file: String
    let reason: String
  }

  struct Summary: Encodable {
    let files: Int
    let invalid: Int
    let unreadable: Int
    let failed: Bool
    let findings: FindingCounts
  }
}
