// The findings of `unroll validate`, independent of the output format.

import UnrollFormat
import UnrollTensors

/// The results of a run.
struct Report {
  /// The examined files, in order.
  var files: [FileReport] = []
  /// The files and folders that could not be read.
  var failures: [FileError] = []
  /// The lowest level that makes the run fail; `nil` if no finding does.
  let failingLevel: Level?

  /// `true` if a reported finding makes the run fail.
  var hasFailed: Bool { files.contains { $0.findings.contains(where: fails) } }

  /// Returns `true` if a finding makes the run fail.
  func fails(_ finding: Finding) -> Bool { failingLevel.map { finding.level >= $0 } ?? false }
}

/// The results for a file.
struct FileReport {
  /// The path, as given.
  let file: String
  /// `true` if the file breaks no rule of level error, reported or not.
  let isValid: Bool
  /// The findings to report, and the number of omitted ones.
  let screened: ScreenedFindings
  /// The number of findings that are shown.
  let shownCount: Int
  /// The checked rules of the report, in order.
  let checkedRules: [Rule]
  /// The rules of the report that could not be checked because of an error.
  let uncheckedRules: [Rule]
  /// The locations of datasets with findings.
  let extents: [String: Range<Int>]
  /// The findings of the original file that this repaired copy no longer has.
  let fixed: [Finding]

  /// Selects the findings of an examination.
  init(_ examination: Examination, screening: Screening, maximum: Int?, fixed: [Finding] = []) {
    self.fixed = fixed
    file = examination.contents.path
    isValid = examination.worstLevel != .error
    screened = screening.screened(examination)
    shownCount = min(screened.reported.count, maximum ?? .max)
    let reported = Set(screened.reported.map(\.rule))
    let rules = Rule.all.filter {
      screening.selection.contains($0.id) || reported.contains($0.id)
    }
    checkedRules = rules.filter { examination.checkedRules.contains($0.id) }
    uncheckedRules = rules.filter { examination.barredRules.contains($0.id) }
    let objects = Set((screened.reported + screened.suppressed.map(\.finding)).map(\.object))
    extents = objects.reduce(into: [:]) { $0[$1] = examination.extent(of: $1) }
  }

  /// The findings to report.
  var findings: [Finding] { screened.reported }

  /// The findings to show: all, or the most severe ones.
  var shown: [Finding] {
    guard shownCount < findings.count else { return findings }
    // Sorting is stable: within a level the first findings, which are the causes, come first.
    return Array(findings.sorted { $0.level > $1.level }.prefix(shownCount))
  }

  /// The number of findings of the report that are not shown.
  var omittedCount: Int { findings.count - shownCount }
}

/// Counts of findings.
struct FindingCounts: Encodable {
  var errors = 0
  var warnings = 0
  var notes = 0
  var ignored = 0
  var suppressed = 0
  var known = 0

  /// Counts the findings of files.
  init(_ files: [FileReport]) {
    for file in files {
      for finding in file.findings {
        switch finding.level {
        case .error: errors += 1
        case .warning: warnings += 1
        case .note: notes += 1
        }
      }
      ignored += file.screened.ignoredCount
      suppressed += file.screened.suppressed.count
      known += file.screened.knownCount
    }
  }
}
