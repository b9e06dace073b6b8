// Rules: the requirements for a checkpoint, each a value with an id that never changes its meaning.

import UnrollTensors

/// The severity of a violation.
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

/// The data that a rule reads.
public enum Cost: String, Sendable, Hashable, CaseIterable {
  /// The first bytes of the file: decides whether libhdf5 sees it at all.
  case container
  /// The inventory and the vocabulary: every opening runs these.
  case header
  /// Every byte of the data: `validate`, `convert` and `finetune` run these too.
  case bytes
  /// The model itself, run by an engine: `validate --replay`.
  case replay
}

/// One location where a rule is broken.
public struct Violation: Sendable, Hashable {
  /// The path of the object in the file.
  public let object: String
  /// The value that the rule expects there.
  public let expected: String
  /// The value found there.
  public let found: String
  /// The advice for this violation, if it is more precise than the rule's own `fix`.
  public var fix: String?
}

/// A rule of the format, with its documentation: What, Why, Example, Fix.
public struct Rule: Sendable {
  /// The id, such as `V002`: a letter for the family and a number.
  public let id: String
  /// The severity of a violation.
  public let level: Level
  /// The data that the rule reads.
  public let cost: Cost
  /// The rule as one sentence (What), the same as in `spec/FORMAT.md`.
  public let summary: String
  /// Why the rule exists: what goes wrong without it.
  public let why: String
  /// A file that breaks the rule, described by its contents.
  public let example: String
  /// The general advice for a violation; an order without a full stop, as in a finding.
  public let fix: String
  /// The way in which `Examination.repair` repairs a violation, if it can.
  public let repair: Repair?
  /// Finds the violations in a file.
  let check: @Sendable (Contents) -> [Violation]

  init(
    id: String, level: Level, cost: Cost = .header, summary: String, why: String, example: String,
    fix: String, repair: Repair? = nil, check: @escaping @Sendable (Contents) -> [Violation]
  ) {
    self.id = id
    self.level = level
    self.cost = cost
    self.summary = summary
    self.why = why
    self.example = example
    self.fix = fix
    self.repair = repair
    self.check = check
  }

  /// The rule with an id, if there is one.
  public static subscript(id: String) -> Rule? { all.first { $0.id == id } }

  /// The letter of the family.
  public var family: Character { id.first ?? "?" }

  /// The most findings of one rule in a file; the last says how many more there are.
  static let maximumFindings = 1000

  /// Returns the findings of this rule in a file.
  func findings(in contents: Contents) -> [Finding] {
    let violations = check(contents)
    let more = violations.count - Self.maximumFindings
    return violations.prefix(Self.maximumFindings).enumerated().map { index, violation in
      let isLast = more > 0 && index == Self.maximumFindings - 1
      return Finding(
        rule: id, level: level, file: contents.path, object: violation.object,
        expected: violation.expected,
        found: violation.found + (isLast ? " (and \(more) more findings of this rule)" : ""),
        fix: violation.fix ?? fix)
    }
  }
}

/// Advice for damage that several rules find.
enum Fix {
  static let convertAgain = "convert again from the original model"
  static let convertWithVocabulary =
    "convert again with the vocabulary that the model was trained on"
  static let copyAgain = "copy or download the file again; it is damaged"
  static let findVocabulary = "look for the vocabulary that the model was trained on"
  static let newerUnroll = "use a newer version of unroll"
  static let reachesOutside = "do not use the file: it reaches outside what it contains"
  static let takeOriginal = "take the original file; this one was changed after it was written"
  static let trainAgain = """
    take another checkpoint of this training, or begin it again from the model that it began with
    """
  static let writeAgain = "write the file again with `unroll validate FILE --fix NEW`"
}
