// Findings in SARIF 2.1.0 for code-scanning services.

import Foundation
import UnrollFormat
import UnrollTensors

/// A SARIF log with one run; names are the standard's.
struct SARIFReport: Encodable {
  let schema =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
  let version = "2.1.0"
  let runs: [Run]

  init(_ report: Report) { runs = [Run(report)] }

  private enum CodingKeys: String, CodingKey {
    case schema = "$schema"
    case version, runs
  }

  struct Run: Encodable {
    let tool: Tool
    let invocations: [Invocation]
    let results: [Result]
    let columnKind = "unicodeCodePoints"

    init(_ report: Report) {
      let results = Result.withFingerprints(report.files.flatMap(Result.all))
      let ids = Set(results.map(\.ruleId))
      let rules = Rule.all.filter { ids.contains($0.id) }
      tool = Tool(driver: Driver(rules: rules.map(Descriptor.init)))
      invocations = [Invocation(report)]
      let indices = Dictionary(uniqueKeysWithValues: rules.enumerated().map { ($1.id, $0) })
      self.results = results.map { $0.with(index: indices[$0.ruleId]) }
    }
  }

  struct Tool: Encodable { let driver: Driver }

  struct Driver: Encodable {
    let name = "unroll"
    let version = UnrollVersion.number
    let rules: [Descriptor]
  }

  /// The rule of a result.
  struct Descriptor: Encodable {
    let id: String
    let shortDescription: Message
    let fullDescription: Message
    let help: Message
    let defaultConfiguration: Defaults

    init(_ rule: Rule) {
      id = rule.id
      shortDescription = Message(text: rule.summary)
      fullDescription = Message(text: rule.why)
      help = Message(text: rule.explanation)
      defaultConfiguration = Defaults(level: rule.level.rawValue)
    }
  }

  struct Defaults: Encodable { let level: String }
  struct Message: Encodable { let text: String }

  /// The outcome of the run: files that could not be read, and findings that are not shown.
  struct Invocation: Encodable {
    let executionSuccessful: Bool
    let toolExecutionNotifications: [Notification]

    init(_ report: Report) {
      executionSuccessful = report.failures.isEmpty
      toolExecutionNotifications =
        report.failures.map { Notification(level: "error", file: $0.path, text: $0.description) }
        + report.files.filter { $0.omittedCount > 0 }.map {
          Notification(level: "note", file: $0.file, text: "\($0.omittedCount) more findings")
        }
    }
  }

  struct Notification: Encodable {
    let level: String
    let message: Message
    let locations: [Location]

    init(level: String, file: String, text: String) {
      self.level = level
      message = Message(text: excerpt(text, limit: 1000))
      locations = [Location(file: file)]
    }
  }
}

extension SARIFReport {
  /// A finding.
  struct Result: Encodable {
    let ruleId: String
    var ruleIndex: Int?
    let level: String
    let message: Message
    let locations: [Location]
    var partialFingerprints: [String: String] = [:]
    let suppressions: [Accepted]?

    static func all(_ report: FileReport) -> [Result] {
      report.shown.map { Result($0, in: report) }
        + report.screened.suppressed.map { Result($0.finding, in: report, reason: $0.reason) }
    }

    private init(_ finding: Finding, in report: FileReport, reason: String? = nil) {
      ruleId = finding.rule
      level = finding.level.rawValue
      message = Message(text: "\(finding.message). Fix: \(finding.fix).")
      locations = [
        Location(
          file: finding.file, object: finding.object, extent: report.extents[finding.object])
      ]
      fingerprint = finding.fingerprint
      name = "\(finding.rule) \(finding.object)"
      suppressions = reason.map { [Accepted(justification: $0)] }
    }

    /// The fingerprint of file, rule and object.
    private let fingerprint: String
    private let name: String

    private enum CodingKeys: String, CodingKey {
      case ruleId, ruleIndex, level, message, locations, partialFingerprints, suppressions
    }

    /// Returns the results with unique fingerprints: findings of one rule at one object are
    /// numbered.
    ///
    /// GitHub merges two results with the same `primaryLocationLineHash`.
    fileprivate static func withFingerprints(_ results: [Result]) -> [Result] {
      var counts: [String: Int] = [:]
      return results.map { result in
        let count = counts[result.fingerprint, default: 0] + 1
        counts[result.fingerprint] = count
        var result = result
        result.partialFingerprints = [
          "primaryLocationLineHash": "\(result.fingerprint):\(count)",
          "ruleAndObject/v1": count == 1 ? result.name : "\(result.name) \(count)",
        ]
        return result
      }
    }

    fileprivate func with(index: Int?) -> Result {
      var result = self
      result.ruleIndex = index
      return result
    }
  }

  struct Accepted: Encodable {
    let kind = "external"
    let justification: String
  }

  struct Location: Encodable {
    let physicalLocation: PhysicalLocation
    let logicalLocations: [LogicalLocation]?

    init(file: String, object: String? = nil, extent: Range<Int>? = nil) {
      physicalLocation = PhysicalLocation(
        artifactLocation: ArtifactLocation(uri: uriReference(file)),
        region: Region(byteOffset: extent?.lowerBound, byteLength: extent?.count))
      logicalLocations = object.map { [LogicalLocation(fullyQualifiedName: $0)] }
    }
  }

  struct PhysicalLocation: Encodable {
    let artifactLocation: ArtifactLocation
    let region: Region
  }

  struct ArtifactLocation: Encodable { let uri: String }

  struct Region: Encodable {
    /// GitHub shows no result without a line; checkpoints have no lines, so the first is given.
    let startLine = 1
    let byteOffset: Int?
    let byteLength: Int?
  }

  struct LogicalLocation: Encodable { let fullyQualifiedName: String }
}

/// Returns a path as a URI reference, relative if the path is, with all other bytes
/// percent-encoded.
private func uriReference(_ path: String) -> String {
  let plain = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/".utf8)
  let escaped = path.utf8.map { byte in
    plain.contains(byte)
      ? String(UnicodeScalar(byte)) : "%" + String(printf: "%02X", Int(byte))
  }.joined()
  return (path.hasPrefix("/") ? "file://" : "") + escaped
}
