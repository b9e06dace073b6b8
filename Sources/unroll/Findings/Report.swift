// What `unroll validate` found, before it is given a form.

import UnrollFormat
import UnrollTensors

/// What was found in the files of a run.
struct Report {
  /// The files that were examined, in order.
  var files: [FileReport] = []
  /// The files and folders that could not be read.
  var failures: [FileError] = []
  /// The lowest level that makes the run fail; `nil` if no finding does.
  let failingLevel: Level?

  /// Whether a finding is reported that makes the run fail.
  var hasFailed: Bool { files.contains { $0.findings.contains(where: fails) } }

  /// Whether a finding makes the run fail.
  func fails(_ finding: Finding) -> Bool { failingLevel.map { finding.level >= $0 } ?? false }
}

/// What was found in a file.
struct FileReport {
  /// The path, as it was given.
  let file: String
  /// Whether the file breaks no rule of level error, reported or not.
  let isValid: Bool
  /// All findings to report, and how many were left out.
  let screened: ScreenedFindings
  /// How many of the findings are shown.
  let shownCount: Int
  /// The rules of the report that were checked, in their order.
  let checkedRules: [Rule]
  /// The rules of the report that an error kept from being checked.
  let uncheckedRules: [Rule]
  /// The places of the datasets with findings.
  let extents: [String: Range<Int>]
  /// The findings of the file that this one is a repaired copy of, which are put right here.
  let fixed: [Finding]

  /// Chooses the findings of an examination.
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

  /// The findings to show: all, or the worst ones.
  var shown: [Finding] {
    guard shownCount < findings.count else { return findings }
    // Sorting is stable: of one level the first come first, and those are the causes.
    return Array(findings.sorted { $0.level > $1.level }.prefix(shownCount))
  }

  /// How many findings of the report are not shown.
  var omittedCount: Int { findings.count - shownCount }
}

/// Numbers of findings.
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
