// Findings as text.

import UnrollFormat
import UnrollTensors

extension FileReport {
  /// The findings, and the verdict as the last line.
  var text: String {
    let more = omittedCount > 0 ? ["... and \(Output.grouped(omittedCount)) more"] : []
    let verdict =
      "\(printable(file)): \(isValid ? "valid" : "invalid"), \(FindingCounts([self]).text)"
    return (shown.map(\.description) + more + [verdict]).joined(separator: "\n")
  }
}

extension Report {
  /// The summary over several files.
  var summary: String {
    let invalid = files.count { !$0.isValid }
    let parts = [
      (files.count - invalid, "valid"), (invalid, "invalid"), (failures.count, "could not be read"),
    ]
    let kinds = parts.filter { $0.0 > 0 }.map { "\(Output.grouped($0.0)) \($0.1)" }
    let total = "\(counted(files.count + failures.count, "file")): \(kinds.joined(separator: ", "))"
    return kinds.isEmpty ? "no files" : "\(total); \(FindingCounts(files).text)"
  }
}

extension FindingCounts {
  fileprivate var text: String {
    let levels = [(errors, "error"), (warnings, "warning"), (notes, "note")]
      .filter { $0.0 > 0 }.map(counted)
    let leftOut = [(ignored, "ignored"), (suppressed, "suppressed"), (known, "known")]
      .filter { $0.0 > 0 }.map { "\(Output.grouped($0.0)) \($0.1)" }
    return (levels.isEmpty ? "no findings" : levels.joined(separator: ", "))
      + (leftOut.isEmpty ? "" : "; left out: \(leftOut.joined(separator: ", "))")
  }
}

/// Returns a number and a noun, in the plural unless the number is one.
func counted(_ count: Int, _ noun: String) -> String {
  "\(Output.grouped(count)) \(noun)\(count == 1 ? "" : "s")"
}
