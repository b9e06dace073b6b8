// The baseline as a JSON file, with entries in the order of file, object and rule.

import Foundation
import UnrollFormat
import UnrollTensors

/// The form of a baseline in a file.
private struct BaselineFile: Codable {
  var version = 1
  var findings: [Baseline.Entry]
}

extension Baseline {
  /// Reads a baseline.
  ///
  /// - Throws: `FileError` if the file cannot be read; `Refusal` if it is not a baseline.
  init(contentsOf path: String) throws {
    let data = try Data(contentsOfFile: path)
    do {
      let file = try JSONDecoder().decode(BaselineFile.self, from: data)
      guard file.version == 1 else {
        throw Self.refusal(path, "version: expected 1; found \(file.version)")
      }
      self.init(Set(file.findings))
    } catch let error as DecodingError {
      throw Self.refusal(path, error.sentence)
    }
  }

  /// Writes a baseline atomically.
  ///
  /// - Throws: `FileError` if that fails, or if a file exists and is not to be replaced.
  func write(to path: String, replacing: Bool) throws {
    let findings = entries.sorted { ($0.file, $0.object, $0.rule) < ($1.file, $1.object, $1.rule) }
    let text = try Output.encoded(BaselineFile(findings: findings)) + "\n"
    try Output.write(text, to: path, replacing: replacing)
  }

  private static func refusal(_ path: String, _ reason: String) -> Refusal {
    Refusal("\(printable(path)): \(reason)\n  fix: make it again with --write-baseline")
  }
}
