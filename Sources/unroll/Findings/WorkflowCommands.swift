// Findings as workflow commands, which GitHub Actions shows beside the files.

import UnrollFormat
import UnrollTensors

extension Report {
  /// A command for each finding, for the number of omitted ones, and for each unreadable file.
  ///
  /// The form is documented by GitHub: `::error file={name},line={line},title={title}::{message}`.
  var workflowCommands: [String] {
    files.flatMap(\.workflowCommands)
      + failures.map { command("error", file: $0.path, title: "unreadable", $0.description) }
  }
}

extension FileReport {
  fileprivate var workflowCommands: [String] {
    var commands = shown.map { finding in
      command(
        finding.level == .note ? "notice" : finding.level.rawValue, file: finding.file,
        title: "\(finding.rule) \(finding.object)",
        "\(finding.object): \(finding.message)\nfix: \(finding.fix)")
    }
    if omittedCount > 0 {
      commands.append(
        command("notice", file: file, title: "unroll", "\(omittedCount) more findings"))
    }
    return commands
  }
}

/// Returns a workflow command; it points at the first line, since checkpoints have no lines.
private func command(
  _ name: String, file: String, title: String, _ message: String
) -> String {
  let parts = "file=\(property(file)),line=1,title=\(property(excerpt(title)))"
  let lines = message.split(separator: "\n", omittingEmptySubsequences: false)
  let text = lines.map { excerpt(String($0), limit: 1000) }.joined(separator: "\n")
  return "::\(name) \(parts)::\(escaped(text))"
}

/// Escapes the characters that end a command.
private func escaped(_ text: String) -> String {
  text.replacing("%", with: "%25").replacing("\r", with: "%0D").replacing("\n", with: "%0A")
}

/// Escapes the characters that end a property.
private func property(_ text: String) -> String {
  escaped(text).replacing(":", with: "%3A").replacing(",", with: "%2C")
}
