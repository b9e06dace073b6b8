// Rules: what a checkpoint must be, each a value with an id that never changes its meaning.

import UnrollTensors

/// How bad it is that a rule is broken.
public enum Level: String, Sendable, Hashable, Comparable, CaseIterable {
  /// Worth knowing.
  case note
  /// Probably wrong; the file can be used.
  case warning
  /// The file cannot be trusted; it is not opened.
  case error

  /// Orders levels from note to error.
  public static func < (a: Level, b: Level) -> Bool { a.order < b.order }

  private var order: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// What a rule needs to look at.
public enum Cost: String, Sendable, Hashable, CaseIterable {
  /// The first bytes of the file: decides whether libhdf5 sees it at all.
  case container
  /// The inventory and the vocabulary: every opening runs these.
  case header
  /// Every byte of the data: `validate`, `convert` and `finetune` run these too.
  case bytes
}

/// One place where a rule is broken.
public struct Violation: Sendable, Hashable {
  /// The path of the object in the file.
  public let object: String
  /// What the rule wants there.
  public let expected: String
  /// What is there.
  public let found: String
  /// What to do about it.
  public let fix: String
}

/// A rule of the format.
public struct Rule: Sendable {
  /// The id, such as `V002`: a letter for the family and a number.
  public let id: String
  /// How bad a violation is.
  public let level: Level
  /// What the rule needs to look at.
  public let cost: Cost
  /// The rule as one sentence, the same as in `spec/FORMAT.md`.
  public let summary: String
  /// Why the rule exists: what goes wrong without it.
  public let why: String
  /// Finds the violations in a file.
  let check: @Sendable (Contents) -> [Violation]

  init(
    id: String, level: Level, cost: Cost = .header, summary: String, why: String,
    check: @escaping @Sendable (Contents) -> [Violation]
  ) {
    self.id = id
    self.level = level
    self.cost = cost
    self.summary = summary
    self.why = why
    self.check = check
  }

  /// The letter of the family.
  public var family: Character { id.first ?? "?" }

  /// The findings of this rule in a file.
  func findings(in contents: Contents) -> [Finding] {
    check(contents).map { Finding(rule: id, level: level, file: contents.path, violation: $0) }
  }
}

/// A violation of a rule in a file.
public struct Finding: Error, Sendable, Hashable, CustomStringConvertible {
  /// The rule's id.
  public let rule: String
  /// The rule's level.
  public let level: Level
  /// The file's path.
  public let file: String
  /// Place, expectation, what was found, and the fix.
  public let violation: Violation

  /// The finding in two lines, as people read it.
  public var description: String {
    """
    \(file): \(printable(violation.object)): \(level.rawValue) \(rule): \
    expected \(printable(violation.expected)); found \(printable(violation.found))
      fix: \(violation.fix); `unroll explain \(rule)` shows the rule
    """
  }
}
