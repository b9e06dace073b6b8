// A location in a file where a rule is broken, and its message.

import UnrollTensors

/// A violation of a rule in a file.
public struct Finding: Error, Sendable, Hashable, CustomStringConvertible {
  /// The rule's id.
  public let rule: String
  /// The severity: the rule's level, unless a screening gives another.
  public internal(set) var level: Level
  /// The file's path.
  public let file: String
  /// The path of the object in the file.
  public let object: String
  /// The value that the rule expects there.
  public let expected: String
  /// The value found there.
  public let found: String
  /// The advice for fixing it.
  public let fix: String

  /// Sixteen hexadecimal digits for file, rule and object: the same when the finding is found again.
  package var fingerprint: String {
    let identity = Array([file, rule, object].joined(separator: "\n").utf8)
    return String(identity.withUnsafeBytes { Digest.sha256($0) }.prefix(16))
  }

  /// Expectation and value found, fit to print: texts from the file are escaped, and long ones cut.
  public var message: String { "expected \(excerpt(expected)); found \(excerpt(found))" }

  /// The finding in two lines, as people read it.
  public var description: String {
    """
    \(printable(file)): \(excerpt(object)): \(level.rawValue) \(rule): \(message)
      fix: \(fix); `unroll explain \(rule)` shows the rule
    """
  }
}
