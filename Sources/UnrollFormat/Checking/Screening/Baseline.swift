// Findings that are known, so that only new ones are reported.

/// The findings that are known, by rule, object and file.
public struct Baseline: Sendable, Hashable {
  /// A finding that is known.
  public struct Entry: Sendable, Hashable, Codable {
    /// The rule's id.
    public let rule: String
    /// The path in the file.
    public let object: String
    /// The path of the file, as it was given.
    public let file: String

    /// The entry of a finding.
    init(_ finding: Finding) {
      (rule, object, file) = (finding.rule, finding.object, finding.file)
    }
  }

  /// The entries.
  public var entries: Set<Entry>

  /// Creates a baseline; an empty one knows nothing.
  public init(_ entries: Set<Entry> = []) { self.entries = entries }

  /// `true` if a finding is known.
  public func contains(_ finding: Finding) -> Bool { entries.contains(Entry(finding)) }

  /// Makes a finding known.
  public mutating func insert(_ finding: Finding) { entries.insert(Entry(finding)) }
}
