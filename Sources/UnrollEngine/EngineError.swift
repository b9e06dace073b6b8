// The error of work that cannot be done as it was asked for.

import UnrollTensors

/// An error for models, texts or settings that do not go together, such as a training that cannot resume.
public struct EngineError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The file or option that it concerns.
  public let path: String
  /// The expectation.
  public let expected: String
  /// The finding.
  public let found: String
  /// The advice.
  public let fix: String

  /// The location, the expectation, the finding and the advice.
  public var description: String {
    "\(printable(path)): expected \(expected); found \(found)\n  fix: \(fix)"
  }
}
