// The screening of findings: which are reported, which are left out, and for what reason.

/// The choice of findings of files for a report.
///
/// It changes what is said about a file, never what can be done with it.
public struct Screening: Sendable {
  /// The rules to report.
  public var selection = RuleSelection()
  /// Other levels for rules, by id: notes and warnings can be lowered and raised, to errors too; errors stay.
  public var levels: [String: Level] = [:]
  /// The lowest level to report.
  public var lowestLevel = Level.note
  /// Findings that are accepted.
  public var suppressions: [Suppression] = []
  /// Findings that are known.
  public var baseline = Baseline()

  /// Reports every finding, as it is.
  public init() {}

  /// Returns the findings of a file, chosen.
  public func screened(_ examination: Examination) -> ScreenedFindings {
    // An error that kept a selected rule from being checked is reported, selected or not.
    let isComplete = !examination.barredRules.contains(where: selection.contains)
    var result = ScreenedFindings()
    for var finding in examination.findings {
      let isBarrier =
        finding.level == .error && !isComplete && !selection.isIgnored(finding.rule)
      if finding.level != .error, let level = levels[finding.rule] { finding.level = level }
      if finding.level < lowestLevel || !(selection.contains(finding.rule) || isBarrier) {
        result.ignoredCount += 1
      } else if let suppression = suppressions.first(where: { $0.covers(finding) }) {
        result.suppressed.append((finding, suppression.reason))
      } else if baseline.contains(finding) {
        result.knownCount += 1
      } else {
        result.reported.append(finding)
      }
    }
    return result
  }
}

/// The findings of a file: those that are reported, and those that are left out.
public struct ScreenedFindings: Sendable {
  /// The findings to report, in the order of the rules.
  public internal(set) var reported: [Finding] = []
  /// The findings that are accepted, each with the reason.
  public internal(set) var suppressed: [(finding: Finding, reason: String)] = []
  /// The number of findings of rules or levels that the report is not about.
  public internal(set) var ignoredCount = 0
  /// The number of findings that the baseline has.
  public internal(set) var knownCount = 0
}
