// Findings as JUnit XML for test services: a suite for each file, a case for each rule.

import UnrollFormat
import UnrollTensors

extension Report {
  /// The report as JUnit XML, with every finding.
  ///
  /// A finding is a failure if it makes the run fail, and else output of its case; a rule that was
  /// not checked is skipped.
  var junit: String {
    let suites = files.map { JUnitSuite($0, fails: fails) }
    let counts =
      "tests=\"\(suites.map(\.caseCount).reduce(failures.count, +))\" "
      + "failures=\"\(suites.map(\.failureCount).reduce(0, +))\" errors=\"\(failures.count)\""
    let lines =
      ["<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "<testsuites name=\"unroll\" \(counts)>"]
      + suites.flatMap(\.lines) + failures.flatMap(suite) + ["</testsuites>"]
    return lines.joined(separator: "\n")
  }

  private func suite(_ failure: FileError) -> [String] {
    [
      "  <testsuite name=\"\(xml(failure.path))\" tests=\"1\" failures=\"0\" errors=\"1\" skipped=\"0\">",
      "    <testcase classname=\"unroll\" name=\"the file can be read\">",
      "      <error message=\"\(xml(failure.description))\"/>",
      "    </testcase>",
      "  </testsuite>",
    ]
  }
}

/// The suite of a file.
private struct JUnitSuite {
  private(set) var lines: [String] = []
  private(set) var failureCount = 0
  let caseCount: Int

  init(_ report: FileReport, fails: (Finding) -> Bool) {
    caseCount = report.checkedRules.count + report.uncheckedRules.count
    let findings = Dictionary(grouping: report.findings, by: \.rule)
    let accepted = Dictionary(grouping: report.screened.suppressed, by: \.finding.rule)
    for rule in report.checkedRules {
      let children =
        (findings[rule.id] ?? []).map { child($0, fails: fails($0)) }
        + (accepted[rule.id] ?? []).map { output("suppressed: \($0.reason): \($0.finding)") }
      add(rule, children)
    }
    for rule in report.uncheckedRules {
      add(
        rule, ["      <skipped message=\"an error of another rule kept it from being checked\"/>"])
    }
    let head =
      "  <testsuite name=\"\(xml(report.file))\" tests=\"\(caseCount)\" failures=\"\(failureCount)\" "
      + "errors=\"0\" skipped=\"\(report.uncheckedRules.count)\">"
    lines = [head] + lines + ["  </testsuite>"]
  }

  private mutating func add(_ rule: Rule, _ children: [String]) {
    let name = "classname=\"unroll.\(rule.family)\" name=\"\(rule.id): \(xml(rule.summary))\""
    guard !children.isEmpty else {
      lines.append("    <testcase \(name)/>")
      return
    }
    lines += ["    <testcase \(name)>"] + children + ["    </testcase>"]
  }

  private mutating func child(_ finding: Finding, fails: Bool) -> String {
    guard fails else { return output(finding.description) }
    failureCount += 1
    return "      <failure type=\"\(finding.level.rawValue)\" message=\"\(xml(finding.message))\">"
      + "\(xml(finding.description))</failure>"
  }

  private func output(_ text: String) -> String {
    "      <system-out>\(xml(text))</system-out>"
  }
}

/// Returns a text for XML: markup and line ends are escaped, and invalid characters are made
/// printable.
private func xml(_ text: String) -> String {
  text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
    printable(String(line)).unicodeScalars.map { scalar in
      switch scalar {
      case "&": "&amp;"
      case "<": "&lt;"
      case ">": "&gt;"
      case "\"": "&quot;"
      case "\u{FFFE}", "\u{FFFF}": ""
      default: String(scalar)
      }
    }.joined()
  }.joined(separator: "&#10;")
}
