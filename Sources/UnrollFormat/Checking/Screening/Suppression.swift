// Findings that were reviewed and accepted, with the reason.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Leaves the findings of a rule out, at some locations, for a reason.
public struct Suppression: Sendable, Hashable {
  /// The rule's id.
  public let rule: String
  /// The pattern of the path in the file.
  public let object: String
  /// The pattern of the path of the file.
  public let file: String
  /// Why the findings are accepted.
  public let reason: String

  /// Creates a suppression.
  ///
  /// In a pattern `*` stands for any characters, slashes too, `?` for one, and `[...]` for one of
  /// a set, as for `fnmatch`.
  ///
  /// - Parameters:
  ///   - rule: The rule's id.
  ///   - object: The pattern of the path in the file.
  ///   - file: The pattern of the path of the file, as it was given.
  ///   - reason: Why the findings are accepted.
  public init(rule: String, object: String = "*", file: String = "*", reason: String) {
    self.rule = rule
    self.object = object
    self.file = file
    self.reason = reason
  }

  /// `true` if a finding is left out.
  func covers(_ finding: Finding) -> Bool {
    rule == finding.rule && fnmatch(object, finding.object, 0) == 0
      && fnmatch(file, finding.file, 0) == 0
  }
}
